"""Runtime: what every piece of work has at hand, the ports, the configuration in force, what was learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson

from tocsin.contracts import Chance, ChannelKind, Clock, Source, Spawn, Store
from tocsin.decide.heartbeats.heartbeats import HeartbeatMatcher
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.text import without_addresses
from tocsin.errors import StoreUnavailable
from tocsin.model import Contact, ContactState, Incident, Instant, Millis, Policy, Settings
from tocsin.work.active_overrides import ActiveOverrides
from tocsin.work.background_duties import Duties
from tocsin.work.frozen_policies import policy_from

if TYPE_CHECKING:  # commands that only think start without the metrics' library
    from tocsin.metrics import Metrics

MOST_AFFECTED = 100  # services that a page may name
REMEMBERED_STOPS = 20_000
POLL = Millis(1_000)


@dataclass(slots=True)
class InForce:
    """The configuration in force; a reload replaces both at once."""

    settings: Settings
    rulebook: Rulebook
    sources: Mapping[str, Source]
    rules_end_quiet_alerts: bool = field(init=False)  # some rule has auto_resolve
    heartbeat_matcher: HeartbeatMatcher = field(init=False)  # alerts that are check-ins of heartbeats

    def __post_init__(self) -> None:
        self.heartbeat_matcher = HeartbeatMatcher(self.settings.heartbeats.values())
        self.rules_end_quiet_alerts = any(rule.auto_resolve is not None for rule in self.settings.rules)


class Signals(Protocol):
    """Signals from one part of the daemon to another, behind the commit of what it is about."""

    def planned(self, channels: set[str], due: Instant | None) -> None:
        """Pages for these channels were planned, or a timer falls due then: wake who waits for a later time."""

    def mutes_changed(self) -> None:
        """Let open incidents follow: something that mutes began or ended."""

    async def heard(self, heartbeats: Sequence[str], by: str) -> None:
        """Alerts came in that are check-ins of these heartbeats; they count once this returns."""

    def alarm(self, key: str, title: str, because: str) -> None:
        """Trouble of Tocsin's own: its incident opens, or is repeated."""

    def recovered(self, key: str) -> None:
        """The trouble of this key is over."""

    async def attend(self) -> None:
        """Ask before anything is judged late: whether this process stood still meanwhile."""


@dataclass(slots=True)
class Runtime:
    """Shared by all of `work/`; made once by the wiring."""

    store: Store
    clock: Clock
    chance: Chance
    spawn: Spawn
    metrics: Metrics
    live: InForce
    kinds: dict[str, ChannelKind]
    signals: Signals
    policies: Policies = field(init=False)
    stops: Stops = field(init=False)
    duties: Duties = field(init=False)
    mutes: Mutes = field(init=False)
    active_overrides: ActiveOverrides = field(default_factory=ActiveOverrides)
    dead: dict[tuple[str, str], str] = field(default_factory=dict)  # (channel type, address) → why it cannot be used
    verified: set[tuple[str, str, str]] = field(default_factory=set)  # (user, channel type, address) proven by a code
    unsettled: bool = False  # something that mutes began or ended, and whoever follows is woken behind a commit
    poll: Millis = POLL  # a loop with nothing due looks again after this: what others wrote is seen then

    def __post_init__(self) -> None:
        self.policies, self.stops, self.mutes = Policies(self.store), Stops(), self.fresh_mutes()
        self.duties = Duties(self.clock)

    def fresh_mutes(self) -> Mutes:
        """The mutes of the configuration in force, with nothing known yet of what fires."""
        return Mutes(self.settings, People(unusable=self.is_dead))

    @property
    def settings(self) -> Settings:
        return self.live.settings

    def people(self) -> People:
        """Facts about people that the escalation needs beyond the configuration.

        Where others write too the overrides may be some seconds old: who decides whom to page asks `Ledger.people`.
        """
        return People(self.active_overrides.by_schedule(self.settings), self.is_dead)

    def learn(self, state: ContactState) -> None:
        """Take in what became known of an address, after its commit; a dead one raises an alarm."""
        known = (state.channel_kind, state.address)
        who = self.owner_of(state.address)
        key = f"contact/{state.channel_kind}/{who}"
        if state.usable and known in self.dead:
            del self.dead[known]
            self.signals.recovered(key)
        elif not state.usable and known not in self.dead:
            self.dead[known] = state.because
            title = f"{who} cannot be reached by {self.channels_of(state)}"
            self.signals.alarm(key, title, without_addresses(state.because))

    def channels_of(self, state: ContactState) -> str:
        """The channels over which this address is a contact, by the names that people gave them."""
        of_kind = {channel.name for channel in self.settings.channels.values() if channel.type == state.channel_kind}
        contacts = (contact for user in self.settings.users.values() for contact in user.contacts.values())
        names = {contact.channel for contact in contacts if contact.to == state.address}
        return ", ".join(sorted(names & of_kind)) or state.channel_kind

    async def affected(self, incident: Incident) -> Sequence[str]:
        """The services that need its own, for its pages: those that wait for this very incident first."""
        needing = self.mutes.parents.below(incident.service)
        if not needing:
            return ()
        try:
            waiting = await self.store.waiting_for(f"parent:{incident.number}", MOST_AFFECTED)
        except StoreUnavailable:  # fail open: the page goes out
            waiting = []
        return tuple(dict.fromkeys([*waiting, *needing]))[:MOST_AFFECTED]

    def owner_of(self, address: str) -> str:
        """The user whose contact this is; "somebody" when nobody's."""
        for user in self.settings.users.values():
            if any(contact.to == address for contact in user.contacts.values()):
                return user.key
        return "somebody"

    def is_dead(self, contact: Contact) -> bool:
        return bool(self.why_dead(contact))

    def why_dead(self, contact: Contact) -> str:
        """The reason why a contact cannot be used; "" when it can."""
        channel = self.settings.channels.get(contact.channel)
        if channel is None:
            return f"there is no channel {contact.channel}"
        known = (channel.type, contact.to)
        return (self.dead[known] or "its address cannot be used") if known in self.dead else ""

    def is_verified(self, user: str, contact: Contact) -> bool:
        """Whether this person proved this address by a code; a terminal has no address to prove."""
        channel = self.settings.channels.get(contact.channel)
        return channel is not None and (channel.type == "console" or (user, channel.type, contact.to) in self.verified)


class Stops:
    """Cycles that were ended in this process: the gate in front of every call looks here first."""

    def __init__(self) -> None:
        self._cycles: dict[int, int] = {}

    def add(self, incident: Incident) -> None:
        self._cycles.pop(incident.number, None)
        self._cycles[incident.number] = incident.cycle
        if len(self._cycles) > REMEMBERED_STOPS:
            del self._cycles[next(iter(self._cycles))]

    def has(self, incident: int, cycle: int) -> bool:
        return self._cycles.get(incident, 0) >= cycle


class Policies:
    """Frozen policies by the hash of their content: kept for as long as an incident may need them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._frozen: dict[str, Policy] = {}
        self._hashes: dict[int, tuple[Policy, str, str]] = {}
        self.kept: set[str] = set()  # hashes that are in the database for certain: they are never pruned

    def freeze(self, policy: Policy) -> tuple[str, str]:
        """(hash, JSON) of a policy; the caller adds it to its transaction."""
        known = self._hashes.get(id(policy))
        if known is not None and known[0] is policy:
            return known[1], known[2]
        body = orjson.dumps(policy, option=orjson.OPT_SORT_KEYS)
        digest = content_digest(body)
        self._frozen[digest] = policy
        self._hashes[id(policy)] = (policy, digest, body.decode())
        return digest, body.decode()

    async def thaw(self, digest: str) -> Policy | None:
        """The policy an incident was opened under; None for "" (it has none)."""
        if not digest:
            return None
        if digest not in self._frozen:
            body = await self._store.policy_version(digest)
            if body is None:
                return None
            self._frozen[digest] = policy_from(orjson.loads(body))
        return self._frozen[digest]


def content_digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12).hexdigest()

"""Answers of explain: what would become of alerts in this very system. Facts are read, nothing is written.

`decide/whatif/explain.py` decides. The daemon answers from what it has at hand; a command reads the database beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tocsin.contracts import ChannelKind, Clock, IncidentFilter
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.noise.counters import Mark, bulk_tally, flap_tally
from tocsin.decide.noise.storms import row_of
from tocsin.decide.oncall.overrides import extra_of
from tocsin.decide.oncall.reach import People
from tocsin.decide.paging import throttle
from tocsin.decide.routing.alert_terms import Terms, terms_of
from tocsin.decide.routing.grouping import group_of
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.whatif.delivery_forecast import Limits
from tocsin.decide.whatif.explain import MOST_OTHERS, Asking, Facts
from tocsin.decide.whatif.explain_report import shaped, whole
from tocsin.errors import Refused
from tocsin.model import (
    OPEN,
    Attempt,
    Contact,
    ContactState,
    Incident,
    Instant,
    IntegrationConfig,
    Limit,
    MadeOverride,
    Millis,
    Page,
    Parsed,
    Policy,
    Settings,
    Silence,
    StoredAlert,
    Storm,
    Tombstone,
)
from tocsin.work.fair_queue import Crowded, FairTurns
from tocsin.work.frozen_policies import policy_from

if TYPE_CHECKING:  # a command that explains must not load the daemon
    from tocsin.work.noise.storms import Storms
    from tocsin.work.runtime import Runtime

MOST_ALERTS = 100  # of one body that are explained
MOST_EVENTS = 4_000  # of all their incidents together
LINES = 4  # of a plan that count like an event more
AT_ONCE = 5  # events before others get their turn
MOST_WAITING = 8
DONE = object()
MOST_FIRING = 1_000  # alerts of one incident that are looked at
MOST_SILENCES = 10_000
MOST_MARKS = 10_000  # of one threshold
MOST_SHARING = 20  # open incidents beside these that page the same people, perhaps
MOST_SENT = 20_000  # messages of a channel that count for its limits


class Looks(Protocol):
    """The reads this needs: a store's, or a reader's beside it."""

    async def open_alert(self, integration: str, source_key: str) -> StoredAlert | None: ...
    async def tombstone(self, integration: str, source_key: str) -> Tombstone | None: ...
    async def marks(self, tally: str, since: Instant, limit: int) -> list[tuple[Instant, int, str]]: ...
    async def alerts_seen(self, ids: Sequence[int]) -> list[StoredAlert]: ...
    async def storms(self) -> list[Storm]: ...
    async def newest_of_key(self, key: str) -> Incident | None: ...
    async def newest_number(self) -> int: ...
    async def incident(self, number: int) -> Incident | None: ...
    async def incidents(self, where: IncidentFilter, limit: int, before: int | None) -> list[Incident]: ...
    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[StoredAlert]: ...
    async def pages(self, number: int) -> list[tuple[Page, list[Attempt]]]: ...
    async def policy_version(self, hash: str) -> str | None: ...
    async def silences(self, *, active_at: Instant | None, limit: int) -> list[Silence]: ...
    async def contact_states(self) -> list[ContactState]: ...
    async def inhibitors(self) -> list[StoredAlert]: ...
    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]: ...
    async def overrides(self, since: Instant, schedule: str | None = None) -> list[MadeOverride]: ...
    async def sent(self, channel: str, since: Instant, limit: int) -> list[tuple[str, Instant]]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A body that might be posted. `ahead`: how much of the page plan; None: until the catch-all had its turn."""

    integration: IntegrationConfig
    parsed: Parsed
    at: Instant
    ahead: Millis | None = None
    asker: str = ""  # by whom the places to wait are shared


class Foresight:
    """Answers for the running daemon: its rulebook, its silences, its people as they are now. One answer at a time."""

    def __init__(self, runtime: Runtime, storms: Storms) -> None:
        self.runtime, self.storms = runtime, storms
        self._turns = FairTurns(1, MOST_WAITING - 1)

    async def explain(self, asked: Asked) -> dict[str, Any]:
        """The answer as JSON. At most MOST_ALERTS alerts and MOST_EVENTS events; others get their turn in between.

        Raises Refused (429) when MOST_WAITING are under way already and this asker has as many of them as anybody, or
        when its place went to somebody who has fewer; StoreUnavailable.
        """
        try:
            async with self._turns.turn(asked.asker):
                runtime = self.runtime
                settings, rulebook = runtime.live.settings, runtime.live.rulebook
                limits = limits_of(settings, runtime.kinds)
                return await answer(runtime.store, settings, rulebook, self.present(), asked, runtime.clock, limits)
        except Crowded:
            raise Refused("too many ask what would happen; ask again in a moment", status=429) from None

    def present(self) -> Present:
        """Facts that this daemon has at hand; what came lately from memory, where that is the truth."""
        storms = [row_of(one) for one in self.storms.states.values()] if self.runtime.store.exclusive else None
        return Present(self.runtime.people(), self.runtime.mutes, storms)


@dataclass(frozen=True, slots=True)
class Present:
    """Facts that a running daemon has at hand. `mutes`: silences that are compiled already, for compiling keeps the
    interpreter. `storms`: what came lately in each scope; None: the database has it."""

    people: People
    mutes: Mutes | None = None
    storms: Sequence[Storm] | None = None


async def answer(
    looks: Looks | None,
    settings: Settings,
    rulebook: Rulebook,
    present: Present,
    asked: Asked,
    clock: Clock,
    limits: Limits,
) -> dict[str, Any]:
    """Answer of explain as JSON; `looks` None: nothing is known of a running system."""
    shown = replace(asked.parsed, alerts=asked.parsed.alerts[:MOST_ALERTS])
    facts, known = Facts(people=present.people, limits=limits), present.mutes
    if looks is not None:
        facts = await known_now(looks, settings, rulebook, present, replace(asked, parsed=shown), clock, limits)
    mutes = Mutes(settings, present.people)
    if known is not None:
        mutes.know(known)
        facts = replace(facts, silences=[one for one in facts.silences if one.id not in known.unreadable])
    asking = Asking(settings, rulebook, asked.integration, asked.at, facts, mutes)
    for alert in shown.alerts:
        asking.about(alert)
        await clock.turn()
    left = await _plan(asking, asked.ahead, clock)
    alerts = []
    for one in asking.found:
        alerts.append(shaped(one, settings, asked.at))
        await clock.turn()
    left_out = len(asked.parsed.alerts) - len(shown.alerts)
    return whole(alerts, shown, settings, asked.at, left_out, cut=not left)


async def known_now(
    looks: Looks, settings: Settings, rulebook: Rulebook, present: Present, asked: Asked, clock: Clock, limits: Limits
) -> Facts:
    """Facts of the running system, as far as they have a say in what becomes of these alerts."""
    facts = await facts_of(looks, rulebook, asked.integration, asked.parsed, present.people, clock)
    facts = await with_what_mutes(looks, settings, facts)
    facts = await with_others(looks, facts, await looks.storms() if present.storms is None else present.storms)
    return replace(facts, limits=limits, sent=await sent_lately(looks, limits, clock.now()))


async def _plan(asking: Asking, ahead: Millis | None, clock: Clock) -> int:
    """The plans, a few events at a time; how many events are left of MOST_EVENTS."""
    going, left = asking.going(ahead), MOST_EVENTS
    lines, since = 0, 0
    while left > 0 and next(going, DONE) is not DONE:
        cost = 1 + (asking.lines - lines) // LINES
        lines, left, since = asking.lines, left - cost, since + cost
        if since >= AT_ONCE:
            since = 0
            await clock.turn()
    going.close()
    await clock.turn()
    return max(left, 0)


async def facts_of(
    looks: Looks, rulebook: Rulebook, integration: IntegrationConfig, parsed: Parsed, people: People, clock: Clock
) -> Facts:
    """Facts about these alerts and about the incidents they would join or change."""
    alerts: dict[str, StoredAlert] = {}
    incidents: dict[str, Incident] = {}
    tombstones: dict[str, Tombstone] = {}
    marks: dict[str, Sequence[Mark]] = {}
    for alert in parsed.alerts:
        key = alert.source_key or ""
        if key and key not in alerts and (stored := await looks.open_alert(integration.name, key)) is not None:
            alerts[key] = stored
        if key and key not in tombstones and (ended := await looks.tombstone(integration.name, key)) is not None:
            tombstones[key] = ended
        if alert.status in ("firing", "heartbeat"):
            verdict = rulebook.walk(alert, integration)
            group = group_of(verdict, key, integration.name).key
            if group not in incidents and (newest := await looks.newest_of_key(group)) is not None:
                incidents[group] = newest
            await _count(looks, verdict.terms, bulk_tally(group), flap_tally(integration.name, key), marks, clock.now())
        elif key in alerts:
            await _count(looks, terms_of(alerts[key].terms), "", flap_tally(integration.name, key), marks, clock.now())
        await clock.turn()
    for number in {one.incident for one in alerts.values() if one.incident} - {
        one.number for one in incidents.values()
    }:
        if (found := await looks.incident(number)) is not None:
            incidents[found.key] = found
    waiting = {mark.alert for tally in marks if tally.startswith(bulk_tally("")) for mark in marks[tally]}
    found_around = await around(looks, incidents, alerts, people, clock.now())
    counted = {one.id: one for one in await looks.alerts_seen(sorted(waiting))}
    return replace(found_around, marks=marks, counted=counted, tombstones=tombstones)


async def _count(
    looks: Looks, terms: Terms | None, bulk: str, flap: str, marks: dict[str, Sequence[Mark]], now: Instant
) -> None:
    """Read what the threshold and the flap rule of an alert have counted within their windows."""
    asked: dict[str, Millis] = {}
    if terms is not None and terms.threshold is not None:
        asked[bulk] = terms.threshold.within
    if terms is not None and terms.flap is not None:
        asked[flap] = terms.flap.within
    for tally, within in asked.items():
        if tally not in marks:
            marks[tally] = [Mark(*row) for row in await looks.marks(tally, Instant(now - within), MOST_MARKS)]


async def around(
    looks: Looks,
    incidents: Mapping[str, Incident],
    alerts: Mapping[str, StoredAlert],
    people: People,
    now: Instant,
) -> Facts:
    """Add all that has a say in the paging of these incidents."""
    opened = [one for one in incidents.values() if one.open]
    return Facts(
        incidents,
        alerts,
        await looks.silences(active_at=None, limit=MOST_SILENCES),
        people,
        {one.number: await firing_of(looks, one) for one in opened},
        {one.number: await pages_of(looks, one) for one in opened},
        await policies_of(looks, opened),
        next_number=await looks.newest_number() + 1,
        now=now,
    )


async def with_what_mutes(looks: Looks, settings: Settings, facts: Facts) -> Facts:
    """Add the alerts that keep others quiet, and the services that are down."""
    mutes = Mutes(settings)
    sources = await looks.inhibitors() if mutes.inhibited.rules else []
    numbers = sorted({one.incident for one in sources if one.incident is not None})
    down = await looks.down(sorted(mutes.parents.services), numbers)
    foreseen = [one for one in down[:MOST_OTHERS] if one.number not in facts.firing]
    firing = {one.number: await firing_of(looks, one) for one in foreseen}
    pages = {one.number: await pages_of(looks, one) for one in foreseen}
    policies = await policies_of(looks, foreseen)
    return replace(
        facts, sources=sources, down=down, firing={**facts.firing, **firing}, pages={**facts.pages, **pages},
        policies={**facts.policies, **policies},
    )  # fmt: skip


async def with_others(looks: Looks, facts: Facts, storms: Sequence[Storm]) -> Facts:
    """Add the storms that are on or that took these in, and the newest incidents open beside them."""
    known = {one.number for one in facts.incidents.values()} | facts.firing.keys()
    numbers = {one.incident for one in storms} | {one.storm for one in facts.incidents.values()}
    found = [await looks.incident(number) for number in sorted(one for one in numbers if one is not None)]
    beside = await looks.incidents(IncidentFilter(status=tuple(sorted(OPEN))), MOST_SHARING, None)
    others = {one.number: one for one in (*found, *beside) if one is not None and one.number not in known}
    firing = {one.number: await firing_of(looks, one) for one in others.values()}
    pages = {one.number: await pages_of(looks, one) for one in others.values()}
    policies = await policies_of(looks, others.values())
    return replace(
        facts, storms=storms, others=tuple(others.values()), firing={**facts.firing, **firing},
        pages={**facts.pages, **pages}, policies={**facts.policies, **policies},
    )  # fmt: skip


async def firing_of(looks: Looks, incident: Incident) -> Sequence[StoredAlert]:
    found = await looks.incident_alerts(incident.number, MOST_FIRING, None)
    return tuple(alert for alert in found if alert.ended_at is None)


async def pages_of(looks: Looks, incident: Incident) -> Sequence[Page]:
    """The pages of its cycle, whatever became of them."""
    return tuple(
        page for page, _ in await looks.pages(incident.number) if page.kind == "page" and page.cycle == incident.cycle
    )


async def policies_of(looks: Looks, incidents: Iterable[Incident]) -> dict[str, Policy]:
    """The policies under which these incidents run, by hash."""
    found: dict[str, Policy] = {}
    for digest in {one.policy_hash for one in incidents if one.policy_hash}:
        body = await looks.policy_version(digest)
        if body is not None:
            found[digest] = policy_from(orjson.loads(body))
    return found


def limits_of(settings: Settings, kinds: Mapping[str, ChannelKind]) -> Limits:
    """The limits of each channel that has any, as the pager keeps them."""
    found: dict[str, tuple[Limit, ...]] = {}
    loud: dict[str, str] = {}
    for name, channel in settings.channels.items():
        kind = kinds.get(channel.type)
        loud[name] = kind.throttle if kind is not None else ""
        limits = throttle.limits_for(settings, name, loud[name])
        if limits:
            found[name] = limits
    return Limits(found, loud)


async def sent_lately(looks: Looks, limits: Limits, now: Instant) -> dict[tuple[str, str], list[Instant]]:
    """Times of what went over these channels as long ago as their limits look back."""
    found: dict[tuple[str, str], list[Instant]] = {}
    for channel, each in limits.by_channel.items():
        for user, at in await looks.sent(channel, Instant(now - throttle.longest(each)), MOST_SENT):
            found.setdefault((user, channel), []).append(at)
    return {key: sorted(times) for key, times in found.items()}


async def people_in(looks: Looks, settings: Settings) -> People:
    """People as the database knows them: for who reads it beside the daemon."""
    dead = {(one.channel_kind, one.address) for one in await looks.contact_states() if not one.usable}
    made = extra_of(await looks.overrides(Instant(0)), settings)

    def unusable(contact: Contact) -> bool:
        channel = settings.channels.get(contact.channel)
        return channel is None or (channel.type, contact.to) in dead

    return People(made, unusable)

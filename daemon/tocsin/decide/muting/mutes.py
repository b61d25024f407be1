"""Mutes: silences, maintenance windows, inhibitions and parents that are down, and which of them mutes an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from tocsin.decide.muting.attention import is_attended, is_told, rings
from tocsin.decide.muting.dependencies import Parents
from tocsin.decide.muting.inhibitions import Inhibitions
from tocsin.decide.muting.maintenance import MaintenanceWindow, in_force, upcoming
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.matchers import Matcher, hit_all, parse
from tocsin.decide.routing.rules import meaning
from tocsin.model import MINUTE, Incident, Instant, Maintenance, Millis, Priority, Settings, Silence, StoredAlert

LOOKED_AT = Millis(5 * MINUTE)  # what ends at an instant nobody knows is looked at so often, whatever was missed
PREPARED = 4  # silences that are being made at once
FAR = Instant(1 << 62)
Attends = Callable[[Incident, Settings, People, Instant], bool]
NOBODY_ELSE = People()
NEVER = Instant(0)
REMEMBERED = 20_000  # versions of incidents that are over
FROM_INCIDENT = ("category", "impact", "urgency", "priority", "policy")


@dataclass(frozen=True, slots=True)
class Mute:
    """Reason why an alert does not page now, and its end. `reason`: `silence:ID`, `maintenance:NAME`, `inhibition:NAME`
    or `parent:NUMBER`. `open_ended`: `until` is only when it is looked at again."""

    reason: str
    until: Instant
    open_ended: bool = False


class Mutes:
    """Silences and all else that mutes, as far as this process knows.

    Silences are refreshed from the store and changed with each one made here; windows, inhibitions and dependencies
    are the configuration's, with the sources and parents in force.
    """

    def __init__(self, settings: Settings | None = None, people: People = NOBODY_ELSE) -> None:
        self._silences: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}
        self._prepared: dict[tuple[str, ...], tuple[Matcher, ...]] = {}
        self.unreadable: dict[str, str] = {}  # silences by id, and why
        self._looked = self._looked_before = Instant(0)
        self.windows = Windows(settings.maintenance if settings is not None else ())
        self.inhibited = Inhibitions(settings.inhibitions if settings is not None else ())
        self.parents = Parents(settings.services) if settings is not None else Parents()
        self._settings, self._people = settings, people
        self._seen: dict[int, Incident] = {}  # open incidents that may keep others quiet, as they were seen last
        self._versions: dict[int, int] = {}  # of those seen, those that are over among them
        self.turn = 0  # counts what changed among sources and parents

    @property
    def watching(self) -> bool:
        """Whether alerts or incidents that come may mute others."""
        return bool(self.inhibited.rules or self.parents.services)

    def take_over(self, other: Mutes) -> None:
        """Windows, inhibitions and dependencies as the other has them; silences stay."""
        self.windows, self._settings, self._people = other.windows, other._settings, other._people
        self._take_watched(other)

    def _take_watched(self, other: Mutes) -> None:
        self.inhibited, self.parents = other.inhibited, other.parents
        self._seen, self._versions = other._seen, other._versions
        self.turn += 1

    def learn(self, sources: Iterable[StoredAlert], incidents: Iterable[Incident], now: Instant) -> None:
        """Learn that these sources fire and these incidents of sources and parents are open, and no others."""
        fresh = Mutes(None, self._people)
        fresh._settings = self._settings
        fresh.inhibited, fresh.parents = self.inhibited.empty(), self.parents.empty()
        for alert in sources:
            fresh.inhibited.fires(identity_of(alert), fresh.inhibited.standing(stored_values(alert)), alert.incident)
        for incident in incidents:
            fresh.see_incident(incident, now)
        self._take_watched(fresh)

    def watches(self, incident: Incident) -> bool:
        """Whether it may keep others quiet."""
        return incident.service in self.parents.services or incident.number in self.inhibited.incidents

    def would_change(self, incident: Incident, now: Instant) -> bool:
        """Whether `see_incident` would change what is kept quiet."""
        return self.parents.changes(incident, attended=self._is(is_attended, incident, now)) or (
            incident.number in self.inhibited.incidents
            and self.inhibited.changes(incident.number, told=self._is(is_told, incident, now))
        )

    def see_incident(self, incident: Incident, now: Instant) -> bool:
        """An incident as it is now; whether that changes what is kept quiet. An older version than one seen is
        passed over."""
        if not self.watches(incident) or self._versions.get(incident.number, 0) > incident.version:
            return False
        self._remember(incident)
        changed = self.parents.see(incident, attended=self._is(is_attended, incident, now))
        if incident.number in self.inhibited.incidents:
            changed |= self.inhibited.tell(incident.number, told=self._is(is_told, incident, now))
        self.turn += changed
        return changed

    def see_people(self, now: Instant) -> bool:
        """Contacts became unusable, or usable again; whether that changes what is kept quiet."""
        before = self.turn
        for incident in list(self._seen.values()):
            self.see_incident(incident, now)
        return self.turn != before

    def _is(self, asked: Attends, incident: Incident, now: Instant) -> bool:
        return self._settings is not None and asked(incident, self._settings, self._people, now)

    def _remember(self, incident: Incident) -> None:
        self._versions[incident.number] = incident.version
        if incident.open:
            self._seen[incident.number] = incident
        else:
            self._seen.pop(incident.number, None)
        if len(self._versions) > REMEMBERED + len(self._seen):
            self._versions = {number: seen.version for number, seen in self._seen.items()}

    def forget(self, alerts: Iterable[StoredAlert]) -> bool:
        """Forget these alerts, which end; whether one of them kept others quiet."""
        ended = [self.inhibited.ends(identity_of(alert)) for alert in alerts] if self.inhibited else ()
        self.turn += any(ended)
        return any(ended)

    def fork(self) -> Mutes:
        """A copy for one piece of work that knows of more."""
        other = Mutes(None, self._people)
        other._settings = self._settings
        other._silences, other.windows, other.turn = self._silences, self.windows, self.turn
        other.inhibited, other.parents = self.inhibited.fork(), self.parents.fork()
        return other

    def replace(self, silences: Iterable[Silence]) -> None:
        """Take these silences and no others; what was compiled is used again."""
        before, self._silences = self._silences, {}
        self.unreadable = {}
        for silence in silences:
            known = before.get(silence.id)
            if known is not None and known[0].matchers == silence.matchers:
                self._silences[silence.id] = (silence, known[1])
            else:
                self.set(silence)

    def prepare(self, texts: Sequence[str], matchers: Sequence[Matcher]) -> None:
        """A silence with these matchers is about to be made: they are compiled already."""
        if len(self._prepared) >= PREPARED:
            del self._prepared[next(iter(self._prepared))]
        self._prepared[tuple(texts)] = tuple(matchers)

    def among(
        self, silences: Iterable[Silence], sources: Iterable[StoredAlert] | None = None,
        incidents: Iterable[Incident] = (), now: Instant = NEVER,
    ) -> Mutes:  # fmt: skip
        """A copy with these silences, and with `sources` these firing ones, their incidents and those of parents; what
        was compiled here is used again."""
        others = Mutes(None, self._people)
        others._settings, others.windows, others.turn = self._settings, self.windows, self.turn
        others._prepared = self._prepared
        others.inhibited, others.parents = self.inhibited, self.parents
        for silence in silences:
            known = self._silences.get(silence.id)
            if known is not None and known[0] == silence:
                others._silences[silence.id] = known
            else:
                others.set(silence)
        if sources is not None:
            others.learn(sources, incidents, now)
        return others

    def know(self, other: Mutes) -> None:
        """The silences of another, as compiled; `replace` says which of them count."""
        self._silences = dict(other._silences)

    def set(self, silence: Silence) -> None:
        """Take a silence as it is now. One whose matchers cannot be read mutes nothing: its alerts page."""
        try:
            matchers = self._prepared.get(silence.matchers) or tuple(
                parse(text, small=True) for text in silence.matchers
            )
        except ValueError as wrong:
            self._silences.pop(silence.id, None)
            self.unreadable[silence.id] = str(wrong)
        else:
            self._silences[silence.id] = (silence, matchers)

    def load(self, now: Instant, but: str | None = None) -> tuple[int, int]:
        """Silences that have not ended, and the patterns in them: what each alert is compared with; without `but`."""
        lasting = [
            matchers for silence, matchers in self._silences.values() if silence.ends_at > now and silence.id != but
        ]
        return len(lasting), sum(matcher.is_pattern for matchers in lasting for matcher in matchers)

    def see(self, alert: StoredAlert, *, counts: bool = True) -> bool:
        """An open alert as it is now; whether that changes what it keeps quiet."""
        standing = self.inhibited.standing(stored_values(alert)) if counts and alert.ended_at is None else ()
        changed = self.inhibited.fires(identity_of(alert), standing, alert.incident)
        self.turn += changed
        return changed

    def changed(self, silences: Iterable[Silence], now: Instant) -> frozenset[str]:
        """Silences known here that mute otherwise, or no longer, according to `silences`."""
        newer = {silence.id: silence for silence in silences}
        return frozenset(
            id_ for id_, (silence, _) in self._silences.items() if silence.ends_at > now and newer.get(id_) != silence
        )

    def starting(self, now: Instant) -> list[Silence]:
        """Silences that were made for later and whose time has come since the last call."""
        begun = [
            silence
            for silence, _ in self._silences.values()
            if self._looked < silence.starts_at <= now < silence.ends_at
        ]
        self._looked, self._looked_before = now, self._looked
        return begun

    def next_start(self, after: Instant) -> Instant | None:
        """Beginning of the next silence or window that begins later than `after`."""
        starts = [silence.starts_at for silence, _ in self._silences.values() if silence.starts_at > after]
        return min([*starts, *self.windows.starts(after)], default=None)

    def starts_at(self, now: Instant) -> bool:
        """Whether one begins at this very instant."""
        return any(silence.starts_at == now for silence, _ in self._silences.values()) or self.windows.starts_at(now)

    def hitting(self, value_of: Callable[[str], str], now: Instant) -> list[Silence]:
        """The active silences whose matchers hit, the one that ends last first."""
        hit = [
            silence
            for silence, matchers in self._silences.values()
            if silence.starts_at <= now < silence.ends_at and hit_all(matchers, value_of)
        ]
        return sorted(hit, key=lambda silence: silence.ends_at, reverse=True)

    def look_again(self) -> None:
        """As if the last call of `starting` had not been."""
        self._looked = self._looked_before

    def of(
        self, value_of: Callable[[str], str], now: Instant, priority: Priority | None, own: int | None = None
    ) -> Mute | None:
        """The silence or window that lasts longest, else what keeps it quiet while it lasts; None: it may page.

        `priority`: of its incident; None: no parent keeps it quiet, whatever is down. `own`: its incident, which keeps
        no alert of its own quiet: else it would be quiet since it pages, and page since it is quiet.
        """
        longest: Mute | None = None
        for silence, matchers in self._silences.values():
            if silence.starts_at <= now < silence.ends_at and hit_all(matchers, value_of):
                if longest is None or silence.ends_at > longest.until:
                    longest = Mute(f"silence:{silence.id}", silence.ends_at)
        window = self.windows.over(value_of, now) if self.windows else None
        if window is not None and (longest is None or window.end > longest.until):
            longest = Mute(f"maintenance:{window.name}", window.end)
        return longest or self._while_it_lasts(value_of, now, priority, own)

    def _while_it_lasts(
        self, value_of: Callable[[str], str], now: Instant, priority: Priority | None, own: int | None
    ) -> Mute | None:
        inhibited = self.inhibited.by(value_of, own) if self.inhibited else None
        if inhibited is not None:
            return Mute(f"inhibition:{inhibited.name}", Instant(now + LOOKED_AT), open_ended=True)
        asked = priority is not None and bool(self.parents)
        down = self.parents.over(value_of("field.service"), priority, own) if asked and priority is not None else None
        if down is not None:
            return Mute(f"parent:{down.number}", Instant(now + LOOKED_AT), open_ended=True)
        return None

    def any_at(self, now: Instant) -> bool:
        """Whether anything at all mutes at this instant."""
        return bool(self._silences or self.inhibited or self.parents or self.windows.in_force(now))

    def __bool__(self) -> bool:
        return bool(self._silences or self.windows or self.inhibited or self.parents)


class Windows:
    """The maintenance windows with their matchers compiled; each knows until when it has nothing new to say."""

    def __init__(self, planned: Sequence[Maintenance]) -> None:
        self.planned = tuple(planned)
        self._matchers = tuple(tuple(parse(text) for text in maintenance.match) for maintenance in planned)
        self._now: tuple[tuple[MaintenanceWindow, tuple[Matcher, ...]], ...] = ()
        self._holds: tuple[Instant, Instant] = (Instant(0), Instant(0))

    def forget(self) -> None:
        """Work it out anew: the clock was stepped."""
        self._holds = (Instant(0), Instant(0))

    def in_force(self, now: Instant) -> tuple[tuple[MaintenanceWindow, tuple[Matcher, ...]], ...]:
        """The windows in force; worked out anew only after one began or ended."""
        since, until = self._holds
        if not since <= now < until:
            planned = zip(self.planned, self._matchers, strict=True)
            self._now = tuple(
                (window, how) for maintenance, how in planned if (window := in_force(maintenance, now)) is not None
            )
            edges = [*(window.end for window, _ in self._now), *self.starts(now)]
            self._holds = (now, min(edges, default=FAR))
        return self._now

    def over(self, value_of: Callable[[str], str], now: Instant) -> MaintenanceWindow | None:
        """The window in force that hits and ends last."""
        hit = [window for window, matchers in self.in_force(now) if hit_all(matchers, value_of)]
        return max(hit, key=lambda window: window.end, default=None)

    def hits(self, name: str, value_of: Callable[[str], str]) -> bool:
        """Whether the window of this name is about such an alert, in force or not."""
        planned = zip(self.planned, self._matchers, strict=True)
        return any(maintenance.name == name and hit_all(matchers, value_of) for maintenance, matchers in planned)

    def next_edge(self, after: Instant) -> Instant | None:
        """Next instant at which a window begins or ends."""
        ends = [window.end for window, _ in self.in_force(after)]
        return min([*ends, *self.starts(after)], default=None)

    def starts(self, after: Instant) -> list[Instant]:
        """Next beginning of each window."""
        return [window.start for maintenance in self.planned if (window := upcoming(maintenance, after)) is not None]

    def starts_at(self, now: Instant) -> bool:
        return any(
            window.start == now for maintenance in self.planned if (window := in_force(maintenance, now)) is not None
        )

    def __bool__(self) -> bool:
        return bool(self.planned)


def over_now(reason: str) -> str:
    """In words that what muted has ended."""
    kind, _, what = reason.partition(":")
    match kind:
        case "maintenance":
            return f"the maintenance window '{what}' ended"
        case "inhibition":
            return f"nothing inhibits it any more ({what})"
        case "parent":
            return f"INC {what} of a service it depends on is over, or nobody is on it"
        case _:
            return "the silence ended"


def counts_as_source(alert: StoredAlert, settings: Settings) -> bool:
    """Whether an open alert may keep others quiet: it fires, or a rule suppressed it. Not what a rule dropped, nor what
    waits until a threshold is reached."""
    if alert.ended_at is not None:
        return False
    by_a_rule = alert.status == "suppressed" and any(
        rule.suppress and rule.name in alert.rules for rule in settings.rules
    )
    return by_a_rule or alert.status == "firing"


def identity_of(alert: StoredAlert) -> str:
    return f"{alert.integration}\0{alert.source_key}"


def stored_values(alert: StoredAlert, incident: Incident | None = None) -> Callable[[str], str]:
    """Values of a stored alert as matchers see them: names as they stand after the rules.

    What rules may set and an alert does not keep (category, priority and so on) is taken from its incident.
    """
    fields = {
        "integration": alert.integration,
        "service": alert.service,
        "severity": alert.severity,
        "title": alert.title,
        "source": alert.source,
        "description": alert.description,
    }
    fields |= {name: getattr(incident, name) if incident is not None else "" for name in FROM_INCIDENT}
    return lambda name: meaning(name, fields, alert.labels, alert.written)


def muting(incident: Incident, alerts: Sequence[StoredAlert], mutes: Mutes, now: Instant) -> Mute | None:
    """The mute that ends first, when every firing alert of the incident is under one."""
    if not mutes or incident.status != "triggered":
        return None
    priority = None if rings(incident) else incident.priority
    mute_of_each = [mutes.of(stored_values(alert, incident), now, priority, incident.number) for alert in alerts]
    certain = [mute for mute in mute_of_each if mute is not None]
    if not certain or len(certain) < len(mute_of_each):
        return None
    first = min(certain, key=lambda mute: mute.until)
    if first.open_ended and any(mute.reason == incident.muted_by for mute in certain):
        first = replace(first, reason=incident.muted_by or first.reason)  # it stays told as it was
    return first

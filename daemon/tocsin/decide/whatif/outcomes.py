"""Outcomes of alerts: incidents, whom they paged, what healed by itself; and how two outcomes differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tocsin.model import EMPTY, SECOND, Instant, Millis, rfc3339

Identity = tuple[str, str, Instant]
"""(integration, dedup key, when it fired first): one alert, however often it was repeated."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A page that went out. `bundled`: inside a summary with others, so it made no message of its own."""

    incident: int
    at: Instant
    user: str  # "" for a channel target
    target: str
    channel: str
    bundled: bool
    night: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """An incident as it ended up. `opened_by`: the alert that opened it."""

    number: int
    key: str
    title: str
    service: str
    severity: str
    priority: str
    status: str
    integration: str
    opened_at: Instant
    alerts: int
    healed: bool  # resolved by its alerts, before anybody was paged
    opened_by: str
    pages: tuple[Sent, ...] = ()

    @property
    def identity(self) -> Identity:
        return self.integration, self.opened_by, self.opened_at


@dataclass(frozen=True, slots=True)
class Fate:
    """Answer that a person once gave to an alert, and whether its incident paged anybody this time."""

    at: Instant
    integration: str
    source_key: str
    user: str
    kind: str
    incident: int
    paged: bool


@dataclass(frozen=True, slots=True)
class Played:
    """Outcome of a replay. `whereabouts`: alert → number of its incident, 0 where it has none."""

    cases: Mapping[int, Case] = field(default_factory=dict)
    whereabouts: Mapping[Identity, int] = field(default_factory=dict)
    counts: Mapping[str, int] = EMPTY
    fates: tuple[Fate, ...] = ()
    skipped: Mapping[str, int] = EMPTY

    def pages(self) -> Iterator[Sent]:
        return (page for case in self.cases.values() for page in case.pages)


@dataclass(frozen=True, slots=True)
class Figures:
    """An outcome in numbers. Pages are messages: a summary counts once."""

    alerts: int
    without_incident: int
    incidents: int
    pages: int
    bundled: int
    night_pages: int
    healed: int
    never_paged: int
    per_person: Mapping[str, int]
    nights_per_person: Mapping[str, int]


def figures(played: Played) -> Figures:
    messages = [page for page in played.pages() if not page.bundled]
    people = Counter(page.user or page.target for page in messages)
    nights = Counter(page.user for page in messages if page.night)
    return Figures(
        alerts=played.counts.get("alerts", 0),
        without_incident=played.counts.get("dropped", 0),
        incidents=len(played.cases),
        pages=len(messages),
        bundled=sum(page.bundled for page in played.pages()),
        night_pages=sum(nights.values()),
        healed=sum(case.healed for case in played.cases.values()),
        never_paged=sum(not case.pages for case in played.cases.values()),
        per_person=dict(sorted(people.items())),
        nights_per_person=dict(sorted(nights.items())),
    )


# --------------------------------------------------------------------------------- before and after

Change = Literal["gone", "new", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """An incident that is not the same in both outcomes. `went`: what became of its first alert where it is gone."""

    change: Change
    before: Case | None
    after: Case | None
    went: str = ""


@dataclass(frozen=True, slots=True)
class Missed:
    """An alert about which a person was paged and acted; now nobody would be paged."""

    fate: Fate
    before: Case
    because: str


@dataclass(frozen=True, slots=True)
class Weakened:
    """A critical incident that pages fewer people, later, or nobody, whether or not anybody has answered it.

    `silent`: nobody would be paged for it at all.
    """

    before: Case
    because: str
    silent: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    before: Figures
    after: Figures
    differences: tuple[Difference, ...]
    missed: tuple[Missed, ...]
    weakened: tuple[Weakened, ...]
    answers: int  # recorded answers: with none, what was acted on is not known
    skipped: Mapping[str, int] = field(default_factory=dict)


def compare(before: Played, after: Played) -> Comparison:
    return Comparison(
        figures(before), figures(after), tuple(_differences(before, after)), tuple(_missed(before, after)),
        tuple(_weakened(before, after)), len(before.fates), dict(before.skipped),
    )  # fmt: skip


def _differences(before: Played, after: Played) -> Iterator[Difference]:
    """In order of time."""
    earlier = {case.identity: case for case in before.cases.values()}
    later = {case.identity: case for case in after.cases.values()}
    for identity in sorted({*earlier, *later}, key=lambda one: (one[2], one)):
        old, new = earlier.get(identity), later.get(identity)
        if old is not None and new is not None:
            if _looks(old) != _looks(new):
                yield Difference("changed", old, new)
        elif old is not None:
            yield Difference("gone", old, None, _went(identity, after))
        else:
            yield Difference("new", None, new, _went(identity, before))


def _looks(case: Case) -> tuple[Any, ...]:
    """Parts that make a difference to people."""
    pages = tuple((page.at, page.user or page.target, page.channel, page.bundled) for page in case.pages)
    return case.key, case.title, case.service, case.priority, case.alerts, case.healed, pages


def _went(identity: Identity, played: Played) -> str:
    number = played.whereabouts.get(identity)
    case = played.cases.get(number or 0)
    return f"in {case.key}" if case is not None else "no incident"


def _missed(before: Played, after: Played) -> Iterator[Missed]:
    """Alerts, each once."""
    seen: set[tuple[str, str, int]] = set()
    for old, new in zip(before.fates, after.fates, strict=True):
        case = before.cases.get(old.incident)
        one = (old.integration, old.source_key, old.incident)
        if not old.paged or new.paged or case is None or one in seen:
            continue
        seen.add(one)
        found = after.cases.get(new.incident)
        yield Missed(old, case, _unpaged(found))


def _weakened(before: Played, after: Played) -> Iterator[Weakened]:
    """In order of time."""
    for case in sorted(before.cases.values(), key=lambda one: one.opened_at):
        if case.severity == "critical" and case.pages:
            now = after.cases.get(after.whereabouts.get(case.identity, 0))
            heard = [page for page in now.pages if page.at >= case.opened_at] if now is not None else []
            if not heard:
                yield Weakened(case, _silent(now), True)
            elif less := _less(case, heard):
                yield Weakened(case, less, False)


def _silent(case: Case | None) -> str:
    if case is not None and case.pages:
        return f"it joins {case.key}, which had paged before"
    return _unpaged(case)


def _less(case: Case, heard: Sequence[Sent]) -> str:
    """Words for what people would hear less of it than they did; "" where nothing."""
    later = min(page.at for page in heard) - min(page.at for page in case.pages)
    missing = sorted({page.user or page.target for page in case.pages} - {page.user or page.target for page in heard})
    fewer = len(case.pages) - len(heard)
    said = (
        f"first paged {round(later / SECOND)} s later" if later > 0 else "",
        f"no longer pages {', '.join(missing)}" if missing else "",
        f"{fewer} page{'s' if fewer > 1 else ''} less" if fewer > 0 else "",
    )
    return "; ".join(filter(None, said))


def _unpaged(case: Case | None) -> str:
    if case is None:
        return "it is in no open incident"
    return f"its incident {case.key} {'heals before anybody is paged' if case.healed else 'pages nobody'}"


# ------------------------------------------------------------------------------------------- JSON


def comparison_view(found: Comparison) -> dict[str, Any]:
    return {
        "before": figures_view(found.before),
        "after": figures_view(found.after),
        "differences": [_difference_view(one) for one in found.differences],
        "missed": [_missed_view(one) for one in found.missed] if found.answers else None,
        "critical_paged_less": [_weakened_view(one) for one in found.weakened],
        "answers": found.answers,
        "skipped": dict(found.skipped),
    }


def figures_view(found: Figures) -> dict[str, Any]:
    people = sorted({*found.per_person, *found.nights_per_person})
    return {
        "alerts": found.alerts,
        "without_incident": found.without_incident,
        "incidents": found.incidents,
        "pages": found.pages,
        "bundled_pages": found.bundled,
        "night_pages": found.night_pages,
        "self_healed": found.healed,
        "never_paged": found.never_paged,
        "people": [
            {"who": who, "pages": found.per_person.get(who, 0), "night_pages": found.nights_per_person.get(who, 0)}
            for who in people
        ],
    }


def _difference_view(one: Difference) -> dict[str, Any]:
    return {
        "change": one.change,
        "before": None if one.before is None else case_view(one.before),
        "after": None if one.after is None else case_view(one.after),
        "went": one.went or None,
    }


def case_view(case: Case) -> dict[str, Any]:
    return {
        "key": case.key,
        "title": case.title,
        "service": case.service or None,
        "severity": case.severity,
        "priority": case.priority,
        "status": case.status,
        "opened_at": rfc3339(case.opened_at),
        "alerts": case.alerts,
        "self_healed": case.healed,
        "pages": [
            {"at": rfc3339(page.at), "who": page.user or page.target, "channel": page.channel, "bundled": page.bundled}
            for page in case.pages
        ],
    }


def _missed_view(one: Missed) -> dict[str, Any]:
    fate = one.fate
    return {
        "integration": fate.integration,
        "dedup_key": fate.source_key,
        "title": one.before.title,
        "service": one.before.service or None,
        "at": rfc3339(fate.at),
        "by": fate.user,
        "did": fate.kind,
        "because": one.because,
    }


def _weakened_view(one: Weakened) -> dict[str, Any]:
    return {
        "key": one.before.key,
        "title": one.before.title,
        "service": one.before.service or None,
        "opened_at": rfc3339(one.before.opened_at),
        "pages_nobody": one.silent,
        "because": one.because,
    }


def first_page(case: Case) -> Millis | None:
    """Time from its opening to the first page."""
    return Millis(min(page.at for page in case.pages) - case.opened_at) if case.pages else None


def paged_first(case: Case) -> tuple[str, ...]:
    """People whom the first pages went to, by name."""
    return paged_at(case.pages, min(page.at for page in case.pages)) if case.pages else ()


def paged_at(pages: Iterable[Sent], at: Instant) -> tuple[str, ...]:
    return tuple(sorted({page.user or page.target for page in pages if page.at == at}))

"""Noise report: the loudest alerts, those that flap, those nobody ever acts on; and a rule for each.

A proposal never costs a page that somebody needed: kinds with a critical alert or an open incident get none, and each
rule leaves alone what is critical later on.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.model import MINUTE, SECOND, Instant, Millis

GROUPS = 5_000  # kinds of alerts that are counted one by one; the rest together
FLAPS = 4  # firings of one identity within FLAP_WITHIN make it a flapper
FLAP_WITHIN = Millis(30 * MINUTE)
SHORT = Millis(15 * MINUTE)  # what mostly heals within this may be held for as long
BURST = 3  # so many alerts of a kind within BURST_WITHIN belong together
BURST_WITHIN = Millis(5 * MINUTE)
SHARED = ("cluster", "namespace", "job", "datacenter", "region", "environment", "env")
"""Labels that trouble is usually shared by, the best first."""
REMEMBERED = 2_000  # identities and lengths a kind is judged by
_NUMBERS = re.compile(r"[0-9a-fA-F]{8,}|\d+(?:[.,:]\d+)*")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class Heard:
    """Alert as received, and what became of it."""

    integration: str
    source_key: str
    severity: str
    title: str
    service: str
    status: str
    incident: int | None
    received_at: Instant
    ended_at: Instant | None
    count: int
    pages: int  # of its incident
    labels: Mapping[str, str]
    acted: bool  # a person, or an integration for one, acted on its incident
    open: bool = False  # its incident has not ended: what will become of it is not known yet


@dataclass(slots=True)
class Kind:
    """Alerts of one name and service."""

    name: str
    service: str
    alertname: bool  # the name is the label alertname, else it is the title
    firings: int = 0
    posts: int = 0  # repeats included
    incidents: set[int] = field(default_factory=set)
    acted: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    pages: dict[int, int] = field(default_factory=dict)
    fired: dict[str, list[Instant]] = field(default_factory=dict)  # by identity, the last few
    lengths: list[Millis] = field(default_factory=list)  # of those that healed without a person
    labels: Counter[str] = field(default_factory=Counter)
    recent: list[Instant] = field(default_factory=list)
    bursts: int = 0  # firings that came close on others
    flaps: int = 0  # firings of an identity that had fired again and again
    severities: Counter[str] = field(default_factory=Counter)

    def add(self, one: Heard) -> None:
        self.firings += 1
        self.posts += one.count
        self.severities[one.severity] += 1
        self.labels.update(name for name in SHARED if one.labels.get(name))
        if one.incident is not None:
            self.incidents.add(one.incident)
            self.pages[one.incident] = one.pages
            if one.acted:
                self.acted.add(one.incident)
            if one.open:
                self.open.add(one.incident)
        if one.ended_at is not None and not one.acted and len(self.lengths) < REMEMBERED:
            self.lengths.append(Millis(one.ended_at - one.received_at))
        self._note_burst(one.received_at)
        self._note_flap(one)

    def _note_burst(self, at: Instant) -> None:
        self.recent = [*(before for before in self.recent[-BURST:] if at - before <= BURST_WITHIN), at]
        self.bursts += len(self.recent) >= BURST

    def _note_flap(self, one: Heard) -> None:
        if one.source_key not in self.fired and len(self.fired) >= REMEMBERED:
            return
        at = one.received_at
        mine = [*(before for before in self.fired.get(one.source_key, ()) if at - before <= FLAP_WITHIN), at][-FLAPS:]
        self.fired[one.source_key] = mine
        self.flaps += len(mine) >= FLAPS


@dataclass(frozen=True, slots=True)
class Noisy:
    """Kind of alert in figures, and the rule that would quieten it ("" where none suits)."""

    name: str
    service: str
    firings: int
    posts: int
    incidents: int
    pages: int
    acted: int
    flaps: int
    open: int
    critical: bool  # some were: these are never touched by a proposal
    heals_within: Millis | None  # four of five times, without anybody
    because: str
    rule: str


@dataclass(frozen=True, slots=True)
class Noise:
    kinds: tuple[Noisy, ...]  # the loudest first
    others: int  # alerts of kinds beyond the number that is counted one by one
    alerts: int


def noise(heard: Iterable[Heard]) -> Noise:
    found, others, alerts = Counting(), 0, 0
    for one in heard:
        found.add(one)
        alerts = found.alerts
    others = found.others
    return Noise(found.noisy(), others, alerts)


class Counting:
    """Takes alerts one by one, in order of time; needs memory by kinds of alerts, not by alerts."""

    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str], Kind] = {}
        self.others = self.alerts = 0

    def add(self, one: Heard) -> None:
        self.alerts += 1
        name = one.labels.get("alertname", "")
        known = name or shape_of(one.title)
        kind = self.kinds.get((known, one.service))
        if kind is None:
            if len(self.kinds) >= GROUPS:
                self.others += 1
                return
            kind = self.kinds[known, one.service] = Kind(known, one.service, bool(name))
        kind.add(one)

    def noisy(self) -> tuple[Noisy, ...]:
        found = sorted(self.kinds.values(), key=lambda kind: (-loudness(kind), kind.name, kind.service))
        return tuple(judged(kind) for kind in found)


def shape_of(title: str) -> str:
    """A title without its numbers, so that `disk 91 % full` and `disk 92 % full` are one."""
    return _NUMBERS.sub("#", title)[:200]


def loudness(kind: Kind) -> int:
    """Pages count most: they wake people."""
    return 10 * sum(kind.pages.values()) + kind.firings


def judged(kind: Kind) -> Noisy:
    heals = heals_within(kind.lengths, kind.firings)
    because, acts = verdict(kind, heals)
    return Noisy(
        kind.name, kind.service, kind.firings, kind.posts, len(kind.incidents), sum(kind.pages.values()),
        len(kind.acted), kind.flaps, len(kind.open), "critical" in kind.severities, heals, because,
        rule_text(kind, acts) if acts else "",
    )  # fmt: skip


def heals_within(lengths: Sequence[Millis], firings: int) -> Millis | None:
    """The time within which four of five of them had healed; None where fewer ended by themselves at all."""
    if len(lengths) * 5 < min(firings, REMEMBERED) * 4:
        return None
    ordered = sorted(lengths)
    return ordered[max(0, math.ceil(len(ordered) * 0.8) - 1)]


def verdict(kind: Kind, heals: Millis | None) -> tuple[str, dict[str, Any]]:
    """Reason why it is noise, and what a rule should say; nothing where it is not.

    Judged by how it ended: what is still open may yet need somebody, and what is critical pages, however often it did
    for nothing. Neither gets a rule.
    """
    reasons, acts = [], {}
    if kind.firings < BURST:
        return "", {}
    if "critical" in kind.severities:
        return "critical: no rule is proposed", {}
    if kind.open:
        return f"{len(kind.open)} of its incidents are still open: no rule is proposed", {}
    if kind.flaps * 3 >= kind.firings:
        reasons.append("it flaps")
        acts["flap"] = "{changes: 6, within: 30m, settle: 15m}"
    if heals is not None and heals <= SHORT:
        reasons.append(f"four of five heal within {spelt(heals)}")
        acts["hold"] = spelt(round_up(heals))
    if kind.bursts * 2 >= kind.firings and len(kind.fired) > 1 and len(kind.incidents) * 2 > kind.firings:
        shared = shared_label(kind)
        reasons.append("many come at once, each with an incident of its own")
        acts["group_by"] = f"[{', '.join(filter(None, ('alertname' if kind.alertname else 'service', shared)))}]"
    if not kind.acted and sum(kind.pages.values()) >= BURST:
        reasons.append(f"it paged {sum(kind.pages.values())} times and nobody ever acted")
        acts["set"] = "{urgency: low}"
    if not acts and not kind.acted and set(kind.severities) <= {"info", "warning"} and kind.firings >= 10 * BURST:
        reasons.append("it is never acted on; only many at once may mean something")
        acts["threshold"] = f"{{count: {BURST * 2}, within: 10m}}"
    return "; ".join(reasons), acts


def shared_label(kind: Kind) -> str:
    """The label most of them have and that trouble is usually shared by."""
    return next((name for name in SHARED if kind.labels[name] * 2 > kind.firings), "")


def round_up(length: Millis) -> Millis:
    """A length one would write: half minutes up to two minutes, then whole ones."""
    step = 30 * SECOND if length <= 2 * MINUTE else MINUTE
    return Millis(max(step, math.ceil(length / step) * step))


def spelt(length: Millis) -> str:
    seconds = math.ceil(length / SECOND)
    minutes, rest = divmod(seconds, 60)
    return "".join(filter(None, (f"{minutes}m" if minutes else "", f"{rest}s" if rest or not minutes else "")))


# ------------------------------------------------------------------------------------------- YAML


def rule_text(kind: Kind, acts: Mapping[str, Any]) -> str:
    """Rule as an entry of `rules:`; every text is quoted, so that no alert's name can break the file."""
    about = f"{kind.name} of {kind.service}" if kind.service else kind.name
    match = ", ".join(_single(one) for one in matchers(kind))
    lines = [f"- name: {_double(f'quieter: {about}'[:200])}", f"  match: [{match}]"]
    return "\n".join([*lines, *(f"  {key}: {value}" for key, value in acts.items())])


def matchers(kind: Kind) -> Iterator[str]:
    if kind.alertname:
        yield f"alertname={_double(kind.name)}"
    else:
        pattern = ".+".join(_SPECIAL.sub(r"\\\g<0>", part) for part in kind.name.split("#"))
        yield f"field.title=~{_double(pattern)}" if "#" in kind.name else f"field.title={_double(kind.name)}"
    if kind.service:
        yield f"field.service={_double(kind.service)}"
    yield 'field.severity!="critical"'


def _double(text: str) -> str:
    """In double quotes, on one line, for matchers and YAML alike."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _single(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def rules_file(kinds: Iterable[Noisy]) -> str:
    """The proposed rules as one file for `rules/`."""
    entries = [one.rule for one in kinds if one.rule]
    if not entries:
        return ""
    indented = ("\n".join(f"  {line}" for line in entry.splitlines()) for entry in entries)
    return "rules:\n" + "\n\n".join(indented) + "\n"


def noisy_view(one: Noisy) -> dict[str, Any]:
    return {
        "name": one.name,
        "service": one.service or None,
        "firings": one.firings,
        "posts": one.posts,
        "incidents": one.incidents,
        "pages": one.pages,
        "acted_on": one.acted,
        "flaps": one.flaps,
        "open": one.open,
        "critical": one.critical,
        "heals_within_seconds": None if one.heals_within is None else one.heals_within / 1000,
        "because": one.because,
        "rule": one.rule or None,
    }

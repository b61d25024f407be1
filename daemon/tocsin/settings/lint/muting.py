"""Findings on inhibitions and maintenance windows that do not mute what they are meant to, or mute more."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.decide.oncall.resolver import local_instant
from tocsin.decide.routing.matchers import Matcher, parse
from tocsin.model import DAY, Problem
from tocsin.settings.document import scalars
from tocsin.settings.lint.facts import LintFacts
from tocsin.settings.lint.rules import covers


def findings(facts: LintFacts) -> Iterator[Problem]:
    for place in range(facts.written.count("inhibitions")):
        if facts.sound("inhibitions", place):
            yield from _inhibition(place, facts)
    for place in range(facts.written.count("maintenance")):
        if facts.sound("maintenance", place):
            yield from _maintenance(place, facts)


def _inhibition(place: int, facts: LintFacts) -> Iterator[Problem]:
    source, target = (_matchers(facts, "inhibitions", place, key) for key in ("source", "target"))
    if covers(source, target) and covers(target, source):
        called = facts.written.text("inhibitions", place, "name") or f"inhibition {place + 1}"
        message = f"{called}: source and target are the same alerts, so each would mute the others"
        fix = "name in target what is only a consequence of the source"
        yield facts.warn(facts.at("inhibitions", place, "target"), "self-inhibition", message, fix)


def _matchers(facts: LintFacts, *path: str | int) -> list[Matcher]:
    return [parse(text) for text in facts.written.texts(*path)]


def _maintenance(place: int, facts: LintFacts) -> Iterator[Problem]:
    text = facts.written.text
    called = text("maintenance", place, "name")
    every, to = text("maintenance", place, "every"), text("maintenance", place, "to")
    if every and _longest_pause(every) <= scalars.duration(text("maintenance", place, "for")):
        message = f"{called}: the next window begins before this one ends, so it never ends and these alerts never page"
        where = facts.at("maintenance", place, "for")
        yield facts.warn(where, "endless-maintenance", message, "write a shorter `for`, or drop the alerts by a rule")
    zone = text("maintenance", place, "timezone") or facts.settings.defaults.timezone
    if to and local_instant(scalars.local_time(to), zone) <= facts.now:
        message = f"{called}: this window ended on {to}"
        yield facts.note(facts.at("maintenance", place), "past-maintenance", message, "remove it")


def _longest_pause(every: str) -> int:
    """The longest time from one beginning to the next."""
    words = every.split()
    days = sorted(scalars.days(words[0])) if len(words) == 2 else list(range(7))
    pauses = [(later - earlier - 1) % 7 + 1 for earlier, later in zip(days, [*days[1:], days[0]], strict=True)]
    return max(pauses) * DAY

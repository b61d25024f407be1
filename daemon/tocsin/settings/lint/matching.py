"""Findings on matchers that may not say what was meant, in rules, inhibitions, maintenance and heartbeats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tocsin.decide.routing.matcher_overlap import always, never
from tocsin.decide.routing.matchers import Matcher, parse
from tocsin.model import SEVERITIES, Problem
from tocsin.settings.document.scalars import nearest
from tocsin.settings.document.source_map import Path
from tocsin.settings.lint.facts import LintFacts

_LITERAL = re.compile(r"[\w /:@,-]+")
_GLOB = re.compile(r"[\w-]*\w\*")
_PATTERN = re.compile(r"[\w-]*\.?\*[\w-]*|[\w-]+(\|[\w-]+)+")  # what only a pattern would be written like
ONE_LINE = Matcher("", "=~", ".*")


def findings(facts: LintFacts) -> Iterator[Problem]:
    for path, called in _lists(facts):
        found = _parsed(facts.written.texts(*path))
        yield from _together(found, path, called, facts)
        for place, matcher in enumerate(found):
            if matcher is not None:
                yield from _alone(matcher, (*path, place), called, facts)


def _lists(facts: LintFacts) -> Iterator[tuple[Path, str]]:
    """Every list of matchers, and what messages call its owner."""
    keys = {"rules": ("match",), "inhibitions": ("source", "target"), "maintenance": ("match",)}
    for section, names in keys.items():
        for place in range(facts.written.count(section)):
            called = facts.written.text(section, place, "name") or f"{section} {place + 1}"
            if facts.sound(section, place):
                yield from (((section, place, key), called) for key in names)
    for name in facts.written.sections["heartbeats"].entries:
        if facts.sound("heartbeats", name):
            yield ("heartbeats", name, "match"), name


def _parsed(texts: Sequence[str]) -> list[Matcher | None]:
    found: list[Matcher | None] = []
    for text in texts:
        try:
            found.append(parse(text))
        except ValueError:  # told by the reader
            found.append(None)
    return found


# --------------------------------------------------------------------------------- several of them


def impossible(matchers: Sequence[Matcher], facts: LintFacts) -> int | None:
    """The place of the first matcher that no value can fit together with those before it."""
    for place, matcher in enumerate(matchers):
        same = [other for other in matchers[: place + 1] if other.name == matcher.name]
        if _never(same, matcher.name, facts):
            return place
    return None


def _never(same: Sequence[Matcher], name: str, facts: LintFacts) -> bool:
    values = _values(name, facts)
    if values is None:
        return never(same) is True
    return not any(all(matcher.accepts(value) for matcher in same) for value in values)


def _values(name: str, facts: LintFacts) -> Sequence[str] | None:
    """The values a field may have, where they are known; else None."""
    if name == "field.severity":
        return SEVERITIES
    if name == "field.integration" and not facts.draft.incomplete and not facts.hides("integrations"):
        return [*facts.written.sections["integrations"].entries]
    return None


def _together(found: Sequence[Matcher | None], path: Path, called: str, facts: LintFacts) -> Iterator[Problem]:
    matchers = [matcher for matcher in found if matcher is not None]
    place = impossible(matchers, facts)
    if place is None or len(matchers) != len(found) or not matchers:
        return
    culprit = matchers[place]
    where = facts.at(*path, place)
    others = [matcher.text for matcher in matchers[:place] if matcher.name == culprit.name]
    if others and not _never([culprit], culprit.name, facts):
        message = f"{called}: {culprit.text} and {', '.join(others)} cannot both fit, so this never matches"
        fix = f'write one of them, or {culprit.name}=~"…|…" for either value'
        yield facts.warn(where, "impossible-match", message, fix)
    else:
        values = _values(culprit.name, facts)
        known = f"; its values are {', '.join(values)}" if values else ""
        yield _never_matches(culprit, called, f"fits no value at all{known}", path, place, facts)


def _never_matches(matcher: Matcher, called: str, because: str, path: Path, place: int, facts: LintFacts) -> Problem:
    fix = f'for alerts without it write {matcher.name}="", or remove the matcher'
    return facts.warn(facts.at(*path, place), "never-matches", f"{called}: {matcher.text} {because}", fix)


# ---------------------------------------------------------------------------------------- one alone


def _alone(matcher: Matcher, path: Path, called: str, facts: LintFacts) -> Iterator[Problem]:
    where, text = facts.at(*path), matcher.text
    if matcher.op in ("=~", "!~"):
        yield from _pattern(matcher, path, called, facts)
    elif _PATTERN.fullmatch(matcher.value):
        yield _text(matcher, path, called, facts)
    if matcher.name == "severity" and not any(map(_plain(matcher).accepts, SEVERITIES)):
        words = ", ".join(SEVERITIES)
        message = f"{called}: {text}: only a label can have this value, a severity is one of {words}"
        fix = f"write label.severity if the label is meant, else one of {words}"
        yield facts.warn(where, "bare-name", message, fix)
    for said in _misspelt("integration", matcher, called, facts):
        yield facts.warn(where, "unknown-integration", *said)
    for said in _misspelt("service", matcher, called, facts):
        yield facts.warn(where, "unknown-service", *said)


def _misspelt(kind: str, matcher: Matcher, called: str, facts: LintFacts) -> Iterator[tuple[str, str]]:
    """(message, fix) for what is nearly a configured name: others may come from an alert, and need no section."""
    section = f"{kind}s"
    if matcher.name not in (kind, f"field.{kind}") or matcher.op not in ("=", "!="):
        return
    known = facts.written.sections[section].entries
    close = nearest(matcher.value, known) if matcher.value not in known else None
    if close and not facts.draft.incomplete and not facts.hides(section):
        message = f"{called}: {matcher.text}: there is no {kind} '{matcher.value}' (did you mean '{close}'?)"
        fix = f'write {matcher.name}{matcher.op}"{close}", or label.{kind} if a label is meant'
        yield message, fix


def _text(matcher: Matcher, path: Path, called: str, facts: LintFacts) -> Problem:
    pattern = re.sub(r"(?<!\.)\*", ".*", matcher.value)
    message = f"{called}: {matcher.text} compares with the text '{matcher.value}' itself; it is no pattern"
    fix = f'write {matcher.name}{matcher.op[0]}~"{pattern}"'
    return facts.warn(facts.at(*path), "looks-like-pattern", message, fix)


def _plain(matcher: Matcher) -> Matcher:
    """A matcher without its negation: `severity!="page"` names a word as well."""
    op = {"!=": "=", "!~": "=~"}.get(matcher.op, matcher.op)
    return Matcher(matcher.name, op, matcher.value)  # type: ignore[arg-type]  # one of four


def _pattern(matcher: Matcher, path: Path, called: str, facts: LintFacts) -> Iterator[Problem]:
    where, name, value = facts.at(*path), matcher.name, matcher.value
    if _GLOB.fullmatch(value):
        meant = f"{value[:-1]}.*"
        message = f"{called}: {matcher.text}: '{value[-2]}*' is any number of '{value[-2]}', not a wildcard"
        yield facts.warn(where, "glob-pattern", message, f'write {name}{matcher.op}"{meant}"')
    elif _LITERAL.fullmatch(value):
        equals = f'{name}{matcher.op[0] if matcher.op == "=~" else "!="}"{value}"'
        message = f"{called}: {matcher.text} fits the whole value '{value}' only; patterns are anchored at both ends"
        yield facts.warn(where, "looks-unanchored", message, f'write {equals}, or {name}{matcher.op}".*{value}.*"')
    elif always(matcher) and never([matcher]) is not True:
        message = f"{called}: {matcher.text} fits every value, and alerts without {name} too"
        fix = f'remove it, or write {name}=~".+" where {name} must be there'
        yield facts.warn(where, "always-matches", message, fix)
    elif never([matcher, ONE_LINE]) and never([matcher]) is not True:
        because = "fits nothing but texts of several lines"
        yield _never_matches(matcher, called, because, path[:-1], int(path[-1]), facts)

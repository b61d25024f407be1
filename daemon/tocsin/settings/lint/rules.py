"""Findings on rules that are never reached, or group by what changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tocsin.decide.routing.matcher_overlap import always, sample, within
from tocsin.decide.routing.matchers import Matcher, parse
from tocsin.decide.routing.templates import template
from tocsin.model import DAY, Problem, Rule
from tocsin.settings.document.scalars import spell
from tocsin.settings.lint.facts import LintFacts

VOLATILE = frozenset(
    {"value", "timestamp", "time", "date", "description", "message", "summary", "pid", "uuid", "pod", "pod_name",
     "container_id", "started_at", "startsAt", "duration", "current_value", "request_id", "trace_id", "span_id",
     "session_id", "correlation_id", "created_at", "updated_at", "fired_at", "ts", "epoch"}
)  # fmt: skip
VOLATILE_KEYS = frozenset({"value", "timestamp", "time", "date", "started_at", "startsAt", "duration"})


def findings(facts: LintFacts) -> Iterator[Problem]:
    yield from _unreachable(facts)
    for place, rule in facts.rules():
        yield from _volatile(place, rule, facts)
        yield from _hold(place, rule, facts)
    yield from _drops_everything(facts)
    yield from _volatile_maps(facts)


# ------------------------------------------------------------------------------------ out of reach


def _unreachable(facts: LintFacts) -> Iterator[Problem]:
    """A rule is out of reach when an earlier one surely ends the walk for everything that it could match."""
    rules = list(facts.rules())
    parsed = [tuple(map(parse, rule.match)) for _, rule in rules]
    tried = [_fitting(matchers) for matchers in parsed]
    ends = [at for at, (_, rule) in enumerate(rules) if _surely_ends(rule)]
    for at, (place, rule) in enumerate(rules):
        for before in ends:
            if before >= at:
                break
            if not _may_cover(parsed[before], tried[at]):
                continue
            if covers(parsed[before], parsed[at]) and _unchanged(before, at, parsed[before], rules, facts):
                earlier = rules[before][1]
                does = "drops" if earlier.drop else "ends the walk for"
                message = (
                    f"{rule.name}: is never reached: '{earlier.name}' ({earlier.where}) {does} all that it matches"
                )
                fix = f"move it above '{earlier.name}', or let that one match less"
                yield facts.warn(facts.at("rules", place), "unreachable", message, fix)
                break


def _fitting(matchers: Sequence[Matcher]) -> dict[str, str | None]:
    """For each name, a value that fits its matchers; None where none is known."""
    names = {matcher.name for matcher in matchers}
    return {name: sample([matcher for matcher in matchers if matcher.name == name]) for name in names}


def _may_cover(matchers: Sequence[Matcher], tried: Mapping[str, str | None]) -> bool:
    """A quick look: where one value that fits the later rule is not taken, nothing need be proven."""
    values = ((matcher, tried.get(matcher.name, "")) for matcher in matchers)
    return all(value is None or matcher.accepts(value) for matcher, value in values)


def _surely_ends(rule: Rule) -> bool:
    return (rule.stop or rule.drop) and rule.when is None


def covers(wide: Sequence[Matcher], narrow: Sequence[Matcher]) -> bool:
    """Whether everything that fits `narrow` surely fits `wide`."""
    return all(_implied(matcher, narrow) for matcher in wide)


def _implied(matcher: Matcher, narrow: Sequence[Matcher]) -> bool:
    same = [other for other in narrow if other.name == matcher.name]
    return matcher in same or within(same, [matcher]) is True


def _unchanged(
    before: int, at: int, matchers: Sequence[Matcher], rules: Sequence[tuple[int, Rule]], facts: LintFacts
) -> bool:
    """Whether no rule in between may change what these matchers look at, seen or unreadable."""
    between = rules[before + 1 : at]
    first, last = rules[before][0], rules[at][0]
    whole = len(between) == last - first - 1 and not facts.draft.incomplete and not facts.hides("rules")
    return whole and not any(_may_change(rule, matcher.name) for _, rule in between for matcher in matchers)


def _may_change(rule: Rule, name: str) -> bool:
    fields = {field for field in ("service", "severity", "impact", "urgency", "priority", "category", "title", "policy")
              if getattr(rule.set, field) is not None}  # fmt: skip
    bare = name.removeprefix("label.").removeprefix("field.")
    enriches = rule.enrich is not None and bare in rule.enrich.set
    return enriches or bare in fields | rule.set.labels.keys() or name in rule.set.labels


def _drops_everything(facts: LintFacts) -> Iterator[Problem]:
    """The last word of a list of exceptions may be to drop the rest; the first word may not."""
    for place, rule in facts.rules():
        if _surely_ends(rule) and not rule.drop:
            return
        silent = rule.drop or rule.suppress
        if silent and rule.when is None and all(always(matcher) for matcher in map(parse, rule.match)):
            word = "drop" if rule.drop else "suppress"
            message = f"{rule.name}: {word} without a matcher that leaves anything out: no alert opens an incident"
            fix = "write match: […] with what is to be kept quiet"
            yield facts.warn(facts.at("rules", place, word), "drops-everything", message, fix)


# ------------------------------------------------------------------------------------ keys, lengths


def _volatile(place: int, rule: Rule, facts: LintFacts) -> Iterator[Problem]:
    for which, name in enumerate(rule.group_by or ()):
        if re.search(r"[,;|]|\w\s+\w", name):
            yield _several(facts, name, rule.name, "rules", place, "group_by", which)
        if name.removeprefix("label.") in VOLATILE:
            yield _changes(facts, name, rule.name, "rules", place, "group_by", which)
    key = template(rule.set.dedup_key or "-")
    for name in sorted(((key.labels or frozenset()) | key.fields) & VOLATILE):
        yield _changes(facts, name, rule.name, "rules", place, "set", "dedup_key")


def _several(facts: LintFacts, name: str, called: str, *path: str | int) -> Problem:
    message = f"{called}: '{name}' is one name here, and no label is called that: nothing is grouped"
    names = ", ".join(filter(None, re.split(r"[,;|\s]+", name)))
    return facts.warn(facts.at(*path), "several-names", message, f"write a list: [{names}]")


def _volatile_maps(facts: LintFacts) -> Iterator[Problem]:
    for name in facts.written.sections["integrations"].entries:
        words = re.findall(r"[A-Za-z_]\w*", facts.written.text("integrations", name, "map", "dedup_key"))
        if words and words[-1] in VOLATILE_KEYS:
            yield _changes(facts, words[-1], name, "integrations", name, "map", "dedup_key")


def _changes(facts: LintFacts, name: str, called: str, *path: str | int) -> Problem:
    message = f"{called}: '{name}' changes from post to post, so each would open an incident of its own"
    fix = "name what stays the same while the trouble lasts: alertname, instance, service, cluster"
    return facts.warn(facts.at(*path), "volatile-key", message, fix)


def _hold(place: int, rule: Rule, facts: LintFacts) -> Iterator[Problem]:
    """A hold is for trouble that heals by itself within minutes."""
    if not rule.hold:
        return
    because = ""
    if rule.auto_resolve is not None and rule.auto_resolve <= rule.hold:
        because = f"and auto_resolve is {spell(rule.auto_resolve)}: it resolves before anybody is paged"
    elif rule.group_by is not None and rule.hold >= rule.join_within:
        because = f"and join_within is {spell(rule.join_within)}: a second incident opens before the first one pages"
    elif rule.hold >= DAY:
        because = "so nobody hears of it for that long"
    if because:
        message = f"{rule.name}: hold is {spell(rule.hold)}, {because}"
        fix = "write a hold of minutes, for example 5m"
        yield facts.warn(facts.at("rules", place, "hold"), "long-hold", message, fix)

"""Findings on hours with nobody on call, and on layers and overrides that do nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tocsin.decide.oncall.resolver import Gap, Shift, local_instant, shifts, zone_of
from tocsin.model import DAY, HOUR, Instant, Layer, Override, Policy, Problem, Schedule, Step, Support
from tocsin.model.civil import civil
from tocsin.settings.lint.facts import LintFacts, every_day, has_ended
from tocsin.settings.lint.policy_situations import DECIDED_BY, services_of

AHEAD = 30 * DAY
FAR = 180 * DAY
LONGEST_OVERRIDE = 60 * DAY
SHOWN = 3

Gaps = list[tuple[Instant, Instant]]


def findings(facts: LintFacts) -> Iterator[Problem]:
    yield from _gaps(facts)
    for name, schedule in facts.settings.schedules.items():
        if facts.sound("schedules", name):
            yield from _layers(schedule, facts)
            yield from _overrides(schedule, facts)


# ------------------------------------------------------------------------------------------- gaps


def _gaps(facts: LintFacts) -> Iterator[Problem]:
    """Warn, for each step that asks schedules alone, of the hours for which none of them names anybody."""
    told: set[str] = set()
    for policy, _, step in facts.steps():
        named = [target.name for target in step.notify]
        if any(
            target.kind != "schedule" or not facts.known(target) or facts.is_unread(target) for target in step.notify
        ):
            continue
        if not named:
            continue  # all it names has no effect, which is told
        found = _uncovered(policy, step, [facts.settings.schedules[name] for name in named], facts)
        if found and named[0] not in told:
            told.add(named[0])
            yield _gap(facts.settings.schedules[named[0]], named[1:], found, facts)
    yield from _without_layers(facts)


def _uncovered(policy: Policy, step: Step, asked: Sequence[Schedule], facts: LintFacts) -> Gaps:
    left: Gaps = [(facts.now, Instant(facts.now + AHEAD))]
    for schedule in asked:
        left = _both(left, _as_pairs(shifts(schedule, facts.now, Instant(facts.now + AHEAD)).gaps))
    if step.only.hours and not facts.whole(*DECIDED_BY):
        return []
    if step.only.hours and left:
        left = _both(left, _asked_for(policy, step, facts))
    return left


def _asked_for(policy: Policy, step: Step, facts: LintFacts) -> Gaps:
    """The hours in which a step with `only: {hours: …}` may run at all: always, where a service has no support
    hours.
    """
    always: Gaps = [(facts.now, Instant(facts.now + AHEAD))]
    hours = [service.support_hours for service in services_of(policy.name, facts)]
    found: Gaps = []
    for support in hours:
        if support is None or not support.hours:
            return always
        window = shifts(_as_schedule(support), facts.now, Instant(facts.now + AHEAD))
        found += _as_pairs(window.gaps if step.only.hours == "off" else window.shifts)
    return sorted(found)


def _as_schedule(support: Support) -> Schedule:
    return Schedule("", support.timezone, (Layer("", (("open",),), None, support.hours),))


def _as_pairs(spans: Iterable[Gap | Shift]) -> Gaps:
    return [(span.start, span.end) for span in spans]


def _both(some: Gaps, others: Gaps) -> Gaps:
    """The overlaps of the spans of both sides."""
    cut = [(max(a, c), min(b, d)) for a, b in some for c, d in others]
    return [(start, end) for start, end in cut if start < end]


def _gap(schedule: Schedule, others: Sequence[str], found: Gaps, facts: LintFacts) -> Problem:
    total = sum(end - start for start, end in found)
    who = f"{schedule.name} (with {', '.join(others)})" if others else schedule.name
    if total >= AHEAD:
        message = f"{who}: nobody is on call at all in the next 30 days"
    else:
        spans = ", ".join(_span(schedule, *span) for span in found[:SHOWN])
        left = len(found) - SHOWN
        more = f" and {'once' if left == 1 else f'{left} times'} more" if left > 0 else ""
        message = (
            f"{who}: nobody is on call from {spans}{more} ({schedule.timezone}; "
            f"in the next 30 days {len(found)} gap{'s' if len(found) > 1 else ''}, {_hours(total)} in all)"
        )
    fix = "add people or a layer for these hours, or name somebody beside the schedule in the step"
    return facts.warn(facts.at("schedules", schedule.name), "gap", message, fix)


def _span(schedule: Schedule, start: Instant, end: Instant) -> str:
    return f"{_local(start, schedule)} to {_local(end, schedule)}"


def _local(at: Instant, schedule: Schedule) -> str:
    return civil(at, zone_of(schedule.timezone)).strftime("%a %Y-%m-%d %H:%M")


def _hours(length: int) -> str:
    return f"{length / HOUR:.1f}".removesuffix(".0") + " h"


def _without_layers(facts: LintFacts) -> Iterator[Problem]:
    used = {target.name for target in facts.targets() if target.kind == "schedule"}
    for name, schedule in facts.settings.schedules.items():
        idle = not schedule.layers and not facts.feed_acts(name)
        if idle and name in used and facts.sound("schedules", name) and not _is_in_step(name, facts):
            yield _gap(schedule, (), [(facts.now, Instant(facts.now + AHEAD))], facts)


def _is_in_step(name: str, facts: LintFacts) -> bool:
    """Whether a step asks schedules alone and this one first: then the gap is told already."""
    return any(
        step.notify[0].name == name and all(target.kind == "schedule" for target in step.notify)
        for _, _, step in facts.steps()
        if step.notify
    )


# ----------------------------------------------------------------------------------------- layers


def _layers(schedule: Schedule, facts: LintFacts) -> Iterator[Problem]:
    for place, layer in enumerate(schedule.layers):
        path = ("schedules", schedule.name, "layers", place)
        called = f"'{layer.name}'" if layer.name else f"{place + 1}"
        if has_ended(layer, schedule, facts.now):
            assert layer.end is not None
            message = f"{schedule.name}: layer {called} ended on {layer.end.replace('T', ' ')}"
            yield facts.note(facts.at(*path, "end"), "past-layer", message, "remove it")
        elif _covers_no_day(layer, facts):
            message = f"{schedule.name}: layer {called} covers holidays only, and none of them is still to come"
            fix = "name holidays that come, or remove the layer"
            yield facts.warn(facts.at(*path, "holidays"), "no-holidays", message, fix)
        if layer.rotation is not None and _begins(layer, schedule) > facts.now + FAR:
            day = layer.rotation.start[:10]
            message = f"{schedule.name}: layer {called} begins on {day}; before, nobody in it is on call"
            fix = "write a start in the past; who is on call is counted from it"
            yield facts.warn(facts.at(*path, "rotation", "start"), "far-start", message, fix)
        over = next((later for later in schedule.layers[place + 1 :] if _covers_always(later, schedule, facts)), None)
        if over is not None:
            message = f"{schedule.name}: layer {called} never shows: a later layer covers every hour ('{over.name}')"
            fix = "move it below that layer, cut that layer by hours, or remove it"
            yield facts.warn(facts.at(*path), "hidden-layer", message, fix)


def _begins(layer: Layer, schedule: Schedule) -> Instant:
    assert layer.rotation is not None
    return local_instant(layer.rotation.start, layer.zone(schedule))


def _covers_no_day(layer: Layer, facts: LintFacts) -> bool:
    """Whether it covers holidays only, and all of these are over (in whatever zone)."""
    if layer.holidays is None or layer.holidays.mode != "only" or not layer.holidays.dates:
        return False  # a calendar without any is told where it is named
    yesterday = civil(Instant(facts.now - DAY)).date().isoformat()
    return layer.holidays.dates[-1] < yesterday


def _covers_always(layer: Layer, schedule: Schedule, facts: LintFacts) -> bool:
    whole = not layer.hours or any(len(cut.days) == 7 and cut.start == cut.end for cut in layer.hours)
    if layer.end is not None or not every_day(layer):
        return False
    return whole and (layer.rotation is None or _begins(layer, schedule) <= facts.now)


# -------------------------------------------------------------------------------------- overrides


def _overrides(schedule: Schedule, facts: LintFacts) -> Iterator[Problem]:
    for place, override in enumerate(schedule.overrides):
        where = facts.at("schedules", schedule.name, "overrides", place)
        start, end = (local_instant(text, schedule.timezone) for text in (override.start, override.end))
        if end <= facts.now:
            message = f"{schedule.name}: this override ended on {override.end.replace('T', ' ')}"
            yield facts.note(where, "past-override", message, "remove it")
        elif not facts.feed_acts(schedule.name) and _does_nothing(schedule, place, start, end):
            message = f"{schedule.name}: {_why_idle(override)}"
            yield facts.warn(where, "idle-override", message, "see who is on call then: tocsin oncall --from … --to …")


def _does_nothing(schedule: Schedule, place: int, start: Instant, end: Instant) -> bool:
    if end - start > LONGEST_OVERRIDE or end <= start:
        return False
    others = replace(schedule, overrides=schedule.overrides[:place] + schedule.overrides[place + 1 :])
    return _who_when(schedule, start, end) == _who_when(others, start, end)


def _who_when(schedule: Schedule, start: Instant, end: Instant) -> Sequence[Shift]:
    """Shifts in which the layer does not matter, only who is there."""
    found: list[Shift] = []
    for one in shifts(schedule, start, end).shifts:
        joins = found and (found[-1].users, found[-1].end) == (one.users, one.start)
        since = found.pop().start if joins else one.start
        found.append(Shift(since, one.end, one.users, None))
    return found


def _why_idle(override: Override) -> str:
    window = f"from {override.start.replace('T', ' ')} to {override.end.replace('T', ' ')}"
    if override.replaces:
        return f"{override.replaces} is not on call {window}, so this override replaces nobody"
    return f"this override changes nothing {window}: the same people are on call without it"

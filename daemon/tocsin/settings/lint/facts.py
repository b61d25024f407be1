"""Facts the lint looks at, and the questions that several findings ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.decide.oncall.resolver import local_instant
from tocsin.model import Instant, Layer, Policy, Problem, Rule, Schedule, Settings, Step, Target, Where
from tocsin.settings.document.reading import one_line
from tocsin.settings.document.source_map import SourceMap
from tocsin.settings.reader import Draft

Doubts = Mapping[tuple[str, str], str]

SECTION_OF = {"user": "users", "schedule": "schedules", "team": "teams", "managers": "teams", "channel": "channels"}


@dataclass(frozen=True, slots=True)
class LintFacts:
    """A draft of settings at an instant. Whatever is damaged counts as being all right: nothing is said about it."""

    draft: Draft
    now: Instant
    paths: Mapping[str, Path]
    problems: tuple[Problem, ...]
    doubts: Doubts

    @property
    def settings(self) -> Settings:
        return self.draft.settings

    @property
    def written(self) -> SourceMap:
        return self.draft.written

    def sound(self, section: str, name: str | int = "") -> bool:
        """Whether this entry was read without an error."""
        return (section, name) not in self.draft.damaged

    def hides(self, section: str) -> bool:
        """Whether more of the section is written than was read."""
        return bool(self.written.sections[section].hidden)

    def whole(self, *sections: str) -> bool:
        """Whether all entries of these sections were read without an error."""
        return not self.draft.incomplete and not any(section in sections for section, _ in self.draft.damaged)

    @property
    def no_catch_all(self) -> bool:
        """Whether there is none, on purpose: an error may say already that it is missing."""
        missing = any(problem.code == "catch-all" for problem in self.problems)
        return not self.settings.catch_all and self.whole("catch_all") and not missing

    def at(self, *path: str | int) -> Where:
        return self.written.at(*path)

    def warn(self, where: Where, code: str, message: str, fix: str = "") -> Problem:
        return Problem(where, "warning", code, one_line(message), one_line(fix))

    def note(self, where: Where, code: str, message: str, fix: str = "") -> Problem:
        return Problem(where, "info", code, one_line(message), one_line(fix))

    # ------------------------------------------------------------------------------ what is sound

    def policies(self) -> Iterator[Policy]:
        yield from (policy for name, policy in self.settings.policies.items() if self.sound("policies", name))

    def steps(self) -> Iterator[tuple[Policy, int, Step]]:
        """(policy, place from 0, step) of all sound policies."""
        for policy in self.policies():
            for place, step in enumerate(policy.steps):
                yield policy, place, step

    def rules(self) -> Iterator[tuple[int, Rule]]:
        """(place in the walk, rule) of all sound rules."""
        for rule in self.settings.rules:
            place = self.written.rule_place(rule.where)
            if place is not None and self.sound("rules", place):
                yield place, rule

    def targets(self) -> Iterator[Target]:
        """Yield every target that an escalation names."""
        yield from self.settings.catch_all
        for policy in self.settings.policies.values():
            for step in policy.steps:
                yield from step.notify

    # -------------------------------------------------------------------------------- who is meant

    def people_of(self, target: Target) -> frozenset[str]:
        """The keys of the people a target may lead to."""
        settings = self.settings
        match target.kind:
            case "user":
                return frozenset({target.name})
            case "schedule" if target.name in settings.schedules:
                return people_of_schedule(settings.schedules[target.name], self.now)
            case "team" if target.name in settings.teams and target.suffix == "oncall":
                return frozenset(settings.teams[target.name].members) & self.on_call_at_times()
            case "team" if target.name in settings.teams:
                return frozenset(settings.teams[target.name].members)
            case "managers" if target.name in settings.teams:
                return frozenset(settings.teams[target.name].managers)
            case _:
                return frozenset()

    def known(self, target: Target) -> bool:
        """Whether all that the target leads to was read without an error."""
        if target.suffix == "oncall" and not self._schedules_known():
            return False
        return self.sound(SECTION_OF[target.kind], target.name) and all(
            self.sound("users", key) for key in self.people_of(target)
        )

    def may_reach(self, target: Target) -> bool:
        """Whether somebody may be reached over the target: a channel, a person with a contact, something unknown."""
        if target.kind == "channel" or not self.known(target) or self.is_fed(target):
            return True
        if target.suffix == "next" and target.kind == "schedule" and self.never_changes(target.name):
            return False
        return any(self.has_contact(key) for key in self.people_of(target))

    def never_changes(self, schedule: str) -> bool:
        """Whether the same people are on call at all times, so that nobody is ever next."""
        written = self.settings.schedules[schedule]
        turns = {frozenset(turn) for layer in written.layers for turn in layer.users}
        return (
            len(turns) == 1
            and not written.overrides
            and any(not layer.hours and layer.end is None and every_day(layer) for layer in written.layers)
        )

    def on_call_at_times(self) -> frozenset[str]:
        schedules = self.settings.schedules.values()
        return frozenset(key for schedule in schedules for key in people_of_schedule(schedule, self.now))

    def has_contact(self, key: str) -> bool:
        user = self.settings.users.get(key)
        return user is not None and bool(user.contacts)

    def _schedules_known(self) -> bool:
        return self.whole("schedules") and not any(map(self.feed_acts, self.settings.schedules))

    def is_fed(self, target: Target) -> bool:
        """Whether a schedule's people come out of a calendar feed, too."""
        return target.kind == "schedule" and self.feed_acts(target.name)

    def is_unread(self, target: Target) -> bool:
        """Whether nothing is known here of the shifts that a calendar feed brings."""
        return self.is_fed(target) and not self.settings.schedules[target.name].feed

    def feed_acts(self, schedule: str) -> bool:
        feed = self.written.node("schedules", schedule, "ical")
        idle = {problem.where for problem in self.problems if problem.code == "no-effect-yet"}
        return feed is not None and feed.key_at not in idle


def every_day(layer: Layer) -> bool:
    """Whether holidays make no difference to what it covers."""
    return layer.holidays is None or (layer.holidays.mode == "skip" and not layer.holidays.dates)


def has_ended(layer: Layer, schedule: Schedule, now: Instant) -> bool:
    """Whether nobody of it is on call any more."""
    return layer.end is not None and local_instant(layer.end, layer.zone(schedule)) <= now


def people_of_schedule(schedule: Schedule, now: Instant | None = None) -> frozenset[str]:
    """The people a schedule names; with `now` those it may name from then on."""
    layers = [layer for layer in schedule.layers if now is None or not has_ended(layer, schedule, now)]
    turns = (turn for layer in layers for turn in layer.users)
    overrides = (override.users for override in schedule.overrides)
    fed = (shift.users for shift in schedule.feed)
    return frozenset(key for users in (*turns, *overrides, *fed) for key in users)

"""Forecast of incidents that wait for others: they follow what keeps them quiet in the order in which the daemon does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.store.facts import alert, incident
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.reach import People
from tocsin.decide.whatif.escalation_forecast import Course, Incidents
from tocsin.decide.whatif.forecast import Forecast
from tocsin.model import (
    MINUTE,
    ChannelConfig,
    Contact,
    Inhibition,
    Instant,
    Policy,
    Service,
    Settings,
    Silence,
    Step,
    Target,
    User,
)

NOW = Instant(1_767_614_400_000)
ANA, NOBODY = (
    Policy(name, (Step((Target("user", name),)), Step((Target("user", name),))), repeat=0) for name in ("ana", "bo")
)
DOWN, ROOM, PLAIN = {"site": "down"}, {"site": "room"}, {"site": ""}
SETTINGS = Settings(
    users={
        "ana": User("ana", "Ana", "UTC", contacts={"sms": Contact("sms", "sms", "+15005550020")}),
        "bo": User("bo", "Bo", "UTC"),
    },
    channels={"sms": ChannelConfig("sms", "twilio_sms")},
    policies={"ana": ANA, "bo": NOBODY},
    services={
        "db": Service("db"),
        "shop": Service("shop", depends_on=("db",)),
        "cellar": Service("cellar", depends_on=("shop",)),
    },
    inhibitions=(Inhibition("site", ('label.site="down"',), ('label.site="room"',)),),
)


def minutes(count: float) -> Instant:
    return Instant(NOW + int(count * MINUTE))


class Known:
    """Incidents that a forecast knows, each with one alert of its labels and service."""

    def __init__(self, *silences: Silence) -> None:
        self.mutes = Mutes(SETTINGS, People())
        self.mutes.replace(silences)
        self.incidents = Incidents(SETTINGS, People(), self.mutes, NOW)
        self.forecast = Forecast(SETTINGS, None, self.incidents)

    def pages(self, number: int, service: str, labels: dict[str, str], **other: Any) -> Course:
        """One of which ana is paged, and whose next step comes in nine minutes, unless `other` says otherwise."""
        plain: dict[str, Any] = {"step": 2, "due_at": minutes(9), "due_kind": "step", "paged": "ana", "policy": "ana"}
        one = incident(number, service=service, **(plain | other))
        firing = alert(number, incident=number, service=service, labels=labels)
        self.mutes.see(firing)
        return self.incidents.know(one, SETTINGS.policies[one.policy], [firing])

    def waits(self, number: int, service: str, labels: dict[str, str], by: str, look: Instant) -> Course:
        """One that this keeps quiet before its first page. `look`: when its own timer looks at it next."""
        muted = {"step": 1, "due_at": look, "due_kind": "unmute", "muted_by": by, "muted_left": 0, "paged": ""}
        return self.pages(number, service, labels, priority="P3", **muted)


def kinds(course: Course) -> list[str]:
    return [line.kind for line in course.told]


def test_what_follows_in_its_turn_follows_at_that_instant() -> None:
    known = Known()
    target = known.waits(1, "db", ROOM, "inhibition:site", minutes(4))
    source = known.pages(2, "shop", DOWN)
    known.incidents.settled()

    known.pages(3, "db", PLAIN, priority="P1")  # it came with a post
    known.forecast.settle()
    known.forecast.until(NOW)

    assert source.incident.muted_by == "parent:3"
    assert (target.incident.muted_by, kinds(target)) == (None, ["unmuted", "page"])


@pytest.mark.parametrize(("look", "told"), [(5, ["unmuted", "page", "muted"]), (4, ["muted"])])
def test_who_looks_at_that_very_instant_asks_before_those_that_follow(look: int, told: list[str]) -> None:
    """At minute 15 nobody is on the parent any more: then its source begins to page and keeps the other quiet."""
    known = Known()
    known.pages(1, "db", PLAIN, priority="P1", due_at=minutes(15), due_kind="again")
    waiting = known.waits(2, "cellar", ROOM, "parent:1", minutes(look))
    source = known.waits(3, "shop", DOWN, "parent:1", minutes(2))
    known.incidents.settled()

    known.forecast.until(minutes(16))

    assert source.incident.muted_by is None
    assert (waiting.incident.muted_by, kinds(waiting)) == ("inhibition:site", told)
    assert {line.at for line in waiting.told} == {minutes(15)}


def test_who_would_change_is_asked_before_any_of_them_does() -> None:
    """A silence falls upon what is needed and a source; what that source kept quiet is needed too, and takes its place."""
    known = Known(Silence("s", ('label.site="down"',), minutes(1), minutes(60), "ana", "", NOW))
    silenced = known.pages(1, "shop", DOWN)
    freed = known.waits(2, "shop", ROOM, "inhibition:site", minutes(4))
    freed.incident = replace(freed.incident, priority="P2")
    child = known.waits(3, "cellar", PLAIN, "parent:1", minutes(4))
    known.incidents.settled()

    known.forecast.until(minutes(2))

    assert (silenced.incident.muted_by, freed.incident.muted_by) == ("silence:s", None)
    assert (child.incident.muted_by, kinds(child)) == ("parent:2", ["muted"])


def test_nobody_follows_what_went_to_and_fro_within_one_decision() -> None:
    """A step that is due counts as one that reaches somebody; this one reaches nobody, and all is as it was."""
    known = Known()
    target, _ = known.pages(1, "shop", ROOM), known.pages(2, "shop", DOWN)  # its alert changed: its own timer asks
    known.pages(3, "db", PLAIN, priority="P1", policy="bo", paged="", step=1, due_at=minutes(1))
    asked = known.pages(4, "cellar", ROOM, due_at=minutes(0.5))  # in a decision of its own, before that
    known.incidents.settled()

    known.forecast.until(minutes(5))
    before = target.incident.muted_by
    known.forecast.until(minutes(9))

    assert (before, target.incident.muted_by) == (None, "inhibition:site")
    assert asked.incident.muted_by == "inhibition:site"

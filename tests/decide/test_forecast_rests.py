"""What-if of an incident whose alerts are quiet or flap: its steps rest, and it resolves when it stayed quiet."""

from __future__ import annotations

from dataclasses import replace

from tests.store.facts import alert, incident
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.reach import People
from tocsin.decide.whatif.escalation_forecast import Course, Incidents
from tocsin.decide.whatif.forecast import Forecast
from tocsin.model import MINUTE, Flap, Instant, Millis, Policy, Rule, Settings, Step, StoredAlert, Target, User

NOW = Instant(1_767_614_400_000)
POLICY = Policy("p", (Step((Target("user", "ana"),)), Step((Target("user", "ana"),))))
FLAP = Flap(3, Millis(MINUTE), Millis(15 * MINUTE))
SETTINGS = Settings(users={"ana": User("ana", "Ana", "UTC")}, policies={"p": POLICY}, rules=(Rule("r", flap=FLAP),))


def course(one: StoredAlert) -> Course:
    one = replace(one, incident=1)
    waiting = replace(
        incident(1), status="triggered", step=2, due_at=Instant(NOW + MINUTE), due_kind="step", planned_at=NOW, policy="p",
        muted_by=None, muted_left=None, held_until=None,
    )  # fmt: skip
    incidents = Incidents(SETTINGS, People(), Mutes(), NOW)
    found = incidents.know(waiting, POLICY, [one])
    forecast = Forecast(SETTINGS, None, incidents)
    forecast.know_alert(one)
    forecast.until(Instant(NOW + 60 * MINUTE))
    return found


def test_a_quiet_one_resolves() -> None:
    found = course(replace(alert(1), cleared_at=NOW, expires_at=Instant(NOW + 5 * MINUTE)))
    assert (found.incident.status, [one.because for one in found.told]) == (
        "resolved",
        ["its source says that it is over: it resolves unless it fires again", "it resolves: it stayed quiet"],
    )


def test_a_flapping_one_goes_on_when_it_settled() -> None:
    found = course(replace(alert(1), settles_at=Instant(NOW + 15 * MINUTE)))
    assert (found.told[0].because, found.incident.status) == ("it comes and goes, and somebody was paged", "triggered")
    assert found.told[1].at == NOW + 15 * MINUTE

"""Every move of an incident, from every state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.model import Actor, Incident, Instant, Millis

ANA = Actor("user", "ana")
NOW = Instant(1_000_000)
HALF_AN_HOUR = Millis(1_800_000)
LATER = Instant(NOW + HALF_AN_HOUR)
TRIGGERED = Incident(
    number=7, key="apps/x", status="triggered", title="db down", service="", severity="critical", impact="medium",
    urgency="high", priority="P2", category="", integration="apps", policy="default", policy_hash="h",
    created_at=Instant(0), updated_at=Instant(0), version=5, cycle=2, round=1, step=3,
    due_at=Instant(NOW + 60_000), due_kind="step", planned_at=Instant(NOW + 60_000), firing=1, total=1,
)  # fmt: skip
ACKED = replace(
    TRIGGERED,
    status="acknowledged",
    acknowledged_at=Instant(5),
    acknowledged_by="bo",
    due_at=LATER,
    due_kind="ack_timeout",
)
ON_HOLD = replace(ACKED, status="on_hold", due_at=None, due_kind=None)
RESOLVED = replace(
    TRIGGERED, status="resolved", resolved_at=Instant(9), resolved_by="bo", due_at=LATER, due_kind="close"
)
CLOSED = replace(RESOLVED, status="closed", closed_at=Instant(9), due_at=None, due_kind=None)
CANCELED = replace(TRIGGERED, status="canceled", closed_at=Instant(9), due_at=None, due_kind=None)
EVERY = (TRIGGERED, ACKED, ON_HOLD, RESOLVED, CLOSED, CANCELED)

Try = Callable[[Incident], Move | Stay]
MOVES: dict[str, Try] = {
    "acknowledge": lambda one: lifecycle.acknowledge(one, ANA, "api", NOW, HALF_AN_HOUR),
    "unacknowledge": lambda one: lifecycle.unacknowledge(one, ANA, "api", NOW),
    "retrigger": lambda one: lifecycle.retrigger(one, NOW, "because"),
    "snooze": lambda one: lifecycle.snooze(one, LATER, ANA, "api", NOW),
    "escalate": lambda one: lifecycle.escalate(one, ANA, "api", NOW),
    "resolve": lambda one: lifecycle.resolve(one, ANA, "api", NOW, Millis(99)),
    "cancel": lambda one: lifecycle.cancel(one, ANA, "api", NOW),
    "close": lambda one: lifecycle.close(one, ANA, "api", NOW),
    "reopen": lambda one: lifecycle.reopen(one, NOW, "because"),
    "mute": lambda one: lifecycle.mute(one, "silence:x", LATER, NOW),
}

# From (down) by (across) to; "" = nothing changes.
TABLE = """
              acknowledge   unacknowledge retrigger  snooze        escalate   resolve   cancel    close   reopen     mute
triggered     acknowledged  -             triggered  acknowledged  triggered  resolved  canceled  -       -          triggered
acknowledged  -             triggered     triggered  acknowledged  triggered  resolved  canceled  -       -          -
on_hold       -             triggered     triggered  acknowledged  triggered  resolved  canceled  -       -          -
resolved      -             -             -          -             -          -         -         closed  triggered  -
closed        -             -             -          -             -          -         -         -       -          -
canceled      -             -             -          -             -          -         -         -       -          -
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
CASES = [(row[0], verb, row[index]) for row in ROWS[1:] for index, verb in enumerate(ROWS[0], start=1)]


@pytest.mark.parametrize(("status", "verb", "becomes"), CASES, ids=[f"{verb} {status}" for status, verb, _ in CASES])
def test_where_each_move_leads(status: str, verb: str, becomes: str) -> None:
    before = next(one for one in EVERY if one.status == status)

    found = MOVES[verb](before)

    if becomes == "-":
        assert isinstance(found, Stay)
        assert "INC 7" in found.because
    else:
        assert isinstance(found, Move)
        assert found.incident.status == becomes
        assert found.incident.version == before.version + 1
        assert found.incident.updated_at == NOW
        assert len(found.entries) == 1


def moved(found: Move | Stay) -> Incident:
    assert isinstance(found, Move)
    return found.incident


@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "resolve", "cancel", "mute"])
def test_what_ends_paging_says_that_pages_must_be_stopped(verb: str) -> None:
    found = MOVES[verb](TRIGGERED)

    assert isinstance(found, Move)
    assert found.stops_pages


def test_an_acknowledgement_waits_for_its_timeout_or_for_nothing() -> None:
    after = moved(MOVES["acknowledge"](TRIGGERED))
    assert (after.due_at, after.due_kind, after.acknowledged_by) == (LATER, "ack_timeout", "ana")

    without = moved(lifecycle.acknowledge(TRIGGERED, ANA, "api", NOW, None))
    assert (without.due_at, without.due_kind) == (None, None)


def test_an_integrations_acknowledgement_is_shown_as_its_own() -> None:
    after = moved(lifecycle.acknowledge(TRIGGERED, Actor("integration", "pd"), "alert", NOW, None))

    assert after.acknowledged_by == "integration:pd"


def test_a_new_cycle_begins_at_the_first_step_now() -> None:
    after = moved(MOVES["unacknowledge"](replace(ACKED, round=2)))

    assert (after.cycle, after.round, after.step) == (3, 1, 1)
    assert (after.due_at, after.due_kind, after.planned_at) == (NOW, "step", NOW)


def test_escalating_what_is_acknowledged_goes_on_where_it_stood_in_a_new_cycle() -> None:
    after = moved(MOVES["escalate"](ACKED))
    assert (after.cycle, after.round, after.step, after.due_kind, after.due_at) == (3, 1, 3, "step", NOW)

    exhausted = moved(MOVES["escalate"](replace(ACKED, step=0)))
    assert exhausted.due_kind == "again"


def test_escalating_what_is_triggered_runs_its_next_step_now() -> None:
    after = moved(MOVES["escalate"](TRIGGERED))

    assert (after.cycle, after.step, after.due_at, after.planned_at) == (2, 3, NOW, NOW)


@pytest.mark.parametrize("verb", ["acknowledge", "snooze", "escalate", "resolve", "cancel"])
def test_what_people_do_ends_a_hold_and_a_mute(verb: str) -> None:
    quiet = replace(TRIGGERED, held_until=LATER, muted_by="silence:x", muted_left=Millis(5), due_kind="unmute")

    after = moved(MOVES[verb](quiet))

    assert (after.held_until, after.muted_by, after.muted_left) == (None, None, None)
    assert after.due_kind != "unmute"


def test_muting_keeps_what_was_left_and_unmuting_runs_the_step_due_next_at_once() -> None:
    muted = moved(MOVES["mute"](TRIGGERED))
    assert (muted.muted_by, muted.muted_left, muted.due_at, muted.due_kind) == ("silence:x", 60_000, LATER, "unmute")

    after = moved(lifecycle.unmute(muted, LATER, "it ended"))
    assert (after.muted_by, after.step, after.due_at, after.due_kind) == (None, 3, LATER, "step")


def test_muting_again_only_moves_the_end_and_the_same_changes_nothing() -> None:
    muted = moved(MOVES["mute"](TRIGGERED))
    longer = lifecycle.mute(muted, "silence:x", Instant(LATER + 1), NOW)

    assert isinstance(longer, Move)
    assert (longer.incident.due_at, longer.incident.muted_left, longer.entries) == (LATER + 1, 60_000, ())
    assert isinstance(lifecycle.mute(muted, "silence:x", LATER, NOW), Stay)


def test_muting_for_another_reason_is_told_and_keeps_what_was_left() -> None:
    muted = moved(MOVES["mute"](TRIGGERED))
    other = lifecycle.mute(muted, "maintenance:patching", Instant(LATER + 1), NOW)

    assert isinstance(other, Move)
    assert (other.incident.muted_by, other.incident.muted_left) == ("maintenance:patching", 60_000)
    assert [(one.kind, one.via, one.because) for one in other.entries] == [
        ("muted", "maintenance", "maintenance:patching")
    ]


def test_unmuting_what_is_still_held_waits_for_the_end_of_the_hold() -> None:
    held = moved(MOVES["mute"](replace(TRIGGERED, held_until=Instant(LATER + 5), step=1)))

    after = moved(lifecycle.unmute(held, NOW, "it ended"))

    assert (after.due_at, after.held_until) == (LATER + 5, LATER + 5)


def test_unmuting_what_is_not_muted_changes_nothing() -> None:
    assert isinstance(lifecycle.unmute(TRIGGERED, NOW, "x"), Stay)


def test_an_assessment_that_says_the_same_changes_nothing() -> None:
    assert lifecycle.reassessed(TRIGGERED, "critical", "medium", "high", "P2", NOW) is TRIGGERED
    changed = lifecycle.reassessed(TRIGGERED, "info", "medium", "low", "P4", NOW)
    assert (changed.priority, changed.version, changed.due_at) == ("P4", 6, TRIGGERED.due_at)


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=30))
def test_whatever_is_done_closed_stays_closed_and_cycles_only_grow(verbs: list[str]) -> None:
    incident, cycle = TRIGGERED, TRIGGERED.cycle
    for verb in verbs:
        found = MOVES[verb](incident)
        if isinstance(found, Stay):
            continue
        assert incident.status not in ("closed", "canceled")
        incident = found.incident
        assert incident.cycle >= cycle
        cycle = incident.cycle
        if incident.status == "triggered":
            assert incident.due_at is not None, "a triggered incident always waits for something"
            assert (incident.due_kind == "unmute") == (incident.muted_by is not None)
        else:
            assert incident.muted_by is None

"""Impact and urgency make the priority; the hour has a say in the lesser ones."""

from __future__ import annotations

import pytest

from tocsin.decide.routing.priority import assess, by_service, is_higher, reassess, worst
from tocsin.decide.routing.rules import Verdict
from tocsin.model import (
    Hours,
    Impact,
    Incident,
    Instant,
    Millis,
    Priority,
    Service,
    Settings,
    Severity,
    Support,
    Urgency,
)

MONDAY_NOON = Instant(1_767_614_400_000)
MONDAY_NIGHT = Instant(MONDAY_NOON + 10 * 3_600_000)
OFFICE = Support("UTC", (Hours(frozenset(range(5)), 8 * 60, 18 * 60),))
SETTINGS = Settings(
    services={
        "high": Service("high", impact="high"), "medium": Service("medium"), "low": Service("low", impact="low"),
        "high office": Service("high office", impact="high", support_hours=OFFICE),
        "low office": Service("low office", impact="low", support_hours=OFFICE),
    }
)  # fmt: skip
VERDICT = Verdict(
    rules=(), severity="error", service="", title="", category="", labels={}, impact=None, urgency=None, priority=None,
    policy=None, group_by=None, join_within=Millis(0), dedup_key=None, hold=None, auto_resolve=None, re_page="raise",
    dropped_by=None, suppressed_by=None, errors=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("service", "severity", "urgency", "priority"),
    [
        ("high", "critical", "high", "P1"), ("high", "error", "high", "P1"), ("high", "warning", "medium", "P2"),
        ("high", "info", "low", "P3"), ("medium", "critical", "high", "P2"), ("medium", "warning", "medium", "P3"),
        ("medium", "info", "low", "P4"), ("low", "critical", "high", "P3"), ("low", "warning", "medium", "P4"),
        ("low", "info", "low", "P5"), ("never heard of", "critical", "high", "P2"), ("", "info", "low", "P4"),
    ],
)  # fmt: skip
def test_the_table(service: str, severity: Severity, urgency: Urgency, priority: Priority) -> None:
    found = assess(VERDICT._replace(service=service), severity, SETTINGS, MONDAY_NIGHT)

    assert (found.urgency, found.priority) == (urgency, priority)
    assert by_service(service, severity, SETTINGS, MONDAY_NIGHT) == found


@pytest.mark.parametrize(
    ("service", "severity", "at", "urgency", "priority"),
    [
        ("low office", "critical", MONDAY_NOON, "high", "P3"),
        ("low office", "critical", MONDAY_NIGHT, "low", "P5"),
        ("low office", "info", MONDAY_NIGHT, "low", "P5"),
        ("high office", "critical", MONDAY_NIGHT, "high", "P1"),   # P1 and P2 know no hours
        ("high office", "warning", MONDAY_NIGHT, "medium", "P2"),
        ("high office", "info", MONDAY_NIGHT, "low", "P3"),
    ],
)  # fmt: skip
def test_outside_support_hours_the_lesser_ones_lose_their_urgency(
    service: str, severity: Severity, at: Instant, urgency: Urgency, priority: str
) -> None:
    found = assess(VERDICT._replace(service=service), severity, SETTINGS, at)

    assert (found.urgency, found.priority) == (urgency, priority)


def test_what_a_rule_sets_wins_piece_by_piece() -> None:
    night = MONDAY_NIGHT
    assert assess(VERDICT._replace(service="low", impact="high"), "critical", SETTINGS, night).priority == "P1"
    assert assess(VERDICT._replace(service="high", urgency="low"), "critical", SETTINGS, night).priority == "P3"
    set_whole = assess(VERDICT._replace(service="low office", priority="P1"), "info", SETTINGS, night)
    assert (set_whole.priority, set_whole.urgency, set_whole.because) == ("P1", "low", "a rule sets the priority")


def incident(service: str, severity: Severity, impact: Impact, urgency: Urgency, priority: Priority) -> Incident:
    return Incident(
        number=1, key="k", status="triggered", title="t", service=service, severity=severity, impact=impact,
        urgency=urgency, priority=priority, category="", integration="apps", policy="", policy_hash="",
        created_at=Instant(0), updated_at=Instant(0),
    )  # fmt: skip


def test_when_support_hours_begin_the_urgency_comes_back() -> None:
    asleep = incident("low office", "critical", "low", "low", "P5")

    assert reassess(asleep, "critical", SETTINGS, MONDAY_NIGHT).priority == "P5"
    assert reassess(asleep, "critical", SETTINGS, MONDAY_NOON).priority == "P3"


def test_what_a_rule_had_set_stays_when_the_severity_changes() -> None:
    raised = incident("low", "info", "high", "high", "P1")

    found = reassess(raised, "warning", SETTINGS, MONDAY_NOON)

    assert (found.impact, found.urgency, found.priority) == ("high", "high", "P1")


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        (["info", "critical", "warning"], "critical"),
        (["warning", "info"], "warning"),
        (["error", "error"], "error"),
        ([], "info"),
    ],
)
def test_the_worst_of_several(severities: list[Severity], expected: Severity) -> None:
    assert worst(severities) == expected


def test_p1_is_higher_than_p2() -> None:
    assert is_higher("P1", "P2")
    assert not is_higher("P2", "P2")
    assert not is_higher("P5", "P4")

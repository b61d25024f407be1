"""What becomes of an alert, in a table: each answer once, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tocsin.decide.incidents.placement import place
from tocsin.decide.incidents.placement_answers import (
    Acknowledge,
    Clear,
    Drop,
    End,
    Facts,
    Ignore,
    Join,
    Open,
    Placed,
    Remark,
    Reopen,
    Repeat,
    Suppress,
    Update,
    Wait,
)
from tocsin.decide.incidents.waiting_firings import ended_by_hand, ended_by_source
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.noise.counters import Mark
from tocsin.decide.routing.alert_texts import content_of, fit_to_keep
from tocsin.decide.routing.grouping import group_of
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import (
    HOUR,
    MINUTE,
    SECOND,
    Alert,
    Defaults,
    Flap,
    Incident,
    Instant,
    IntegrationConfig,
    Millis,
    Policy,
    Rule,
    RuleSet,
    Settings,
    Silence,
    StoredAlert,
    Threshold,
)

NOW = Instant(1_700_000_000_000)
BEFORE = Instant(NOW - HOUR)
APPS = IntegrationConfig("apps", "generic")
FIRES = Alert("firing", "disk", "warning", "disk full", service="shop", labels={"alertname": "Disk", "cluster": "eu"})
SETTINGS = Settings(defaults=Defaults(policy="default"), policies={"default": Policy("default", ())})

HOLD = Rule("hold", hold=Millis(5 * MINUTE))
GROUP = Rule("group", group_by=("cluster",))
ANY = replace(GROUP, re_page="any")
THREE = Rule("three", threshold=Threshold(3, Millis(HOUR)))
FLAP = Rule("flap", flap=Flap(2, Millis(HOUR), Millis(10 * MINUTE)))
CALM = Rule("calm", resolve_after=Millis(2 * MINUTE))
WORSE = Rule("worse", set=RuleSet(severity="critical"))
SILENT = Silence("s1", ("service=shop",), BEFORE, Instant(NOW + HOUR), "ana", "", BEFORE)

OPEN = Incident(
    number=7, key='shop{cluster="eu"}', status="triggered", title="disk full", service="shop", severity="warning",
    impact="medium", urgency="medium", priority="P3", category="", integration="apps", policy="default",
    policy_hash="frozen", created_at=BEFORE, updated_at=BEFORE, version=4, due_at=Instant(NOW + MINUTE),
    due_kind="step", planned_at=Instant(NOW + MINUTE), grouped=True, joins_until=Instant(NOW + HOUR), firing=1,
    total=1, counts={"warning": 1}, alert=1,
)  # fmt: skip
ACKED = replace(OPEN, status="acknowledged", acknowledged_by="ana", acknowledged_at=BEFORE, due_at=None, due_kind=None)
FULL = replace(OPEN, joins_until=NOW)
OVER = replace(OPEN, status="resolved", resolved_at=Instant(NOW - MINUTE), firing=0, resolved=1, counts={})
MUTED = replace(OPEN, muted_by="silence:s1", muted_left=Millis(0), due_kind="unmute", due_at=Instant(NOW + HOUR))
HELD = replace(OPEN, held_until=Instant(NOW + MINUTE))
RESTING = replace(OPEN, muted_left=Millis(0))
ALONE = replace(OPEN, grouped=False, counts={}, key="apps/disk", joins_until=None)


def kept(status: str = "firing", incident: int | None = 7, **more: Any) -> StoredAlert:
    known: dict[str, Any] = {
        "id": 1, "integration": "apps", "source_key": "disk", "content": content_of(FIRES), "incident": incident,
        "post": 1, "severity": "warning", "title": "disk full", "description": "", "service": "shop", "source": "",
        "labels": FIRES.labels, "links": (), "rules": (), "started_at": BEFORE, "received_at": BEFORE,
        "last_seen_at": BEFORE, "status": status,
    }  # fmt: skip
    return StoredAlert(**{**known, **more})


WAITING = kept(
    "waiting",
    None,
    waits_until=Instant(NOW + 5 * SECOND),
    because="it came right behind",
    content=content_of(FIRES) ^ 1,
)
OTHER: dict[str, Any] = {"content": 1, "severity": "info"}


@dataclass(frozen=True)
class Case:
    """One question. `facts`: beside what follows from the alert and the rules."""

    name: str
    expected: type
    because: str
    alert: Alert = FIRES
    rules: tuple[Rule, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = SETTINGS
    silences: tuple[Silence, ...] = ()


def asked(case: Case) -> Placed:
    settings = replace(case.settings, rules=case.rules)
    integration = case.facts.get("integration", APPS)
    verdict = Rulebook(settings).walk(case.alert, integration)
    mutes = Mutes(settings)
    mutes.replace(case.silences)
    known: dict[str, Any] = {"key": "disk", "alert_id": 21, "number": 11, "post": 3}
    if case.alert.status in ("firing", "heartbeat"):
        known |= {
            "fit": fit_to_keep(case.alert, verdict),
            "group": group_of(verdict, "disk", "apps"),
            "content": content_of(case.alert),
        }
    known |= {"settings": settings, "integration": integration, "mutes": mutes, **case.facts}
    return place(case.alert, verdict, Facts(**known), NOW)


def marks(*alerts: int) -> dict[str, Any]:
    """What a threshold or flap rule has counted of these alerts within its time."""
    found = {f"apps/a{one}@{BEFORE}": Mark(Instant(NOW - MINUTE), one, f"apps/a{one}@{BEFORE}") for one in alerts}
    window = [kept("suppressed", None, id=one, source_key=f"a{one}", severity="critical") for one in alerts]
    return {"counted": found, "have": len(found), "window": window}


RIGHT_BEHIND = ended_by_source("apps", "disk", Instant(BEFORE + 1), Instant(NOW - SECOND), 5)
BY_HAND = ended_by_hand(kept(), Instant(NOW - MINUTE))
OLD = replace(FIRES, started_at=BEFORE)
RESOLVED = replace(FIRES, status="resolved")
REOPENING = replace(SETTINGS, defaults=Defaults(policy="default", reopen_within=Millis(HOUR)))
CLEARED = kept(cleared_at=Instant(NOW - SECOND), expires_at=Instant(NOW + MINUTE), content=content_of(FIRES) ^ 1)

CASES = [
    Case("alone", Open, "no rule groups it"),
    Case("grouped", Open, "same cluster", rules=(GROUP,)),
    Case("held", Open, "no rule groups it", rules=(HOLD,)),
    Case("silenced", Open, "no rule groups it", silences=(SILENT,)),
    Case("its incident takes no more", Open, "same cluster", rules=(GROUP,), facts={"latest": FULL}),
    Case("its incident is over", Open, "same cluster", rules=(GROUP,), facts={"latest": OVER}),
    Case("its incident is open", Join, "same cluster", rules=(GROUP,), facts={"latest": OPEN}),
    Case("its incident was over just now", Reopen, "INC 7 was resolved within reopen_within", rules=(GROUP,),
         facts={"latest": OVER}, settings=REOPENING),
    Case("heartbeat", Suppress, "it feeds a heartbeat", alert=replace(FIRES, status="heartbeat")),
    Case("dropped", Drop, "rule 'no' drops it", rules=(Rule("no", drop=True),)),
    Case("suppressed", Suppress, "rule 'no' keeps it without an incident", rules=(Rule("no", suppress=True),)),
    Case("below a threshold", Suppress, "2 of 3 firings within 1h", rules=(THREE,), facts=marks(31)),
    Case("reaches a threshold", Open, "3 firings within 1h, and 3 are enough", rules=(THREE,), facts=marks(31, 32)),
    Case("below a threshold, and its incident is open", Join, "rule 'three' counts them", rules=(THREE,),
         facts={"latest": OPEN}),
    Case("right behind its end", Wait, "it came right behind its resolve", OLD, facts={"tombstone": RIGHT_BEHIND}),
    Case("newer than its end", Open, "no rule groups it", replace(FIRES, started_at=NOW),
         facts={"tombstone": RIGHT_BEHIND}),
    Case("without a time of its own", Open, "no rule groups it", facts={"tombstone": RIGHT_BEHIND}),
    Case("resolved by hand", Wait, "INC 7 was resolved by hand", OLD, facts={"tombstone": BY_HAND}),
    Case("waits, heard again", Wait, "it came right behind", OLD, facts={"existing": WAITING}),
    Case("waits, and a newer one comes", Open, "no rule groups it", replace(FIRES, started_at=NOW),
         facts={"existing": WAITING}),
    Case("waited long enough", Open, "no rule groups it", OLD,
         facts={"existing": replace(WAITING, waits_until=NOW), "waited": True}),
    Case("waited, and is resolved", Ignore, "it was resolved meanwhile", OLD, facts={"waited": True}),
    Case("repeated", Repeat, "it says what it said before", facts={"existing": kept(), "own": OPEN}),
    Case("says something else", Update, "its content changed", facts={"existing": kept(**OTHER), "own": OPEN}),
    Case("suppressed before, and fires", Open, "no rule groups it",
         facts={"existing": kept("suppressed", None, **OTHER)}),
    Case("cleared, and fires again", Update, "it fires again", facts={"existing": CLEARED, "own": OPEN}),
    Case("cleared, and a copy comes", Wait, "it came right behind", OLD, facts={"existing": CLEARED, "own": OPEN}),
    Case("resolved", End, "its source resolved it", RESOLVED, facts={"existing": kept(), "own": OPEN}),
    Case("resolved, not to end yet", Clear, "resolve_after", RESOLVED,
         facts={"existing": kept(terms={"resolve_after": 60_000}), "own": OPEN}),
    Case("resolved twice", Ignore, "its source said so before", RESOLVED,
         facts={"existing": replace(CLEARED, terms={"resolve_after": 60_000}), "own": OPEN}),
    Case("resolve of an earlier firing", Ignore, "of an earlier firing", replace(RESOLVED, ended_at=BEFORE),
         facts={"existing": kept(started_at=Instant(BEFORE + 1)), "own": OPEN}),
    Case("resolve of nothing", Ignore, "a resolve opens nothing", RESOLVED),
    Case("resolve that is not allowed", Ignore, "may not resolve", RESOLVED,
         facts={"existing": kept(), "own": OPEN, "integration": replace(APPS, may_resolve=False)}),
    Case("acknowledged", Acknowledge, "its source acknowledges it", replace(FIRES, status="acknowledged"),
         facts={"existing": kept(), "own": OPEN, "integration": replace(APPS, may_acknowledge=True)}),
    Case("acknowledge that is not allowed", Ignore, "may not acknowledge", replace(FIRES, status="acknowledged"),
         facts={"existing": kept(), "own": OPEN}),
    Case("acknowledge of nothing", Ignore, "no open alert", replace(FIRES, status="acknowledged")),
    Case("remark", Remark, "nobody is paged", replace(FIRES, status="note"), facts={"existing": kept(), "own": OPEN}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_becomes_of_an_alert(case: Case) -> None:
    placed = asked(case)

    assert type(placed) is case.expected
    assert case.because in placed.because


def test_every_answer_stands_in_the_table() -> None:
    assert {case.expected for case in CASES} == set(Placed.__args__)


def found(name: str, **changes: Any) -> Any:
    """The answer to a row of the table, its facts or rules changed."""
    case = next(one for one in CASES if one.name == name)
    if "facts" in changes:
        changes["facts"] = {**case.facts, **changes["facts"]}
    return asked(replace(case, **changes))


def test_what_opens_has_the_incident_as_it_is_opened() -> None:
    placed = found("grouped")

    assert (placed.incident.number, placed.incident.key, placed.incident.policy) == (
        11,
        'shop{cluster="eu"}',
        "default",
    )
    assert (placed.incident.firing, placed.incident.counts, placed.incident.due_at) == (1, {"warning": 1}, NOW)
    assert (placed.alert.id, placed.alert.incident, placed.alert.joined, placed.alert.post) == (21, 11, False, 3)
    assert placed.pages
    assert placed.moves == ()


def test_what_is_held_or_silenced_pages_nobody() -> None:
    held, silenced = found("held"), found("silenced")

    assert (held.pages, held.incident.held_until) == (False, NOW + 5 * MINUTE)
    assert (silenced.pages, silenced.alert.muted_by) == (False, "silence:s1")
    assert silenced.moves[-1].incident.muted_by == "silence:s1"


def test_the_incident_before_is_named() -> None:
    assert found("its incident takes no more").incident.previous == 7


def test_a_threshold_that_is_reached_gathers_those_that_waited() -> None:
    placed = found("reaches a threshold")

    assert [one.id for one in placed.gathered] == [31, 32]
    assert {(one.status, one.incident, one.joined) for one in placed.gathered} == {("firing", 11, True)}
    assert (placed.incident.severity, placed.moves[-1].incident.firing) == ("critical", 3)
    assert [entry.kind for entry in placed.moves[-1].entries] == ["joined"]
    assert [mark.what for _, mark in placed.counts] == [f"apps/disk@{NOW}"]


def test_a_threshold_counts_a_firing_once() -> None:
    seen = replace(FIRES, started_at=BEFORE)
    waits = {"existing": kept("suppressed", None, **OTHER), **marks(31, 32)}

    assert type(found("reaches a threshold", alert=seen, facts=waits)) is Suppress
    assert found("reaches a threshold", alert=seen, facts=waits).counts == ()


def test_one_that_pages_among_those_gathered_is_enough() -> None:
    only_disks = replace(SILENT, matchers=("title='disk full'",))
    waits = marks(31, 32)
    waits["window"] = [replace(one, title="login failed") for one in waits["window"]]

    assert not found("reaches a threshold", silences=(SILENT,)).pages
    assert found("reaches a threshold", silences=(only_disks,), facts=waits).pages


@pytest.mark.parametrize(
    ("rules", "before", "kinds"),
    [
        ((GROUP,), OPEN, ["joined"]),
        ((GROUP,), ACKED, ["joined"]),
        ((GROUP, ANY), ACKED, ["joined", "retriggered"]),
        ((GROUP, WORSE), ACKED, ["joined", "retriggered"]),
        ((GROUP, WORSE, replace(GROUP, name="n", re_page="never")), ACKED, ["joined"]),
        ((GROUP,), MUTED, ["joined", "unmuted"]),
        ((GROUP,), HELD, ["joined"]),
    ],
)
def test_what_joining_does(rules: tuple[Rule, ...], before: Incident, kinds: list[str]) -> None:
    placed = found("its incident is open", rules=rules, facts={"latest": before})

    after = placed.moves[-1].incident
    assert [entry.kind for move in placed.moves for entry in move.entries] == kinds
    assert (after.firing, after.total) == (2, 2)
    assert after.muted_by is None
    assert after.held_until is None


def test_a_silenced_one_lets_a_muted_incident_rest() -> None:
    placed = found("its incident is open", silences=(SILENT,), facts={"latest": MUTED})

    assert placed.moves[-1].incident.muted_by == "silence:s1"


def test_an_update_that_is_worse_pages_anew() -> None:
    placed = found("says something else", rules=(WORSE,), facts={"own": ACKED})

    assert [entry.kind for move in placed.moves for entry in move.entries] == ["updated", "retriggered"]
    assert placed.moves[-1].incident.priority < ACKED.priority
    assert (placed.alert.id, placed.alert.count, placed.alert.received_at) == (1, 2, BEFORE)


def test_an_update_that_is_less_bad_asks_the_others() -> None:
    two = replace(OPEN, firing=2, total=2, counts={"warning": 1, "critical": 1}, severity="critical")
    placed = found("says something else", facts={"own": two, "existing": kept(content=1, severity="critical")})

    assert placed.reassess
    assert placed.moves[-1].incident.severity == "critical"


def test_what_fires_again_rouses_its_incident() -> None:
    placed = found("cleared, and fires again", facts={"own": RESTING})

    assert placed.again
    assert [entry.kind for move in placed.moves for entry in move.entries] == ["fired_again"]
    assert not placed.moves[-1].incident.resting


def test_a_flap_rule_counts_what_fires_and_what_is_resolved() -> None:
    once = {"changes": [Mark(Instant(NOW - MINUTE), 1, "firing@1#0")]}
    fires = found("alone", rules=(FLAP,), facts=once)
    resolved = found(
        "resolved", facts={**once, "existing": kept(terms={"flap": [2, HOUR, 10 * MINUTE, "flap"]}), "own": OPEN}
    )

    assert (fires.alert.settles_at, [tally for tally, _ in fires.counts]) == (NOW + 10 * MINUTE, ["flap apps/disk"])
    assert (type(resolved), resolved.alert.settles_at) == (Clear, NOW + 10 * MINUTE)
    assert [mark.what for _, mark in resolved.counts] == [f"resolved@{NOW}#1"]


def test_the_last_resolve_resolves_the_incident_and_another_does_not() -> None:
    last, one_of_two = found("resolved"), found("resolved", facts={"own": replace(OPEN, firing=2)})

    assert (last.moves[-1].incident.status, one_of_two.moves[-1].incident.status) == ("resolved", "triggered")
    assert (last.alert.status, last.alert.ended_at) == ("resolved", NOW)


@pytest.mark.parametrize("name", ["resolved", "resolve of nothing", "resolve that is not allowed"])
def test_a_resolve_without_times_leaves_no_tombstone(name: str) -> None:
    assert found(name).tombstone is None


def test_a_resolve_leaves_a_tombstone_where_a_copy_may_follow() -> None:
    known = found("resolved", facts={"existing": kept(started_at=Instant(BEFORE - 1)), "own": OPEN})
    unknown = found("resolve of nothing", alert=replace(RESOLVED, ended_at=BEFORE))

    assert known.tombstone[:3] == ("apps", "disk", BEFORE)
    assert known.tombstone.incident == 7
    assert unknown.tombstone is not None
    assert unknown.tombstone.ended_at == BEFORE


def test_a_wait_is_told_once_where_it_ended() -> None:
    first, again = found("right behind its end"), found("waits, heard again")

    assert [(entry.incident, entry.kind) for entry in first.story] == [(5, "waits")]
    assert again.story == ()
    assert (first.alert.status, first.until) == ("waiting", RIGHT_BEHIND.fires_at)
    assert first.alert.content != content_of(OLD)


def test_what_waited_counts_its_hold_from_when_it_came() -> None:
    waited = replace(WAITING, waits_until=NOW, hold_until=Instant(NOW + MINUTE), expires_at=Instant(NOW + HOUR))
    placed = found("waited long enough", rules=(HOLD,), facts={"existing": waited})

    assert (placed.alert.hold_until, placed.alert.expires_at) == (NOW + MINUTE, NOW + HOUR)
    assert placed.incident.held_until == NOW + MINUTE


def test_an_acknowledgement_counts_in_its_incident() -> None:
    placed = found("acknowledged")

    assert placed.alert.acknowledged_at == NOW
    assert placed.moves[-1].incident.counts == {"warning": 1, "acked": 1}


def test_one_acknowledged_before_it_joins_counts_as_such() -> None:
    known = {"existing": kept("suppressed", None, acknowledged_at=BEFORE, **OTHER), "latest": OPEN}
    placed = found("its incident is open", facts=known)

    assert placed.moves[0].incident.counts == {"warning": 2, "acked": 1}
    assert placed.alert.acknowledged_at == BEFORE

"""What would happen, and who would be paged when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tocsin.decide.noise.counters import Mark, bulk_tally
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.whatif.explain import Explained, Facts, explain
from tocsin.decide.whatif.explain_report import as_json
from tocsin.model import (
    HOUR,
    MINUTE,
    Alert,
    ChannelConfig,
    Contact,
    Defaults,
    Incident,
    Instant,
    IntegrationConfig,
    Layer,
    Millis,
    NotifyRule,
    Only,
    Parsed,
    Policy,
    Rotation,
    Rule,
    RuleSet,
    Schedule,
    Service,
    Settings,
    Silence,
    Step,
    StoredAlert,
    Target,
    Threshold,
    User,
    instant,
)

NOW = instant(datetime.fromisoformat("2026-01-07T10:00:00Z"))
PROMETHEUS = IntegrationConfig("prometheus", "alertmanager")


def user(key: str, *rules: NotifyRule) -> User:
    contacts = {name: Contact(name, name, f"{name} of {key}") for name in ("sms", "voice")}
    return User(key, key.title(), "UTC", contacts=contacts, notify={"high": rules} if rules else {})


SETTINGS = Settings(
    defaults=Defaults(timezone="Europe/Paris", policy="default"),
    catch_all=(Target("user", "grace"), Target("channel", "ops")),
    channels={
        "sms": ChannelConfig("sms", "twilio_sms"),
        "voice": ChannelConfig("voice", "twilio_voice"),
        "ops": ChannelConfig("ops", "smtp", to="ops@example.org"),
    },
    users={
        "ana": user("ana", NotifyRule(("sms",)), NotifyRule(("voice",), after=Millis(2 * MINUTE))),
        "bo": user("bo", NotifyRule(("sms",))),
        "grace": user("grace", NotifyRule(("sms",))),
    },
    schedules={
        "primary": Schedule(
            "primary",
            "UTC",
            (Layer("week", (("ana",), ("bo",)), Rotation(1, "weeks", "2026-01-05T10:20")),),
        ),
        "empty": Schedule("empty", "UTC", (Layer("later", (("ana",),), Rotation(1, "weeks", "2099-01-05T09:00")),)),
    },
    policies={
        "default": Policy("default", (Step((Target("schedule", "primary"),), wait=Millis(5 * MINUTE)),), repeat=1),
        "holes": Policy(
            "holes",
            (Step((Target("schedule", "empty"),)), Step((Target("user", "bo"),), only=Only(priority=("P1", "P2")))),
            repeat=0,
        ),
    },
    services={"shop": Service("shop", impact="high"), "holed": Service("holed", policy="holes")},
)


def alert(key: str | None = "k1", **rest: Any) -> Alert:
    facts = {"severity": "critical", "title": "Node down", "service": "shop", "labels": {"cluster": "eu"}}
    return Alert("firing", key, **{**facts, **rest})


NOTHING_OPEN = Facts()


def asked(
    *alerts: Alert, rules: tuple[Rule, ...] = (), at: Instant = NOW, facts: Facts = NOTHING_OPEN, **rest: Any
) -> tuple[Explained, ...]:
    settings = replace(SETTINGS, rules=rules, **rest)
    return explain(settings, Rulebook(settings), PROMETHEUS, Parsed(alerts), at, facts)


def plan(one: Explained) -> list[tuple[int, int, str | None, str | None]]:
    """(minutes from NOW, step, user, channel)."""
    return [((page.at - NOW) // MINUTE, page.step, page.user, page.channel) for page in one.plan]


def test_the_plan_is_every_page_until_the_catch_all_minute_by_minute() -> None:
    [one] = asked(alert())
    assert one.assessed is not None
    assert (one.action, one.policy, one.assessed.priority) == ("open", "default", "P1")
    assert plan(one) == [
        (0, 1, "ana", "sms"),
        (2, 1, "ana", "voice"),  # her personal rule
        (5, 1, "ana", "sms"),  # the policy is repeated once
        (7, 1, "ana", "voice"),
        (10, 0, "grace", "sms"),
        (10, 0, None, "ops"),
    ]
    assert one.plan[0].because == "on call in primary: layer week, turn 1"


def test_people_are_resolved_at_each_steps_own_time() -> None:
    at = instant(datetime.fromisoformat("2026-01-12T10:17:00Z"))
    [one] = asked(alert(), at=at)
    assert [(page.user, page.step) for page in one.plan if page.channel == "sms"] == [
        ("ana", 1),
        ("bo", 1),
        ("grace", 0),
    ]


def test_a_hold_moves_the_plan() -> None:
    [one] = asked(alert(), rules=(Rule("patient", hold=Millis(10 * MINUTE)),))
    assert one.action == "hold"
    assert plan(one)[0] == (10, 1, "ana", "sms")
    assert "nobody is paged for 10m" in one.because


def test_a_step_that_reaches_nobody_is_noted_and_the_next_one_runs_at_once() -> None:
    [one] = asked(alert(service="holed"))
    assert plan(one)[0] == (0, 2, "bo", "sms")
    assert [note.because for note in one.notes if note.kind == "nobody"] == [
        "step 1 reaches nobody: the next one runs at once"
    ]


def test_what_happens_beside_pages_is_told_in_its_own_round() -> None:
    holes = Policy(
        "holes",
        (Step((Target("schedule", "nobody"),), Millis(5 * MINUTE)), Step((Target("user", "bo"),), Millis(5 * MINUTE))),
        1,
    )
    [one] = asked(alert(service="holed"), policies={"holes": holes})
    assert [(note.kind, note.step, note.round) for note in one.notes] == [
        ("nobody", 1, 1), ("nobody", 1, 2), ("catch_all", 0, 3),
    ]  # fmt: skip
    assert [page.round for page in one.plan] == [1, 2, 3, 3]


def test_without_a_policy_the_catch_all_is_paged_at_once() -> None:
    [one] = asked(alert(), defaults=Defaults())
    assert (one.policy, plan(one)[:2]) == (None, [(0, 0, "grace", "sms"), (0, 0, None, "ops")])


@pytest.mark.parametrize(
    ("rule", "action", "said"),
    [
        (Rule("noise", drop=True), "drop", "rule 'noise' drops it"),
        (Rule("quiet", suppress=True), "suppress", "rule 'quiet' keeps it without incident"),
    ],
)
def test_what_a_rule_ends_pages_nobody(rule: Rule, action: str, said: str) -> None:
    [one] = asked(alert(), rules=(rule,))
    assert (one.action, one.because, one.plan) == (action, said, ())


def test_the_second_alert_of_a_group_joins_the_first_of_the_same_body() -> None:
    first, second = asked(alert("a"), alert("b"), rules=(Rule("group", group_by=("cluster",)),))
    assert (first.action, second.action, second.plan) == ("open", "join", ())
    assert first.group is not None
    assert second.group is not None
    assert first.group.key == second.group.key == 'shop{cluster="eu"}'


def test_the_same_alert_twice_in_a_body_is_an_update() -> None:
    assert [one.action for one in asked(alert("a"), alert("a"))] == ["open", "update"]


def test_two_alerts_without_identity_are_two_incidents() -> None:
    found = asked(alert(None, pointer="/0"), alert(None, pointer="/1"))
    assert [one.action for one in found] == ["open", "open"]


def incident(**rest: Any) -> Incident:
    facts = {
        "number": 7, "key": 'shop{cluster="eu"}', "status": "triggered", "title": "t", "service": "shop",
        "severity": "error", "impact": "medium", "urgency": "high", "priority": "P2", "category": "",
        "integration": "prometheus", "policy": "default", "policy_hash": "", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return Incident(**{**facts, **rest})


GROUPED = (Rule("group", group_by=("cluster",)),)


@pytest.mark.parametrize(
    ("before", "action", "said", "pages"),
    [
        (incident(), "join", "it joins incident 7", False),
        (incident(joins_until=NOW), "open", "it opens an incident", True),
        (incident(status="resolved"), "open", "it opens an incident", True),
        (
            incident(status="acknowledged", acknowledged_by="ana"),
            "join",
            "acknowledged by ana, and this one pages again",
            True,
        ),
        (incident(status="acknowledged", priority="P1"), "join", "as it stands (acknowledged)", False),
    ],
)
def test_what_is_open_already_is_joined(before: Incident, action: str, said: str, pages: bool) -> None:
    [one] = asked(alert(), rules=GROUPED, facts=Facts(incidents={before.key: before}))
    assert (one.action, bool(one.plan)) == (action, pages)
    assert said in one.because


def test_an_alert_that_is_open_already_is_updated() -> None:
    stored = StoredAlert(
        id=1, integration="prometheus", source_key="k1", content=0, status="firing", incident=7, post=1,
        severity="critical", title="t", description="", service="shop", source="", labels={}, links=(), rules=(),
        started_at=NOW, received_at=NOW, last_seen_at=NOW,
    )  # fmt: skip
    facts = Facts(alerts={"k1": stored})
    assert asked(alert(), facts=facts)[0].action == "update"
    [end] = asked(replace(alert(), status="resolved"), facts=facts)
    assert (end.action, end.because, end.rules) == ("resolve", "it resolves the alert of incident 7", ())


@pytest.mark.parametrize(
    ("matchers", "muted"), [(('cluster="eu"',), True), (('cluster="us"',), False), (("severity=warning",), True)]
)
def test_a_silence_sees_the_alert_after_the_rules_and_moves_the_plan_to_its_end(
    matchers: tuple[str, ...], muted: bool
) -> None:
    silence = Silence("s1", matchers, Instant(NOW - HOUR), Instant(NOW + HOUR), "ana", "patching", NOW)
    [one] = asked(alert(), rules=(Rule("calm", set=RuleSet(severity="warning")),), facts=Facts(silences=(silence,)))
    assert one.muted_by == ("s1" if muted else None)
    assert plan(one)[0][0] == (60 if muted else 0)


def test_a_silence_of_another_time_does_not_count() -> None:
    silence = Silence("s1", ('cluster="eu"',), Instant(NOW - HOUR), NOW, "ana", "patching", NOW)
    assert asked(alert(), facts=Facts(silences=(silence,)))[0].muted_by is None


def test_the_json_has_the_keys_of_the_manual() -> None:
    parsed = Parsed((alert(),))
    found = asked(alert(), rules=(Rule("no", ("cluster=us",)),))
    shown = as_json(found, parsed, SETTINGS, NOW)["alerts"][0]
    wanted = {"dedup_key", "severity", "service", "rules", "action", "incident_key", "priority", "policy", "plan"}
    assert wanted <= shown.keys()
    assert shown["rules"] == [{"name": "no", "matched": False, "because": "cluster=us does not fit: cluster is 'eu'"}]
    assert shown["plan"][1] == {
        "at": "2026-01-07T11:02:00+01:00",
        "after": "2m",
        "step": 1,
        "user": "ana",
        "channel": "voice",
        "because": "on call in primary: layer week, turn 1",
        "local": "2026-01-07T10:02:00Z",
        "round": 1,
        "kind": "page",
    }


def test_a_policy_that_repeats_forever_is_explained_for_a_while() -> None:
    forever = Policy("forever", (Step((Target("user", "bo"),), wait=Millis(5 * MINUTE)),), repeat=None)
    [one] = asked(alert(), policies={"default": forever})
    assert 100 <= len(one.plan) <= 200


def test_under_a_threshold_it_is_suppressed_with_the_count_so_far_until_there_are_enough() -> None:
    limit = Rule("logins", threshold=Threshold(3, Millis(MINUTE)))
    settings = Settings(rules=(limit,))
    alerts = tuple(Alert("firing", f"k{number}", title="login failed") for number in range(2))
    apps = IntegrationConfig("apps", "webhook")

    before = {bulk_tally('""{rule="logins"}'): [Mark(Instant(0), 1, "apps/k@0")]}

    found = explain(settings, Rulebook(settings), apps, Parsed(alerts), Instant(0), Facts(marks=before))

    assert [one.action for one in found] == ["suppress", "open"]
    assert found[0].because == "rule 'logins': 2 of 3 firings within 1m, so no incident yet"
    assert found[0].rules[0].because == "it matches every alert; threshold: 3 within 1m"

"""What each source makes of what is sent to it, well-formed or not."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.integrations.samples import ROUTING_KEY, SAMPLES, config, instant
from tocsin.contracts import Source
from tocsin.errors import BadBody
from tocsin.model import Alert, Instant, IntegrationConfig, Link, Parsed, Secret
from tocsin.testing import alert_troubles
from tocsin_integrations.common import json_fields
from tocsin_integrations.sources import alertmanager, pagerduty, webhook

NOW = instant("2026-11-20T04:00:00Z")
SOURCES: tuple[Source, ...] = (alertmanager.SOURCE, pagerduty.SOURCE, webhook.SOURCE)


def parse(source: Source, body: Any, config_: IntegrationConfig | None = None) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return source.parse(raw, {}, config_ or config(source.type), NOW)


def one(source: Source, body: Any, config_: IntegrationConfig | None = None) -> Alert:
    (alert,) = parse(source, body, config_).alerts
    return alert


# ----------------------------------------------------------------------------------- hostile bodies

MAPPED = config(
    "webhook",
    map={
        "each": "events[*]", "dedup_key": "join('-', [a, b])", "status": "state", "resolved_when": "ok, up",
        "title": "sum(n)", "severity": "to_number(s)", "labels": "&x", "links": "max_by(l, &k)", "started_at": "t",
    },
)  # fmt: skip
PARSERS = [(source, config(source.type)) for source in SOURCES] + [(webhook.SOURCE, MAPPED)]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ok", "\ud800", "\x00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["alerts", "labels", "annotations", "status", "fingerprint", "startsAt", "endsAt", "generatorURL", "event_action",
     "event_type", "payload", "routing_key", "service_key", "dedup_key", "summary", "severity", "source", "custom_details",
     "links", "images", "title", "key", "id", "tags", "timestamp", "events", "a", "b", "n", "s", "l", "t", "state", "contexts"]
)  # fmt: skip
BODIES = st.recursive(
    JSON | st.sampled_from(["trigger", "resolve", "firing", "resolved", ROUTING_KEY, "0001-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)


@pytest.mark.parametrize(("source", "given_config"), PARSERS, ids=["alertmanager", "pagerduty", "webhook", "map"])
@given(data=st.data())
@settings(max_examples=250)
def test_any_json_becomes_alerts_or_a_refusal(
    source: Source, given_config: IntegrationConfig, data: st.DataObject
) -> None:
    raw = json.dumps(data.draw(BODIES)).encode()
    assert_total(source, raw, given_config)


@pytest.mark.parametrize(("source", "given_config"), PARSERS, ids=["alertmanager", "pagerduty", "webhook", "map"])
@given(raw=st.binary(max_size=60))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
@example(b"\xef\xbb\xbf{}")
@example(b'{"title": 1e999}')
@example(b'{"title": ' + b"9" * 5_000 + b"}")
@example(b'{"title": NaN}')
@example("{}".encode("utf-16"))
def test_any_bytes_become_alerts_or_a_refusal(source: Source, given_config: IntegrationConfig, raw: bytes) -> None:
    assert_total(source, raw, given_config)


def assert_total(source: Source, raw: bytes, given_config: IntegrationConfig) -> None:
    try:
        parsed = source.parse(raw, {}, given_config, NOW)
    except BadBody:
        return
    assert [trouble for alert in parsed.alerts for trouble in alert_troubles(alert)] == []
    assert all(each.detail for each in parsed.rejected)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.type)
@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"<xml/>", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": "\\ud800", "b": Infinity}', "not JSON"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"alerts":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b'{"title":"\\ud800","a":' + b"[" * 9_999 + b"]" * 9_999 + b"}", "deeper than 32"),
        (b"42", "the body|object"),
        (b'"text"', "the body|object"),
        (b"null", "the body|object"),
    ],
)
def test_what_is_no_body_at_all_is_refused_with_the_reason(source: Source, raw: bytes, says: str) -> None:
    with pytest.raises(BadBody, match=says):
        parse(source, raw)


def test_thirty_two_levels_are_enough_for_everybody() -> None:
    body = b'{"title":"x","labels":{"deep":' + b"[" * 30 + b"]" * 30 + b"}}"
    assert one(webhook.SOURCE, body).labels == {"deep": "[" * 30 + "]" * 30}


def test_brackets_inside_texts_are_not_levels() -> None:
    assert one(webhook.SOURCE, {"title": "[" * 100 + "{" * 100}).title.startswith("[[")


def test_a_lone_surrogate_costs_nobody_the_alert() -> None:
    alert = one(webhook.SOURCE, b'{"title": "disk \\ud83d full", "labels": {"a": "\\udc00"}}')
    assert alert.title == "disk \ud83d full"


# ------------------------------------------------------------------------------------ Alertmanager


def am(**changes: Any) -> dict[str, Any]:
    alert = {
        "status": "firing",
        "labels": {"alertname": "DiskFull", "instance": "db-1", "severity": "page", "job": "node"},
        "annotations": {"summary": "disk is full"},
        "startsAt": "2026-11-20T03:14:07.512345678Z",
        "endsAt": "0001-01-01T00:00:00Z",
        **changes,
    }
    return {"version": "4", "status": "firing", "alerts": [{k: v for k, v in alert.items() if v is not ...}]}


def test_an_alertmanager_alert_is_read_whole() -> None:
    (alert, _) = parse(alertmanager.SOURCE, (SAMPLES / "alertmanager/webhook_firing.json").read_bytes()).alerts

    assert alert == Alert(
        status="firing",
        source_key="182a6afd8a7b7a16",
        severity="critical",
        title="gw-01 has stopped answering scrapes",
        description="No successful scrape for 5 minutes.",
        service="gateway",
        source="gw-01:9100",
        labels={
            "alertname": "InstanceDown", "instance": "gw-01:9100", "job": "node", "severity": "critical",
            "service": "gateway", "team": "edge",
        },
        links=(
            Link("https://prom.larkspur.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1", "Source"),
            Link("https://runbooks.larkspur.example/instance-down", "Runbook"),
        ),
        started_at=instant("2026-11-20T03:14:07.512Z"),
        pointer="/alerts/0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("word", "severity"),
    [("critical", "critical"), ("page", "critical"), ("error", "error"), ("high", "error"), ("major", "error"),
     ("warning", "warning"), ("minor", "warning"), ("info", "info"), ("none", "info"), ("CRITICAL", "critical"),
     (" Warning ", "warning"), ("sky-high", None), ("", None)],
)  # fmt: skip
def test_severity_words_are_mapped_and_unknown_ones_left_to_the_rules(word: str, severity: str | None) -> None:
    assert one(alertmanager.SOURCE, am(labels={"alertname": "X", "severity": word})).severity == severity


def test_the_service_is_the_label_service_else_the_job() -> None:
    assert one(alertmanager.SOURCE, am()).service == "node"
    assert one(alertmanager.SOURCE, am(labels={"job": "node", "service": "db"})).service == "db"
    assert one(alertmanager.SOURCE, am(labels={"alertname": "X"})).service is None


def test_the_title_falls_back_to_the_alerts_name_and_then_to_its_labels() -> None:
    assert one(alertmanager.SOURCE, am(annotations={})).title == "DiskFull"
    assert one(alertmanager.SOURCE, am(annotations=None, labels={"b": "2", "a": "1"})).title == "a=1, b=2"


def test_a_watchdog_is_a_heartbeat() -> None:
    assert one(alertmanager.SOURCE, am(labels={"alertname": "DeadMansSwitch"})).status == "heartbeat"
    assert one(alertmanager.SOURCE, am(labels={"alertname": "Watchdog"}, status="resolved")).status == "resolved"


def test_labels_that_are_no_texts_become_texts_and_empty_ones_go() -> None:
    labels = {"alertname": "X", "n": 3, "f": 1.5, "yes": True, "o": {"a": [1]}, "empty": "", "null": None}
    assert one(alertmanager.SOURCE, am(labels=labels)).labels == {
        "alertname": "X", "n": "3", "f": "1.5", "yes": "true", "o": '{"a":[1]}',
    }  # fmt: skip


def test_an_alert_keeps_its_identity_whatever_its_annotations_and_times_say() -> None:
    one_ = one(alertmanager.SOURCE, am())
    other = one(alertmanager.SOURCE, am(annotations={"summary": "disk is 99% full"}, startsAt="2026-11-20T03:15:00Z"))
    assert one_.source_key == other.source_key == alertmanager.fingerprint(one_.labels)


@pytest.mark.parametrize(
    ("ends", "status", "expires"),
    [
        ("2026-11-20T04:05:00Z", "firing", "2026-11-20T04:05:00Z"),
        ("2026-11-20T03:59:59Z", "resolved", None),
        ("2026-11-20T04:00:00Z", "resolved", None),
        ("0001-01-01T00:00:00Z", "firing", "2026-11-20T04:05:00Z"),
        (..., "firing", "2026-11-20T04:05:00Z"),
        ("not a time", "firing", "2026-11-20T04:05:00Z"),
    ],
)
def test_in_the_bare_array_of_the_api_the_end_says_what_is_firing(ends: Any, status: str, expires: str | None) -> None:
    alert = one(alertmanager.SOURCE, am(status=..., endsAt=ends)["alerts"])

    assert alert.status == status
    assert alert.expires_at == (instant(expires) if expires else None)
    assert alert.ended_at == (instant(ends) if status == "resolved" else None)
    assert alert.pointer == "/0"


def test_the_webhooks_own_status_needs_no_end() -> None:
    assert one(alertmanager.SOURCE, am(endsAt="2026-11-20T03:00:00Z")).status == "firing"
    assert one(alertmanager.SOURCE, am(endsAt="2030-11-20T03:00:00Z", status="resolved")).status == "resolved"
    assert one(alertmanager.SOURCE, am()).expires_at is None


@pytest.mark.parametrize(
    ("alert", "pointer"),
    [
        ("text", "/alerts/1"),
        (None, "/alerts/1"),
        ({}, "/alerts/1/labels"),
        ({"labels": {}}, "/alerts/1/labels"),
        ({"labels": {"a": ""}}, "/alerts/1/labels"),
        ({"labels": "a=b"}, "/alerts/1/labels"),
        ({"labels": {"a": "b"}, "status": "burning"}, "/alerts/1/status"),
        ({"labels": {"a": "b"}, "status": 1}, "/alerts/1/status"),
    ],
)
def test_a_bad_alert_costs_only_itself(alert: Any, pointer: str) -> None:
    body = am()
    body["alerts"].insert(1, alert)
    body["alerts"].append(am()["alerts"][0])

    parsed = parse(alertmanager.SOURCE, body)

    assert ([a.pointer for a in parsed.alerts], [r.pointer for r in parsed.rejected]) == (
        ["/alerts/0", "/alerts/2"],
        [pointer],
    )


@pytest.mark.parametrize("body", [{}, {"alerts": {}}, {"alerts": None}, {"text": "hello"}])
def test_a_body_without_a_list_of_alerts_points_there(body: Any) -> None:
    with pytest.raises(BadBody) as refused:
        parse(alertmanager.SOURCE, body)
    assert refused.value.pointer == "/alerts"


# --------------------------------------------------------------------------------------- PagerDuty


def pd(payload: Any = ..., **changes: Any) -> dict[str, Any]:
    if payload is ...:
        payload = {"summary": "db down", "source": "db-1", "severity": "critical"}
    body = {"routing_key": ROUTING_KEY, "event_action": "trigger", "payload": payload, **changes}
    return {name: value for name, value in body.items() if value is not ...}


def test_a_pagerduty_event_is_read_whole() -> None:
    alert = one(pagerduty.SOURCE, (SAMPLES / "pagerduty/trigger.json").read_bytes())

    assert alert.source == "pay-db-02.larkspur.example"
    assert alert.started_at == instant("2026-11-20T03:14:07.512Z")
    assert alert.labels == {
        "in_use": "200", "limit": "200", "waiting": "47", "class": "connection pool", "component": "pgbouncer",
        "group": "checkout", "client": "larkspur-probe",
    }  # fmt: skip
    assert alert.links == (
        Link("https://runbooks.larkspur.example/db-pool", "Runbook"),
        Link("https://probe.larkspur.example/checks/811", "larkspur-probe"),
        Link("https://graphs.larkspur.example/d/811", "pool usage"),
    )


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, ["'routing_key' is missing or blank", "'event_action' is missing or blank"]),
        (pd(routing_key="short"), [pagerduty.WRONG_LENGTH]),
        (pd(routing_key=7), ["'routing_key' is missing or blank"]),
        (pd(event_action="explode"), [pagerduty.WRONG_ACTION]),
        (pd(event_action=["trigger"]), [pagerduty.WRONG_ACTION]),
        (pd(payload=None), ["'payload' is missing or blank"]),
        (pd(payload=[]), ["'payload' is missing or blank"]),
        (pd(payload={"summary": " "}), ["'payload.summary' is missing or blank", "'payload.source' is missing or blank",
                                         "'payload.severity' is missing or blank"]),
        (pd(payload={"summary": "x", "source": "y", "severity": "Critical"}), [pagerduty.WRONG_SEVERITY]),
        (pd(payload={"summary": "x", "source": "y", "severity": {"a": 1}}), [pagerduty.WRONG_SEVERITY]),
        (pd(event_action="resolve"), ["'dedup_key' is missing or blank"]),
        (pd(event_action="acknowledge", dedup_key=""), ["'dedup_key' is missing or blank"]),
        (pd(event_action=..., dedup_key="k"), ["'event_action' is missing or blank"]),
        (pd(event_action=...), ["'event_action' is missing or blank"]),
        ({"service_key": "k"}, [pagerduty.WRONG_TYPE]),
        ({"service_key": "k", "event_type": "trigger"}, ["Description is missing or blank"]),
        ({"service_key": "k", "event_type": "resolve"}, ["Incident key is missing or blank"]),
        ({"event_type": "trigger", "description": "x"}, ["Service key is missing or blank"]),
    ],
)  # fmt: skip
def test_an_invalid_event_is_refused_in_the_vendors_words_all_at_once(body: Any, errors: list[str]) -> None:
    with pytest.raises(BadBody) as refused:
        parse(pagerduty.SOURCE, body)
    assert refused.value.detail.split("\n") == errors


def test_a_short_key_is_good_when_it_is_the_configured_one() -> None:
    own = config("pagerduty", routing_key=Secret(("demo",)))
    assert one(pagerduty.SOURCE, pd(routing_key="demo"), own).title == "db down"


@pytest.mark.parametrize(
    ("payload", "defaults", "service"),
    [
        ({"group": "shop", "component": "db"}, {}, "shop"),
        ({"component": "db"}, {}, "db"),
        ({}, {}, "db-1"),
        ({"group": "shop"}, {"service": "checkout"}, None),
    ],
)
def test_the_service_comes_from_the_integration_or_else_from_the_event(
    payload: dict[str, str], defaults: dict[str, str], service: str | None
) -> None:
    given_config = IntegrationConfig(name="apps", type="pagerduty", defaults=defaults)
    body = pd(payload={"summary": "x", "source": "db-1", "severity": "info", **payload})
    assert one(pagerduty.SOURCE, body, given_config).service == service


def test_a_routing_key_of_a_team_names_its_service() -> None:
    keys = {
        "pay": {"key": Secret((ROUTING_KEY,)), "service": "payments"},
        "web": {"key": Secret(("b" * 32,)), "service": "web"},
    }
    given_config = config("pagerduty", routing_keys=keys)
    assert one(pagerduty.SOURCE, pd(), given_config).service == "payments"
    assert one(pagerduty.SOURCE, pd(routing_key="b" * 32), given_config).service == "web"


@pytest.mark.parametrize(
    ("details", "labels", "description"),
    [
        ("see the log", {}, "see the log"),
        (["a", 1], {}, '["a",1]'),
        (7, {}, "7"),
        (None, {}, ""),
        ({"a": {"b": 1}, "n": None, "description": "long"}, {"a": '{"b":1}', "description": "long"}, "long"),
    ],
)
def test_custom_details_may_be_anything(details: Any, labels: dict[str, str], description: str) -> None:
    alert = one(
        pagerduty.SOURCE, pd(payload={"summary": "x", "source": "y", "severity": "info", "custom_details": details})
    )
    assert (dict(alert.labels), alert.description) == (labels, description)


def test_an_offset_without_a_colon_is_a_time_too() -> None:
    payload = {"summary": "x", "source": "y", "severity": "info", "timestamp": "2026-11-20T04:14:07.000+0100"}
    assert one(pagerduty.SOURCE, pd(payload=payload)).started_at == instant("2026-11-20T03:14:07Z")


# ----------------------------------------------------------------------------------------- webhook


def test_the_least_that_pages_is_a_title() -> None:
    assert one(webhook.SOURCE, {"title": "db down"}) == Alert(status="firing", source_key=None, title="db down")


@pytest.mark.parametrize("name", ["dedup_key", "key", "fingerprint", "alias", "id"])
def test_an_identity_has_many_names(name: str) -> None:
    assert one(webhook.SOURCE, {"title": "x", name: "k-1"}).source_key == "k-1"
    assert one(webhook.SOURCE, {"title": "x", name: 7}).source_key == "7"
    assert one(webhook.SOURCE, {"title": "x", name: ""}).source_key is None


def test_two_big_numbers_are_two_identities() -> None:
    keys = [one(webhook.SOURCE, b'{"title":"x","id":12345678901234567890123%d}' % n).source_key for n in (1, 2)]
    assert keys == ["123456789012345678901231", "123456789012345678901232"]


def test_a_long_identity_stays_one_of_its_own() -> None:
    keys = {one(webhook.SOURCE, {"title": "x", "key": "k" * 5_000 + end}).source_key for end in ("a", "b", "b")}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("word", "status"),
    [("firing", "firing"), ("resolved", "resolved"), ("OK", "resolved"), (" closed ", "resolved"), ("up", "resolved"),
     ("acknowledged", "acknowledged"), ("heartbeat", "heartbeat"), ("degraded", "firing"), (None, "firing"), ("", "firing"),
     (1, "firing"), (0, "resolved"), (True, "firing")],
)  # fmt: skip
def test_words_that_do_not_end_an_alert_mean_it_fires(word: Any, status: str) -> None:
    assert one(webhook.SOURCE, {"title": "x", "key": "k", "status": word}).status == status


def test_an_end_needs_the_identity_and_nothing_else() -> None:
    alert = one(webhook.SOURCE, {"status": "resolved", "key": "k", "timestamp": "2026-11-20T03:40:00Z"})
    assert alert == Alert(status="resolved", source_key="k", ended_at=instant("2026-11-20T03:40:00Z"))

    (rejected,) = parse(webhook.SOURCE, {"status": "resolved", "title": "x"}).rejected
    assert rejected.pointer == "/dedup_key"


@pytest.mark.parametrize("wrap", [lambda alerts: alerts, lambda alerts: {"alerts": alerts}], ids=["list", "object"])
def test_many_alerts_come_in_one_body_and_bad_ones_cost_only_themselves(wrap: Any) -> None:
    parsed = parse(webhook.SOURCE, wrap([{"title": "a"}, {"title": " "}, 7, {"title": "b"}, {"status": []}]))
    base = "/alerts" if wrap([]) else ""

    assert [a.title for a in parsed.alerts] == ["a", "b"]
    assert [r.pointer for r in parsed.rejected] == [f"{base}/1/title", f"{base}/2", f"{base}/4/title"]


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        (["env:prod", "team=db", "urgent", "", 7], {"env": "prod", "team": "db", "urgent": "true", "7": "true"}),
        ({"a": 1, "b": None}, {"a": "1"}),
        ("text", {}),
    ],
)
def test_labels_may_be_an_object_or_a_list_of_tags(tags: Any, labels: dict[str, str]) -> None:
    assert dict(one(webhook.SOURCE, {"title": "x", "tags": tags}).labels) == labels


@pytest.mark.parametrize(
    ("links", "found"),
    [
        ("https://a.example", (Link("https://a.example"),)),
        ([{"href": "https://a.example", "text": "A"}, "http://b.example"], (Link("https://a.example", "A"), Link("http://b.example"))),
        (["javascript:alert(1)", {"href": 7}, [["https://x.example"]]], ()),
    ],
)  # fmt: skip
def test_links_lead_to_the_web_or_nowhere(links: Any, found: tuple[Link, ...]) -> None:
    assert one(webhook.SOURCE, {"title": "x", "links": links}).links == found


EVENTS = config(
    "webhook",
    map={"each": "events", "dedup_key": "id", "status": "state", "resolved_when": "ok", "title": "summary",
         "severity": "level", "service": "app", "labels": "tags", "links": "[url]", "started_at": "at"},
)  # fmt: skip


def test_a_map_picks_any_json_apart() -> None:
    body = {
        "events": [
            {"id": 7, "state": "bad", "summary": "cart is slow", "level": "warn", "app": "shop", "tags": ["env:prod"],
             "url": "https://shop.example/7", "at": 1_795_144_461},
            {"id": 8, "state": "OK"},
        ]
    }  # fmt: skip

    fired, ended = parse(webhook.SOURCE, body, EVENTS).alerts

    assert fired == Alert(
        status="firing", source_key="7", severity="warning", title="cart is slow", service="shop", labels={"env": "prod"},
        links=(Link("https://shop.example/7"),), started_at=Instant(1_795_144_461_000), pointer="/events/0",
    )  # fmt: skip
    assert (ended.status, ended.source_key, ended.pointer) == ("resolved", "8", "/events/1")


def test_with_a_map_only_the_words_it_names_end_an_alert() -> None:
    body = {"events": [{"id": 1, "state": "closed", "summary": "x"}]}
    assert parse(webhook.SOURCE, body, EVENTS).alerts[0].status == "firing"


@pytest.mark.parametrize("body", [{}, {"events": None}, {"events": "x"}, {"other": []}])
def test_a_map_that_finds_no_alerts_says_so(body: Any) -> None:
    with pytest.raises(BadBody, match=r"map\.each") as refused:
        parse(webhook.SOURCE, body, EVENTS)
    assert refused.value.pointer == "/events"


def test_an_expression_that_cannot_be_applied_costs_only_that_part() -> None:
    given_config = config("webhook", map={"each": "a", "title": "join('-', t)", "service": "s"})
    parsed = parse(webhook.SOURCE, {"a": [{"t": ["x", "y"]}, {"t": 7, "s": "shop"}, {"t": 7}]}, given_config)

    assert [a.title for a in parsed.alerts] == ["x-y", "shop", "(an alert without a title)"]
    assert parsed.rejected == ()
    assert [(one.pointer, one.detail.startswith("map.title cannot be applied")) for one in parsed.left_out] == [
        ("map.title", True)
    ]


BROKEN = [
    "join(' ', [app, nothing])",
    "upper(t)",
    "sum(t)",
    "to_number(t, t)",
    "max_by(t, &x)",
    "abs(t)",
    "sort([t, `1`])",
]
DECORATION = sorted({*webhook.ALIASES} - {"dedup_key"})


@pytest.mark.parametrize("part", DECORATION)
@pytest.mark.parametrize("broken", BROKEN)
def test_no_part_that_cannot_be_computed_costs_the_alert_or_its_resolve(part: str, broken: str) -> None:
    whole = {name: name for name in webhook.ALIASES}
    body = {"title": "db down", "dedup_key": "db", "status": "firing", "severity": "critical", "t": "x", "app": "shop"}
    given_config = config("webhook", map={**whole, part: broken})

    fires = parse(webhook.SOURCE, body, given_config)
    assert ([a.source_key for a in fires.alerts], [a.status for a in fires.alerts]) == (["db"], ["firing"])
    assert [one.pointer for one in fires.left_out] == ([] if part == "ended_at" else [f"map.{part}"])
    if part != "status":
        ends = parse(webhook.SOURCE, {**body, "status": "resolved"}, given_config)
        assert [(a.source_key, a.status) for a in ends.alerts] == [("db", "resolved")]


def test_a_firing_whose_identity_cannot_be_computed_pages_all_the_same() -> None:
    given_config = config("webhook", map={"dedup_key": "upper(id)", "title": "t"})
    assert [a.source_key for a in parse(webhook.SOURCE, {"id": "x", "t": "db down"}, given_config).alerts] == [None]


@pytest.mark.parametrize("odd", [{}, [], {"code": 1}, [1], 7, True, 1e300, "???", "x" * 5_000])
@pytest.mark.parametrize("part", DECORATION)
def test_no_odd_value_of_a_part_costs_a_page(part: str, odd: Any) -> None:
    alert = one(webhook.SOURCE, {"title": "db down", "dedup_key": "db", part: odd})
    assert alert.source_key == "db"
    assert alert.title


def test_without_each_a_map_reads_one_alert_or_a_list_of_them() -> None:
    given_config = config("webhook", map={"title": "t"})
    assert one(webhook.SOURCE, {"t": "x"}, given_config).title == "x"
    assert [a.title for a in parse(webhook.SOURCE, [{"t": "x"}, {"t": "y"}], given_config).alerts] == ["x", "y"]


def test_a_map_that_is_no_jmespath_is_named() -> None:
    with pytest.raises(BadBody, match=r"map\.title"):
        parse(webhook.SOURCE, {}, config("webhook", map={"title": "a["}))


# ------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("value", "millis"),
    [
        ("2026-11-20T03:14:07Z", 1_795_144_447_000), ("2026-11-20T03:14:07.5Z", 1_795_144_447_500),
        ("2026-11-20T03:14:07.512999999Z", 1_795_144_447_512), ("2026-11-20t03:14:07z", 1_795_144_447_000),
        ("2026-11-20 04:14:07+01:00", 1_795_144_447_000), ("2026-11-20T04:14:07+0100", 1_795_144_447_000),
        ("2026-11-20T03:14:07", 1_795_144_447_000), ("2026-11-20T03:14:60Z", 1_795_144_499_000),
        ("0001-01-01T00:00:00Z", None), ("1969-12-31T23:59:59Z", None), ("", None), ("tomorrow", None), ("2026-02-30", None),
        (1_795_144_447, 1_795_144_447_000), (1_795_144_447.25, 1_795_144_447_250), (1_795_144_447_512, 1_795_144_447_512),
        ("1795144447", 1_795_144_447_000), (0, None), (-5, None), (float("inf"), None), (float("nan"), None), (True, None),
        ({}, None), (10**30, None), ("9" * 100, None), ("9999-12-31T23:59:59-14:00", None),
    ],
)  # fmt: skip
def test_how_times_are_read(value: Any, millis: int | None) -> None:
    assert json_fields.instant_of(value) == millis


# ------------------------------------------------------------------------------------------- speed


def test_a_hundred_alerts_of_a_kilobyte_are_read_in_a_few_milliseconds() -> None:
    """The goal is 0.9 ms on a quiet machine; the bound leaves room for a busy one."""
    alert = am(annotations={"summary": "disk is full", "description": "x" * 700})["alerts"][0]
    raw = orjson.dumps({"version": "4", "alerts": [{**alert, "fingerprint": f"{n:016x}"} for n in range(100)]})
    given_config = config("alertmanager")

    def took() -> float:
        started = time.perf_counter()
        assert len(alertmanager.SOURCE.parse(raw, {}, given_config, NOW).alerts) == 100
        return time.perf_counter() - started

    assert min(took() for _ in range(20)) < 0.005


@given(
    st.dictionaries(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6), min_size=1, max_size=6),
    st.randoms(),
)
def test_labels_in_any_order_are_one_identity(labels: dict[str, str], chance: Any) -> None:
    pairs = list(labels.items())
    chance.shuffle(pairs)
    assert alertmanager.fingerprint(dict(pairs)) == alertmanager.fingerprint(labels)

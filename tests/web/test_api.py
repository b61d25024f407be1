"""The API: roles, whose name an action bears, lists, and refusals that say what to write instead."""

from __future__ import annotations

import base64
import re
from typing import Any, cast

import pytest

from tests.web.conftest import Client
from tests.web.fakes import NOW, FakeDaemon
from tocsin.errors import SettingsError, StoreUnavailable
from tocsin.model import Instant, Role, rfc3339
from tocsin.web.api.endpoints import ENDPOINTS
from tocsin.web.api.guard import RANK

ANA = {"Authorization": "Bearer ana-token"}
ADMIN = {"Authorization": "Bearer admin-token"}
NOBODY = {"Authorization": "Bearer nobody-token"}
VIEWER = {"Authorization": "Bearer viewer-token"}
HOUR = 3_600_000

BODIES: dict[str, Any] = {
    "/v1/incidents": {"title": "by hand"},
    "/v1/incidents/{number}/snooze": {"for": "30m"},
    "/v1/incidents/{number}/notes": {"text": "looking"},
    "/v1/incidents/{number}/page": {"user": "bo"},
    "/v1/users/{key}/contacts/{contact}/confirm": {"code": "123456"},
    "/v1/schedules/{name}/overrides": {"user": "bo", "for": "4h"},
    "/v1/swaps": {"schedule": "primary", "with": "bo", "from": "2026-12-24 09:00", "to": "2026-12-25 09:00"},
    "/v1/explain": {"alert": {"title": "db down"}},
    "/v1/silences": {"matchers": ['env="x"'], "for": "2h", "comment": "patching"},
}


def as_password(token: str) -> dict[str, str]:
    """What a browser adds to every request, whoever's page made it, once its user has signed in to `/`."""
    return {"Authorization": "Basic " + base64.b64encode(f"ana:{token}".encode()).decode()}


def concrete(path: str) -> str:
    named = {"number": "42", "name": "primary", "id": "s1", "key": "ana", "contact": "sms", "page": "p1"}
    return re.sub(r"\{(\w+)\}", lambda found: named[found[1]], path)


# ------------------------------------------------------------------------------------------- roles


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_a_password_that_a_browser_adds_by_itself_changes_nothing(
    client: Client, daemon: FakeDaemon, endpoint: Any
) -> None:
    await client.post("/v1/silences", json=BODIES["/v1/silences"], headers=ADMIN)

    answer = await client.request(endpoint.method, concrete(endpoint.path), headers=as_password("admin-token"))

    assert answer.status == (200 if endpoint.method == "GET" else 401)
    assert daemon.actions.calls == []


@pytest.mark.parametrize("role", ["", "viewer", "responder", "admin"])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_a_role_opens_what_it_is_for_and_nothing_else(
    client: Client, daemon: FakeDaemon, endpoint: Any, role: str
) -> None:
    token = {"": "wrong", "viewer": "viewer-token", "responder": "ana-token", "admin": "admin-token"}[role]
    await client.post("/v1/silences", json=BODIES["/v1/silences"], headers=ADMIN)
    body = BODIES.get(endpoint.path, {}) if endpoint.body else None

    answer = await client.request(
        endpoint.method, concrete(endpoint.path), json=body, headers={"Authorization": f"Bearer {token}"}
    )

    if not role:
        assert answer.status == 401
    elif RANK[cast(Role, role)] < RANK[endpoint.role]:
        assert answer.status == 403
    else:
        assert answer.status == endpoint.status
    if not role or answer.status == 403:
        assert daemon.actions.calls == []
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
async def test_an_answer_has_the_documented_shape(client: Client, endpoint: Any) -> None:
    await client.post("/v1/silences", json=BODIES["/v1/silences"], headers=ADMIN)
    body = BODIES.get(endpoint.path, {}) if endpoint.body else None

    answer = await client.request(endpoint.method, concrete(endpoint.path), json=body, headers=ADMIN)

    endpoint.answers.model_validate(await answer.json(), strict=True)


# ----------------------------------------------------------------------------------- in whose name

ACTIONS = [
    ("acknowledge", {}),
    ("unacknowledge", {}),
    ("resolve", {}),
    ("escalate", {}),
    ("cancel", {}),
    ("close", {}),
    ("snooze", {"for": "30m"}),
    ("notes", {"text": "looking"}),
]


@pytest.mark.parametrize(("action", "body"), ACTIONS)
async def test_an_action_bears_the_name_of_the_tokens_user(
    client: Client, daemon: FakeDaemon, action: str, body: dict[str, Any]
) -> None:
    answer = await client.post(f"/v1/incidents/42/{action}", json=body, headers=ANA)

    assert answer.status == 200
    assert daemon.actions.calls[0][1:4] == (42, "user:ana", "api")


@pytest.mark.parametrize(("action", "body"), ACTIONS)
async def test_a_token_without_a_user_may_not_act(
    client: Client, daemon: FakeDaemon, action: str, body: dict[str, Any]
) -> None:
    answer = await client.post(f"/v1/incidents/42/{action}", json=body, headers=NOBODY)

    assert answer.status == 403
    assert (await answer.json())["detail"] == "this token belongs to no user: create it with --user"
    assert daemon.actions.calls == []


async def test_a_token_of_a_person_who_left_may_not_act(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.post("/v1/incidents/42/acknowledge", headers={"Authorization": "Bearer gone-token"})

    assert answer.status == 403
    assert daemon.actions.calls == []


@pytest.mark.parametrize(("action", "body"), ACTIONS)
async def test_an_admin_may_act_in_anothers_name_and_a_responder_may_not(
    client: Client, daemon: FakeDaemon, action: str, body: dict[str, Any]
) -> None:
    refused = await client.post(f"/v1/incidents/42/{action}", json={**body, "user": "bo"}, headers=ANA)
    done = await client.post(f"/v1/incidents/42/{action}", json={**body, "user": "bo"}, headers=ADMIN)

    assert (refused.status, done.status) == (403, 200)
    assert [call[2] for call in daemon.actions.calls] == ["user:bo"]


async def test_an_unknown_person_is_422_with_a_pointer_and_a_guess(client: Client) -> None:
    answer = await client.post("/v1/incidents/42/acknowledge", json={"user": "anna"}, headers=ADMIN)

    assert answer.status == 422
    assert (await answer.json())["errors"] == [
        {"pointer": "/user", "detail": "no such user 'anna' (did you mean 'ana'?)"}
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"  ", b'{"user": null}'])
async def test_an_action_needs_no_body(client: Client, body: bytes) -> None:
    answer = await client.post("/v1/incidents/42/acknowledge", data=body, headers=ANA)

    assert answer.status == 200
    document = await answer.json()
    assert (document["status"], document["acknowledged_by"]) == ("acknowledged", "ana")
    assert document["changed"] is True
    assert document["said"] == "INC 42 acknowledge."


async def test_what_the_state_does_not_allow_is_409_and_what_is_not_there_404(client: Client) -> None:
    closed = await client.post("/v1/incidents/43/resolve", headers=ANA)
    absent = await client.post("/v1/incidents/7/resolve", headers=ANA)

    assert (closed.status, absent.status) == (409, 404)
    assert (await closed.json())["detail"] == "INC 43 is closed"


async def test_a_further_person_or_target_is_paged(client: Client, daemon: FakeDaemon) -> None:
    for body in ({"user": "bo"}, {"target": "schedule:primary"}, {"target": "channel:mail"}):
        answer = await client.post("/v1/incidents/42/page", json=body, headers=ANA)
        assert answer.status == 200

    assert [call[4] for call in daemon.actions.calls] == ["user:bo", "schedule:primary", "channel:mail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"user": "bo", "target": "user:bo"}, {"user": "nobody"}, {"target": "bo"}, {"target": "team:x"}, {"user": 7}],
)
async def test_a_page_to_nobody_is_422(client: Client, daemon: FakeDaemon, body: dict[str, Any]) -> None:
    answer = await client.post("/v1/incidents/42/page", json=body, headers=ANA)

    assert answer.status == 422
    assert daemon.actions.calls == []


async def test_an_incident_made_by_hand_is_201(client: Client, daemon: FakeDaemon) -> None:
    body = {"title": "Something\u202e smells", "service": "shop", "severity": "warning", "policy": "default"}

    answer = await client.post("/v1/incidents", json=body, headers=ANA)

    assert answer.status == 201
    facts = {"service": "shop", "severity": "warning", "description": "", "policy": "default"}
    assert daemon.actions.calls == [("trigger", 42, "user:ana", "api", "Something smells", facts)]


async def test_a_snooze_ends_at_a_time_or_after_a_length(client: Client, daemon: FakeDaemon) -> None:
    await client.post("/v1/incidents/42/snooze", json={"for": "1h30m"}, headers=ANA)
    await client.post("/v1/incidents/42/snooze", json={"until": rfc3339(Instant(NOW + HOUR))}, headers=ANA)

    assert [call[4] - NOW for call in daemon.actions.calls] == [HOUR * 1.5, HOUR]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"for": "30m", "until": "2030-01-01T00:00:00Z"}, ""),
        ({"for": "30 minutes"}, "/for"),
        ({"for": "30"}, "/for"),
        ({"for": 30}, "/for"),
        ({"for": "0s"}, "/for"),
        ({"until": "2030-01-01"}, "/until"),
        ({"until": "2030-01-01T00:00:00"}, "/until"),
        ({"until": "2001-01-01T00:00:00Z"}, "/until"),
        ({"until": "9999-12-31T23:59:59-23:59"}, "/until"),
        ({"until": "tomorrow"}, "/until"),
        ({"for": "30m", "minutes": 1}, "/minutes"),
    ],
)
async def test_a_snooze_that_cannot_be_meant_is_422_at_its_place(
    client: Client, daemon: FakeDaemon, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/incidents/42/snooze", json=body, headers=ANA)

    assert answer.status == 422
    assert [error["pointer"] for error in (await answer.json())["errors"]] == [pointer]
    assert daemon.actions.calls == []


# --------------------------------------------------------------------------------- hostile bodies


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"nonsense",
        b'{"text": "\\ud800"}',
        b"[" * 200_000,
        b"[]",
        b"7",
        b"null",
        b'"x"',
        b'{"text": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"text": 1e999}',
        b'{"text": ' + b"9" * 5_000 + b"}",
        b'{"text": ""}',
        b'{"text": "\\u0000"}',
        b'{"text": "' + b"x" * 100_000 + b'"}',
        b'{"text": "x", "user": "\\u0000"}',
        b'{"text": "x", "user": {"a": 1}}',
        b'{"text": "x", "' + b"y" * 10_000 + b'": 1}',
    ],
    ids=range(18),
)
async def test_a_hostile_body_is_a_4xx_problem(client: Client, daemon: FakeDaemon, body: bytes) -> None:
    answer = await client.post("/v1/incidents/42/notes", data=body, headers=ADMIN)

    assert answer.status in (400, 422)
    assert answer.content_type == "application/problem+json"
    assert daemon.actions.calls == []


@pytest.mark.parametrize(("lists", "status"), [(31, 422), (32, 400)])
async def test_a_body_nested_too_deep_is_refused_before_it_is_looked_at(
    client: Client, lists: int, status: int
) -> None:
    body = b'{"text": "x", "user": ' + b"[" * lists + b"7" + b"]" * lists + b"}"

    answer = await client.post("/v1/incidents/42/notes", data=body, headers=ADMIN)

    assert answer.status == status
    assert ("deeper than 32" in (await answer.json())["detail"]) == (status == 400)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=٣",
        "limit=1e3",
        "cursor=x",
        "cursor=-1",
        "cursor=99999999999999999999999",
        "status=opened",
        "status=open,nonsense",
        "q=%00",
        "service=a%00b",
    ],
)
async def test_a_bad_parameter_is_400_and_named(client: Client, daemon: FakeDaemon, query: str) -> None:
    answer = await client.get(f"/v1/incidents?{query}", headers=VIEWER)

    assert answer.status == 400
    document = await answer.json()
    assert document["errors"][0]["pointer"] == "/" + query.partition("=")[0]
    assert daemon.store.asked == []


async def test_a_misspelt_status_is_guessed(client: Client) -> None:
    answer = await client.get("/v1/incidents?status=triggred", headers=VIEWER)

    assert "did you mean 'triggered'?" in (await answer.json())["detail"]


# ------------------------------------------------------------------------------------------- lists


async def test_what_a_storm_took_in_is_walked_by_its_cursor(client: Client) -> None:
    first = await (await client.get("/v1/incidents/42/members?limit=2", headers=VIEWER)).json()
    rest = await (await client.get(f"/v1/incidents/42/members?cursor={first['next']}", headers=VIEWER)).json()

    assert [(one["number"], one["storm"]) for one in first["incidents"]] == [(43, 42), (44, 42)]
    assert ([one["number"] for one in rest["incidents"]], rest["next"]) == ([45], None)
    assert (await client.get("/v1/incidents/7/members", headers=VIEWER)).status == 404


async def test_a_list_is_walked_by_its_cursor(client: Client) -> None:
    numbers, cursor = [], ""
    while True:
        answer = await client.get(f"/v1/incidents?limit=2&cursor={cursor}", headers=VIEWER)
        document = await answer.json()
        numbers += [incident["number"] for incident in document["incidents"]]
        cursor = document["next"]
        if cursor is None:
            break

    assert numbers == [42, 41, 40]


async def test_open_stands_for_the_open_statuses(client: Client, daemon: FakeDaemon) -> None:
    await client.get("/v1/incidents?status=open,resolved&service=shop&q=db", headers=VIEWER)

    where, limit, before = daemon.store.asked[0]
    assert set(where.status) == {"triggered", "acknowledged", "on_hold", "resolved"}
    assert (where.service, where.text, limit, before) == ("shop", "db", 51, None)


async def test_a_timeline_begins_with_the_opening(client: Client) -> None:
    answer = await client.get("/v1/incidents/42/timeline", headers=VIEWER)

    assert [entry["kind"] for entry in (await answer.json())["entries"]] == ["opened", "note"]


@pytest.mark.parametrize("part", ["", "/timeline", "/pages", "/alerts"])
async def test_an_absent_incident_is_404(client: Client, part: str) -> None:
    answer = await client.get(f"/v1/incidents/7{part}", headers=VIEWER)

    assert answer.status == 404
    assert (await answer.json())["detail"] == "there is no incident 7"


async def test_a_silent_database_is_503(client: Client, daemon: FakeDaemon) -> None:
    daemon.store.trouble = StoreUnavailable("down")

    answer = await client.get("/v1/incidents/42", headers=VIEWER)

    assert answer.status == 503
    assert "Retry-After" in answer.headers


# ------------------------------------------------------------------------------- on call, silences


async def test_who_is_on_call_is_told_in_the_schedules_zone(client: Client) -> None:
    answer = await client.get("/v1/oncall?at=2026-07-01T12:00:00Z", headers=VIEWER)

    [line] = (await answer.json())["schedules"]
    assert (line["schedule"], line["users"], line["at"]) == ("primary", ["ana"], "2026-07-01T14:00:00+02:00")


async def test_shifts_take_local_times_and_cut_to_the_window(client: Client) -> None:
    query = "from=2026-03-28&to=2026-03-30 09:00"

    answer = await client.get(f"/v1/schedules/primary/shifts?{query}", headers=VIEWER)

    assert (await answer.json())["shifts"] == [
        {"start": "2026-03-28T00:00:00+01:00", "end": "2026-03-30T09:00:00+02:00", "users": ["ana"], "layer": "always"}
    ]


@pytest.mark.parametrize("query", ["from=x", "to=2001-01-01", "from=2026-01-01&to=2036-01-01", "from=9999-12-31"])
async def test_a_window_that_cannot_be_is_400(client: Client, query: str) -> None:
    answer = await client.get(f"/v1/schedules/primary/shifts?{query}", headers=VIEWER)

    assert answer.status == 400


async def test_an_unknown_schedule_is_404_with_a_guess(client: Client) -> None:
    answer = await client.get("/v1/schedules/primry/shifts", headers=VIEWER)

    assert answer.status == 404
    assert "did you mean 'primary'?" in (await answer.json())["detail"]


async def test_a_silence_is_made_shown_and_ended(client: Client) -> None:
    made = await client.post("/v1/silences", json=BODIES["/v1/silences"], headers=ANA)
    path = made.headers["Location"]
    shown = await (await client.get(path, headers=VIEWER)).json()
    ended = await (await client.delete(path, headers=ANA)).json()
    active = await (await client.get("/v1/silences?active=true", headers=VIEWER)).json()

    assert made.status == 201
    assert (shown["state"], shown["author"], shown["matchers"]) == ("active", "ana", ['env="x"'])
    assert ended["state"] == "expired"
    assert active == {"silences": [], "next": None}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"matchers": []}, "/matchers"),
        ({"matchers": ["env"]}, "/matchers/0"),
        ({"matchers": ['env=~"("']}, "/matchers/0"),
        ({"comment": ""}, "/comment"),
        ({"for": None}, ""),
        ({"for": None, "ends_at": "2001-01-01T00:00:00Z"}, "/ends_at"),
    ],
)
async def test_a_silence_that_cannot_be_meant_is_422(client: Client, change: Any, pointer: str) -> None:
    answer = await client.post("/v1/silences", json={**BODIES["/v1/silences"], **change}, headers=ANA)

    assert answer.status == 422
    assert (await answer.json())["errors"][0]["pointer"] == pointer


async def test_active_silences_are_those_that_have_not_ended(client: Client) -> None:
    later = {**BODIES["/v1/silences"], "starts_at": rfc3339(Instant(NOW + HOUR)), "comment": "later"}
    for body in (BODIES["/v1/silences"], later):
        await client.post("/v1/silences", json=body, headers=ANA)
    await client.delete("/v1/silences/s1", headers=ANA)

    active = await (await client.get("/v1/silences?active=true", headers=VIEWER)).json()
    kept = await (await client.get("/v1/silences", headers=VIEWER)).json()

    assert [(one["comment"], one["state"]) for one in active["silences"]] == [("later", "pending")]
    assert len(kept["silences"]) == 2


async def test_users_are_shown_without_their_addresses(client: Client) -> None:
    text = await (await client.get("/v1/users", headers=VIEWER)).text()

    assert "Ana Pires" in text
    assert "+351900000000" not in text


async def test_a_reload_is_asked_for_and_its_mistakes_are_listed(client: Client, daemon: FakeDaemon) -> None:
    async def mistaken(yes: bool = False) -> str:
        raise SettingsError(("config/tocsin.yaml:3:1: no such key 'polices'",))

    done = await client.post("/v1/reload", json={"yes": True}, headers=ADMIN)
    daemon.reload = mistaken  # type: ignore[method-assign]  # the file is wrong
    refused = await client.post("/v1/reload", headers=ADMIN)

    assert (await done.json(), daemon.reloads) == ({"said": "1 service added"}, [True])
    assert refused.status == 422
    assert "config/tocsin.yaml:3:1" in (await refused.json())["errors"][0]["detail"]


async def test_open_incidents_may_be_asked_for_by_priority(client: Client) -> None:
    first = await (await client.get("/v1/incidents?status=open&sort=priority&limit=1", headers=VIEWER)).json()
    assert [one["number"] for one in first["incidents"]] == [42]

    second = await client.get(f"/v1/incidents?sort=priority&limit=1&cursor={first['next']}", headers=VIEWER)
    assert [one["number"] for one in (await second.json())["incidents"]] == [41]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sort=age", "sort: 'age' is none of newest, priority"),
        ("sort=priority&status=closed", "sort: priority lists open incidents only"),
        ("sort=priority&cursor=7", "cursor: is not one that an answer's `next` gave"),
        ("sort=priority&cursor=P1.0.-7", "cursor: is not one"),
    ],
)
async def test_a_list_that_cannot_be_sorted_like_that_says_so(client: Client, query: str, said: str) -> None:
    answer = await client.get(f"/v1/incidents?{query}", headers=VIEWER)

    assert answer.status == 400
    assert said in (await answer.json())["detail"]

"""Who steps in for whom over the API: made, seen in every answer, taken back; bad input changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.real import running
from tests.web.test_whole import CONFIGURATION
from tocsin.model import Role
from tocsin.wiring import Daemon

OVERRIDES = "/v1/schedules/primary/overrides"
TEAM = CONFIGURATION.replace("users: [ana], rotation: {every: 1w", "users: [ana, bo], rotation: {every: 1d")
THEN = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=40)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, TEAM) as daemon:
        yield daemon


@pytest.fixture
async def people(daemon: Daemon) -> dict[str, dict[str, str]]:
    found = {}
    roles: list[tuple[str, Role, str | None]] = [
        ("ana", "responder", "ana"), ("bo", "responder", "bo"), ("root", "admin", "ana"), ("wall", "viewer", "ana"),
        ("robot", "responder", None),
    ]  # fmt: skip
    for name, role, user in roles:
        _, bearer = await daemon.access.create(name, role, user)
        found[name] = {"Authorization": f"Bearer {bearer}"}
    return found


def at(hours: float) -> str:
    """That long after THEN."""
    return (THEN + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


async def asked(client: Client, method: str, path: str, who: dict[str, str], body: Any = None) -> tuple[int, Any]:
    answer = await client.request(method, path, json=body, headers=who)
    return answer.status, await answer.json()


async def on_call(client: Client, who: dict[str, str], when: str) -> list[str]:
    [line] = (await asked(client, "GET", f"/v1/oncall?at={when}", who))[1]["schedules"]
    return list(line["users"])


async def test_an_override_is_seen_in_every_answer_until_it_is_taken_back(
    client: Client, people: dict[str, Any]
) -> None:
    before = await on_call(client, people["wall"], at(0))
    other = "bo" if before == ["ana"] else "ana"

    status, made = await asked(
        client, "POST", OVERRIDES, people["bo"], {"user": other, "from": at(-1), "to": at(1), "reason": "dentist"}
    )
    during = await on_call(client, people["wall"], at(0))
    _, shifts = await asked(client, "GET", f"/v1/schedules/primary/shifts?from={at(-1)}&to={at(1)}", people["wall"])
    _, listed = await asked(client, "GET", OVERRIDES, people["wall"])
    gone, removed = await asked(client, "DELETE", f"{OVERRIDES}/{made['id']}", people["ana"])
    after = await on_call(client, people["wall"], at(0))
    _, left = await asked(client, "GET", OVERRIDES, people["wall"])
    _, history = await asked(client, "GET", f"{OVERRIDES}?all=true", people["wall"])

    assert (status, made["author"], made["state"], made["reason"]) == (201, "bo", "pending", "dentist")
    assert (before, during, after) == (before, [other], before)
    assert [(one["users"], one["layer"]) for one in shifts["shifts"]] == [([other], None)]
    assert listed == {"overrides": [made], "next": None}
    assert (gone, removed["state"], removed["removed_by"]) == (200, "removed", "ana")
    assert (left, history) == ({"overrides": [], "next": None}, {"overrides": [removed], "next": None})


async def test_a_time_without_an_offset_is_the_schedules(client: Client, people: dict[str, Any]) -> None:
    day = f"{THEN.year}-12-24"
    _, here = await asked(client, "POST", OVERRIDES, people["ana"], {"user": "bo", "from": f"{day} 09:00", "for": "4h"})
    _, there = await asked(
        client, "POST", OVERRIDES, people["ana"],
        {"user": "bo", "from": f"{day}T09:00", "to": f"{day} 10:00", "timezone": "America/Chicago"},
    )  # fmt: skip

    assert (here["from"], here["to"]) == (f"{day}T09:00:00+01:00", f"{day}T13:00:00+01:00")
    assert (there["from"], there["to"]) == (f"{day}T16:00:00+01:00", f"{day}T17:00:00+01:00")


async def test_nobody_is_on_call_where_everybody_is_removed(client: Client, people: dict[str, Any]) -> None:
    status, made = await asked(client, "POST", OVERRIDES, people["ana"], {"mode": "remove", "from": at(0), "for": "1h"})

    assert (status, made["users"]) == (201, [])
    assert await on_call(client, people["ana"], at(0)) == []
    assert await on_call(client, people["ana"], at(1)) != []


@pytest.mark.parametrize("second", [False, True])
async def test_in_an_hour_that_comes_twice_the_one_that_was_meant_counts(
    client: Client, people: dict[str, Any], second: bool
) -> None:
    hour = "2030-10-27T02:{minutes}:00+0{offset}:00"
    start, end = (hour.format(minutes=one, offset=1 if second else 2) for one in ("10", "20"))
    _, made = await asked(client, "POST", OVERRIDES, people["ana"], {"users": ["ana", "bo"], "from": start, "to": end})

    query = f"at={hour.format(minutes=15, offset='{}')}".replace("+", "%2B")
    assert made["from"] == start
    assert (await on_call(client, people["ana"], query[3:].format(1)) == ["ana", "bo"]) == second
    assert (await on_call(client, people["ana"], query[3:].format(2)) == ["ana", "bo"]) != second


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"user": "bo", "from": "2040-01-02 09:00", "to": "2040-01-01 09:00"}, "/to",
         "it ends before it starts: 2040-01-01 09:00 Europe/Paris is not after 2040-01-02 09:00 Europe/Paris"),
        ({"user": "bo", "from": "2040-01-02 09:00", "to": "2040-01-02 09:00"}, "/to", "it ends before it starts"),
        ({"user": "bo", "from": "2020-01-02 09:00", "to": "2020-01-03 09:00"}, "/to", "it is over already"),
        ({"user": "bo", "from": "2040-01-02 09:00", "for": "60w"}, "/for", "it lasts longer than a year"),
        ({"user": "Bo", "for": "1h"}, "/user", "no such user 'Bo' (did you mean 'bo'?)"),
        ({"users": ["ana", "anna"], "for": "1h"}, "/users", "no such user 'anna' (did you mean 'ana'?)"),
        ({"users": ["ana", "ana"], "for": "1h"}, "/users", "somebody is named twice"),
        ({"user": "bo", "replaces": "an", "for": "1h"}, "/replaces", "no such user 'an' (did you mean 'ana'?)"),
        ({"user": "bo", "replaces": "bo", "for": "1h"}, "/replaces", "bo cannot step in for bo"),
        ({"user": "bo", "replaces": "ana", "mode": "add", "for": "1h"}, "/replaces", "with mode add nobody is replaced"),
        ({"user": "bo", "replaces": "ana", "mode": "remove", "for": "1h"}, "/replaces", "with mode remove nobody is"),
        ({"user": "bo", "mode": "swap", "for": "1h"}, "/mode", "'replace', 'add' or 'remove'"),
        ({"user": "bo", "for": "1h", "timezone": "Europe/Pariis"}, "/timezone", "'Europe/Pariis' is not a time zone"),
        ({"user": "bo", "from": "2040-01-02 9 Uhr", "for": "1h"}, "/from",
         "'2040-01-02 9 Uhr' is not a time; write 2026-01-05T09:00:00Z, or 2026-01-05 09:00 or Sunday 03:10 (for Europe/Paris)"),
        ({"user": "bo", "from": "9999-12-31 23:00", "for": "1h"}, "/from", "is not a time"),
        ({"user": "bo", "for": "1 hour"}, "/for", "'1 hour' is not a duration"),
        ({"user": "bo", "from": "2040-01-02 10:00", "to": "2040-01-02 11:00", "replaces": "NOBODY"}, "/replaces",
         "is not on call in primary from 2040-01-02 10:00 Europe/Paris to 2040-01-02 11:00 Europe/Paris"),
        ({"user": "bo"}, "", 'say when it ends: {"to": "2026-12-25 09:00"} or {"for": "4h"}'),
        ({"for": "1h"}, "", 'say who: {"user": "bo"}'),
        ({"user": "bo", "for": "1h", "until": "x"}, "/until", "Extra inputs are not permitted"),
        ([], "", ""),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_at_its_place_and_nothing_changes(
    client: Client, people: dict[str, Any], body: Any, pointer: str, said: str
) -> None:
    if isinstance(body, dict) and body.get("replaces") == "NOBODY":
        [who] = await on_call(client, people["ana"], "2040-01-02T10:30")
        body = {**body, "replaces": "bo" if who == "ana" else "ana", "user": who}

    status, problem = await asked(client, "POST", OVERRIDES, people["ana"], body)

    assert status == 422
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["errors"][0]["detail"]
    assert (await asked(client, "GET", f"{OVERRIDES}?all=true", people["ana"]))[1] == {"overrides": [], "next": None}


async def test_every_mistake_is_told_at_once(client: Client, people: dict[str, Any]) -> None:
    body = {"user": "bu", "replaces": "an", "from": "soon", "to": "later"}

    _, problem = await asked(client, "POST", OVERRIDES, people["ana"], body)

    assert [error["pointer"] for error in problem["errors"]] == ["/user", "/replaces", "/from", "/to"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_is_no_such_schedule(client: Client, people: dict[str, Any], method: str) -> None:
    body = {"user": "bo", "for": "1h"} if method == "POST" else None

    status, problem = await asked(client, method, "/v1/schedules/primry/overrides", people["ana"], body)

    assert (status, problem["detail"]) == (404, "no such schedule 'primry' (did you mean 'primary'?)")


async def test_who_only_looks_and_who_is_nobody_changes_nothing(client: Client, people: dict[str, Any]) -> None:
    for who in ("wall", "robot"):
        assert (await asked(client, "POST", OVERRIDES, people[who], {"user": "bo", "for": "1h"}))[0] == 403
        assert (await asked(client, "DELETE", f"{OVERRIDES}/x", people[who]))[0] == 403
        assert (await asked(client, "POST", "/v1/swaps/x/accept", people[who]))[0] == 403
    status, problem = await asked(client, "POST", OVERRIDES, people["bo"], {"user": "bo", "for": "1h", "by": "ana"})
    assert (status, problem["detail"]) == (403, "only an admin's token may act in another person's name")
    assert (await asked(client, "GET", f"{OVERRIDES}?all=true", people["ana"]))[1] == {"overrides": [], "next": None}


# ------------------------------------------------------------------------------------------ swaps


async def pair(client: Client, who: dict[str, str]) -> tuple[str, str, dict[str, Any]]:
    """(whose first shift it is, the other one, a swap that the first may ask for)."""
    first = (await on_call(client, who, at(0)))[0]
    other = "bo" if first == "ana" else "ana"
    back = {"from": at(24), "to": at(25)}
    return first, other, {"schedule": "primary", "with": other, "from": at(0), "to": at(1), "in_return": back}


async def test_a_swap_is_asked_for_accepted_and_seen(client: Client, people: dict[str, Any]) -> None:
    first, other, body = await pair(client, people["wall"])
    status, swap = await asked(client, "POST", "/v1/swaps", people[first], {**body, "reason": "wedding"})
    _, waiting = await asked(client, "GET", f"/v1/swaps?user={other}", people["wall"])
    refused, _ = await asked(client, "POST", f"/v1/swaps/{swap['id']}/accept", people[first])
    done, accepted = await asked(client, "POST", f"/v1/swaps/{swap['id']}/accept", people[other])
    _, made = await asked(client, "GET", OVERRIDES, people["wall"])

    assert (status, swap["user"], swap["with"], swap["state"]) == (201, first, other, "asked")
    assert waiting == {"swaps": [swap], "next": None}
    assert refused == 403
    assert (done, accepted["state"], accepted["answered_by"]) == (200, "accepted", other)
    assert [await on_call(client, people["wall"], at(hours)) for hours in (0, 2, 24, 25.5)] == [
        [other], [first], [first], [other]
    ]  # fmt: skip
    assert [(one["users"], one["replaces"], one["swap"], one["reason"]) for one in made["overrides"]] == [
        ([other], first, swap["id"], f"swap {swap['id']}: wedding"), ([first], other, swap["id"], f"swap {swap['id']}: wedding")
    ]  # fmt: skip


async def test_an_admin_answers_in_anothers_name(client: Client, people: dict[str, Any]) -> None:
    first, other, body = await pair(client, people["wall"])
    _, swap = await asked(client, "POST", "/v1/swaps", people["root"], {**body, "by": first})
    status, declined = await asked(client, "POST", f"/v1/swaps/{swap['id']}/decline", people["root"], {"user": other})

    assert (status, declined["state"], declined["answered_by"]) == (200, "declined", other)


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        ({"with": "anna"}, "/with", "no such user 'anna' (did you mean 'ana'?)"),
        ({"with": "SELF"}, "/with", "a swap needs somebody else"),
        ({"schedule": "primry"}, "/schedule", "no such schedule 'primry' (did you mean 'primary'?)"),
        ({"from": at(-24 * 41)}, "/from", "has begun already"),
        ({"to": "2020-01-01 10:00"}, "/to", "it ends before it starts"),
        ({"from": at(24), "to": at(25), "in_return": None}, "/from", "is not on call in primary"),
        ({"in_return": {"from": at(2), "to": at(3)}}, "/in_return/from", "is not on call in primary"),
        ({"in_return": {"from": at(0.5), "to": at(25)}}, "/in_return", "the two shifts overlap"),
        ({"in_return": {"from": at(25), "to": at(24)}}, "/in_return/to", "it ends before it starts"),
        ({"timezone": "Mars/Olympus", "from": "2040-01-01 10:00"}, "/timezone", "is not a time zone"),
    ],
)
async def test_a_swap_that_cannot_be_is_not_kept(
    client: Client, people: dict[str, Any], change: dict[str, Any], pointer: str, said: str
) -> None:
    first, _, body = await pair(client, people["wall"])
    change = {**change, "with": first} if change.get("with") == "SELF" else change

    status, problem = await asked(client, "POST", "/v1/swaps", people[first], {**body, **change})

    assert (status, problem["errors"][0]["pointer"]) == (422, pointer)
    assert said in problem["errors"][0]["detail"]
    assert (await asked(client, "GET", "/v1/swaps?all=true", people["wall"]))[1] == {"swaps": [], "next": None}

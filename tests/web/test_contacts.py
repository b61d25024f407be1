"""Codes and test pages over the API: whose phone it is decides who may."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.fakes import NOW, FakeDaemon
from tests.web.test_api import ADMIN, ANA, NOBODY, VIEWER

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("contacts/sms/verify", {}),
    ("contacts/sms/confirm", {"code": "123456"}),
    ("test-page", {"by": "sms"}),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_only_the_person_or_an_admin_may(
    client: Client, daemon: FakeDaemon, path: str, body: dict[str, Any]
) -> None:
    refused = await client.post(f"/v1/users/bo/{path}", json=body, headers=ANA)
    nobodys = await client.post(f"/v1/users/ana/{path}", json=body, headers=NOBODY)
    named = await client.post(f"/v1/users/ana/{path}", json={**body, "user": "bo"}, headers=ANA)
    assert [one.status for one in (refused, nobodys, named)] == [403, 403, 403]
    assert (await refused.json())["detail"] == "only bo or an admin may do this to the contacts of bo"
    assert daemon.contacts.asked == []

    own = await client.post(f"/v1/users/ana/{path}", json=body, headers=ANA)
    admins = await client.post(f"/v1/users/bo/{path}", json={**body, "user": "ana"}, headers=ADMIN)
    assert own.status == admins.status
    assert own.status in (200, 202)
    assert [asked[1] for asked in daemon.contacts.asked] == ["ana", "bo"]


async def test_an_admin_is_told_from_the_person(client: Client, daemon: FakeDaemon) -> None:
    await client.post("/v1/users/ana/contacts/sms/verify", headers=ANA)
    await client.post("/v1/users/ana/contacts/sms/verify", json={"user": "bo"}, headers=ADMIN)

    assert daemon.contacts.asked == [
        ("verify", "ana", "sms", "user:ana", False), ("verify", "ana", "sms", "user:bo", True)
    ]  # fmt: skip


async def test_a_person_who_is_not_there_is_a_404_with_who_may_be_meant(client: Client) -> None:
    for method, path in (("GET", ""), ("POST", "/test-page"), ("GET", "/pages/p1")):
        answer = await client.request(method, f"/v1/users/anna{path}", headers=ADMIN)
        assert answer.status == 404
        assert (await answer.json())["detail"] == "no such user 'anna' (did you mean 'ana'?)"


async def test_a_contact_is_shown_with_its_state_and_without_its_address(client: Client) -> None:
    shown = await (await client.get("/v1/users/ana", headers=VIEWER)).json()

    assert {"verified": True, "usable": False, "because": "answered STOP"}.items() <= shown["contacts"][0].items()
    assert "to" not in shown["contacts"][0]


async def test_what_became_of_a_test_is_shown_without_addresses(client: Client) -> None:
    answer = await client.get("/v1/users/ana/pages/p1", headers=VIEWER)

    shown = await answer.json()
    assert (shown["outcome"], shown["delivery"], shown["arrived"], shown["settled"]) == (
        "accepted",
        "delivered",
        True,
        True,
    )
    assert "+1500" not in await answer.text()


@pytest.mark.parametrize(("wait", "until"), [("", 0), ("3s", 3_000), ("5m", 10_000)])
async def test_waiting_has_an_end(client: Client, daemon: FakeDaemon, wait: str, until: int) -> None:
    await client.get("/v1/users/ana/pages/p1", params={"wait": wait}, headers=ANA)

    assert daemon.contacts.asked[-1] == ("settled", "ana", "p1", NOW + until)


async def test_a_wait_that_is_no_length_says_what_to_write(client: Client) -> None:
    answer = await client.get("/v1/users/ana/pages/p1", params={"wait": "soon"}, headers=ANA)

    assert answer.status == 400
    assert "wait" in (await answer.json())["detail"]


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 123456}, {"code": "1", "kode": "2"}, {"code": "9" * 41}])
async def test_a_code_that_is_no_text_is_refused(client: Client, daemon: FakeDaemon, body: dict[str, Any]) -> None:
    answer = await client.post("/v1/users/ana/contacts/sms/confirm", json=body, headers=ANA)

    assert answer.status == 422
    assert daemon.contacts.asked == []

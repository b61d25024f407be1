"""The door every alert takes: who may post, what is answered, and what a hostile body gets."""

from __future__ import annotations

import base64
import gzip
import io
import zlib
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.web.conftest import Client
from tests.web.fakes import ROUTING_KEY, SETTINGS, SHOP_KEY, FakeDaemon
from tocsin.errors import BadBody, StoreUnavailable
from tocsin.model import IntegrationConfig, Secret
from tocsin.web.limits import MAX_BODY
from tocsin.work.ingest.intake import Overloaded
from tocsin_integrations.sources.alertmanager import SOURCE as ALERTMANAGER
from tocsin_integrations.sources.pagerduty import SOURCE as PAGERDUTY
from tocsin_integrations.sources.webhook import SOURCE as WEBHOOK

ALERT = {"title": "db down", "key": "db"}
OWN = {"Authorization": "Bearer own-token"}


async def test_an_api_token_posts_no_alert_as_a_password(client: Client, daemon: FakeDaemon) -> None:
    """A browser would add it to a form on anybody's page, and the form could resolve."""
    answer = await client.post("/v1/webhooks/own", json=ALERT, headers=basic("admin-token"))

    assert answer.status == 401
    assert daemon.intake.posts == []


def basic(password: str, user: str = "tocsin") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# ------------------------------------------------------------------------------------ who may post


@pytest.mark.parametrize(
    "credential",
    [
        OWN,
        {"Authorization": "bearer own-token"},
        basic("own-token"),
        basic("own-token", user=""),
        {"Authorization": "Bearer ana-token"},
        {"Authorization": "Bearer nobody-token"},
        {"Authorization": "Bearer admin-token"},
    ],
)
async def test_a_post_with_a_right_credential_is_stored_and_answered_202(
    client: Client, daemon: FakeDaemon, credential: dict[str, str]
) -> None:
    answer = await client.post("/v1/webhooks/own", json=ALERT, headers=credential)

    assert answer.status == 202
    assert await answer.json() == {"accepted": 1, "incidents": [42], "rejected": []}
    assert [config.name for config, _, _ in daemon.intake.posts] == ["own"]


async def test_a_token_in_the_query_is_accepted(client: Client) -> None:
    answer = await client.post("/v1/webhooks/own?token=own-token", json=ALERT)

    assert answer.status == 202


async def test_every_value_of_a_secret_is_accepted(client: Client) -> None:
    for token in ("prom-token", "prom-token-2"):
        answer = await client.post("/v1/webhooks/prometheus", json=ALERT, headers=basic(token))
        assert answer.status == 202


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"Authorization": "Bearer prom-token"},
        {"Authorization": "Bearer viewer-token"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"Authorization": "Digest own-token"},
        basic(""),
    ],
)
async def test_a_wrong_token_and_an_unknown_integration_read_alike(
    client: Client, daemon: FakeDaemon, credential: dict[str, str]
) -> None:
    wrong = await client.post("/v1/webhooks/own", json=ALERT, headers=credential)
    unknown = await client.post("/v1/webhooks/nobody", json=ALERT, headers=credential)

    assert (wrong.status, unknown.status) == (401, 404)
    assert (await wrong.json())["detail"] == (await unknown.json())["detail"]
    assert wrong.content_type == "application/problem+json"
    assert daemon.intake.posts == []


async def test_the_dummy_of_unknown_integrations_opens_nothing(client: Client) -> None:
    given = {"Authorization": "Bearer compared with when there is no such integration"}

    answer = await client.post("/v1/webhooks/nobody", json=ALERT, headers=given)

    assert answer.status == 404


async def test_an_api_token_is_told_which_integration_is_missing(client: Client) -> None:
    answer = await client.post("/v1/webhooks/onw", json=ALERT, headers={"Authorization": "Bearer admin-token"})

    assert answer.status == 404
    assert "'onw'" in (await answer.json())["detail"]


async def test_an_integration_without_a_token_takes_no_post_without_one(client: Client, daemon: FakeDaemon) -> None:
    daemon.with_settings(integrations={"open": IntegrationConfig("open", "webhook")})

    answers = [
        await client.post("/v1/webhooks/open", json=ALERT),
        await client.post("/v1/webhooks/open?token=", json=ALERT),
    ]

    assert [answer.status for answer in answers] == [401, 401]


async def test_a_reload_opens_new_doors_and_closes_removed_ones(client: Client, daemon: FakeDaemon) -> None:
    daemon.with_settings(integrations={"new": IntegrationConfig("new", "webhook", Secret(("new-token",)))})

    new = await client.post("/v1/webhooks/new", json=ALERT, headers={"Authorization": "Bearer new-token"})
    removed = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)

    assert (new.status, removed.status) == (202, 404)


# -------------------------------------------------------------------------------- what is answered


async def test_the_good_alerts_of_a_mixed_post_are_kept_and_the_bad_ones_named(client: Client) -> None:
    answer = await client.post("/v1/webhooks/own", json=[ALERT, "bad", ALERT], headers=OWN)

    assert answer.status == 202
    assert await answer.json() == {
        "accepted": 2,
        "incidents": [42],
        "rejected": [{"pointer": "/1", "detail": "not an object"}],
    }


async def test_a_post_of_which_nothing_can_be_taken_is_a_400_with_pointers(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.post("/v1/webhooks/own", json=["bad", 7], headers=OWN)

    assert answer.status == 400
    assert [error["pointer"] for error in (await answer.json())["errors"]] == ["/0", "/1"]
    assert daemon.intake.posts == []


@pytest.mark.parametrize(
    ("integration", "trouble", "status"),
    [
        ("prometheus", Overloaded("full"), 503),
        ("own", Overloaded("full"), 429),
        ("prometheus", StoreUnavailable("down"), 503),
        ("own", StoreUnavailable("down"), 503),
        ("own", BadBody("poisoned", status=422), 422),
    ],
)
async def test_trouble_is_said_in_the_words_the_sender_listens_to(
    client: Client, daemon: FakeDaemon, integration: str, trouble: Exception, status: int
) -> None:
    daemon.intake.trouble = trouble
    token = {"prometheus": "prom-token", "own": "own-token"}[integration]

    answer = await client.post(f"/v1/webhooks/{integration}?token={token}", json=ALERT)

    assert answer.status == status
    assert ("Retry-After" in answer.headers) == (status != 422)
    assert answer.content_type == "application/problem+json"


async def test_refusals_are_counted(client: Client, daemon: FakeDaemon) -> None:
    await client.post("/v1/webhooks/own", json=ALERT, headers={"Authorization": "Bearer wrong"})
    await client.post("/v1/webhooks/own", data=b"{", headers=OWN)

    def counted(reason: str) -> float | None:
        labels = {"integration": "own", "reason": reason}
        return daemon.metrics.registry.get_sample_value("tocsin_alerts_rejected_total", labels)

    assert (counted("token"), counted("body")) == (1, 1)


async def test_refused_posts_of_a_right_token_raise_one_alarm_a_day_and_integration(
    client: Client, daemon: FakeDaemon
) -> None:
    await client.post("/v1/webhooks/own", data=b"{", headers={"Authorization": "Bearer wrong"})
    for body in (b"{", b"[7]", b"{"):
        await client.post("/v1/webhooks/own", data=body, headers=OWN)
    await client.post("/v1/webhooks/prometheus?token=prom-token", data=b"[7]")

    assert [name for name, _ in daemon.self_alerts.refused] == ["own", "prometheus"]
    assert daemon.self_alerts.refused[1][1] == "/0: not an object"


async def test_a_post_that_cannot_be_stored_raises_the_alarm_too(client: Client, daemon: FakeDaemon) -> None:
    daemon.intake.trouble = BadBody("this post cannot be stored", status=422)

    assert (await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)).status == 422

    assert daemon.self_alerts.refused == [("own", "this post cannot be stored")]


async def test_a_refusal_that_quotes_a_lone_surrogate_is_still_an_answer(client: Client, daemon: FakeDaemon) -> None:
    daemon.intake.trouble = BadBody("'\ud800' is no severity", "/\udfff", status=422)

    answer = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)

    assert answer.status == 422
    assert (await answer.json())["errors"] == [{"pointer": "/?", "detail": "'?' is no severity"}]


# ----------------------------------------------------------------------------------- how it travels


async def test_a_gzipped_body_is_read(client: Client, daemon: FakeDaemon) -> None:
    body = gzip.compress(orjson.dumps(ALERT))

    answer = await client.post("/v1/webhooks/own", data=body, headers={**OWN, "Content-Encoding": "gzip"})

    assert answer.status == 202
    assert daemon.intake.posts[0][1] == orjson.dumps(ALERT)


GZIPPED = gzip.compress(orjson.dumps(ALERT), mtime=0)


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", b"not gzip at all", 400),
        ("gzip", GZIPPED[:-9], 400),
        ("gzip", GZIPPED[:-4], 400),
        ("gzip", GZIPPED[:12] + b"\x00\xff\x00" + GZIPPED[15:], 400),
        ("gzip", GZIPPED + b"more", 400),
        ("gzip", GZIPPED + GZIPPED, 400),
        ("gzip", gzip.compress(b" " * (MAX_BODY + 1), mtime=0), 413),
        ("gzip", gzip.compress(gzip.compress(b"0" * 200_000_000, 1, mtime=0), mtime=0), 400),
        ("gzip, gzip", gzip.compress(GZIPPED, mtime=0), 415),
        ("deflate", zlib.compress(orjson.dumps(ALERT)), 415),
        ("br", b"\x0b\x02\x80", 415),
        ("zstd", b"\x28\xb5\x2f\xfd", 415),
        ("nonsense", b"{}", 415),
    ],
)
async def test_what_is_not_one_sound_layer_of_gzip_is_refused(
    client: Client, coding: str, body: bytes, status: int
) -> None:
    answer = await client.post("/v1/webhooks/own", data=body, headers={**OWN, "Content-Encoding": coding})

    assert answer.status == status
    assert answer.content_type == "application/problem+json"


async def test_a_body_over_four_mebibytes_is_413_whether_it_says_so_or_not(client: Client) -> None:
    body = b" " * (MAX_BODY + 1)

    async def in_pieces() -> Any:
        for at in range(0, len(body), 1 << 20):
            yield body[at : at + (1 << 20)]

    said = await client.post("/v1/webhooks/own", data=io.BytesIO(body), headers=OWN)
    unsaid = await client.post("/v1/webhooks/own", data=in_pieces(), headers=OWN)

    assert (said.status, unsaid.status) == (413, 413)


async def test_a_body_in_pieces_is_read_whole_and_within_its_deadline(client: Client, daemon: FakeDaemon) -> None:
    async def in_pieces() -> Any:
        yield b'{"title": "db down",'
        yield b'"key": "db"}'

    answer = await client.post("/v1/webhooks/own", data=in_pieces(), headers=OWN)

    assert answer.status == 202
    assert daemon.intake.posts[0][2].alerts[0].source_key == "db"


# --------------------------------------------------------------------------------- hostile bodies

DEEP = b"[" * 5_000 + b"]" * 5_000
HOSTILE = {
    "nothing": b"",
    "blank": b"  \n",
    "half an object": b'{"title": "x"',
    "not JSON": b"<alert/>",
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a number": b"7",
    "a text": b'"x"',
    "null": b"null",
    "true": b"true",
    "a list of numbers": b"[1, 2, 3]",
    "too deep": DEEP,
    "a deep object": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    "NaN": b"NaN",
    "infinity": b"[Infinity]",
    "a number of a million digits": b"1" * 1_000_000,
    "a huge exponent": b"[1e999999]",
    "alerts as text": b'{"alerts": "many"}',
    "alerts of numbers": b'{"alerts": [1, null, "x"]}',
    "NUL bytes": b"\x00" * 1_000,
}
ALLOWED = {
    "a lone surrogate": b'{"title": "\\ud800 down", "status": "firing", "dedup_key": "\\udfff"}',
    "NUL in a text": b'{"title": "a\\u0000b", "dedup_key": "\\u0000"}',
    "labels of any type": b'{"title": "x", "labels": {"a": 1, "b": null, "c": [1], "d": {"e": true}}}',
    "a huge number": b'{"title": "x", "labels": {"n": 1e400}}',
    "titles of wrong types": b'{"title": {"a": 1}, "dedup_key": ["x"]}',
    "duplicate keys": b'{"title": "a", "title": "b"}',
    "a future of a million years": b'{"title": "x", "started_at": "999999-01-01T00:00:00Z"}',
}


@pytest.fixture
async def real_sources(client: Client, daemon: FakeDaemon) -> Client:
    daemon.live.sources = {source.type: source for source in (ALERTMANAGER, PAGERDUTY, WEBHOOK)}
    daemon.live.settings = replace(SETTINGS)
    return client


@pytest.mark.parametrize("integration", ["own", "prometheus"])
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_body_gets_a_4xx_problem(real_sources: Client, integration: str, body: bytes) -> None:
    token = {"prometheus": "prom-token", "own": "own-token"}[integration]

    answer = await real_sources.post(f"/v1/webhooks/{integration}?token={token}", data=body)

    assert 400 <= answer.status < 500
    assert answer.content_type == "application/problem+json"
    document = await answer.json()
    assert document["status"] == answer.status
    assert document["detail"]


@pytest.mark.parametrize("integration", ["own", "prometheus"])
@pytest.mark.parametrize("body", ALLOWED.values(), ids=ALLOWED.keys())
async def test_odd_content_is_taken_or_refused_but_never_a_5xx(
    real_sources: Client, integration: str, body: bytes
) -> None:
    token = {"prometheus": "prom-token", "own": "own-token"}[integration]

    answer = await real_sources.post(f"/v1/webhooks/{integration}?token={token}", data=body)

    assert answer.status == 202 or 400 <= answer.status < 500


@pytest.mark.parametrize("body", [*HOSTILE.values(), *ALLOWED.values()], ids=[*HOSTILE.keys(), *ALLOWED.keys()])
@pytest.mark.parametrize("path", ["/v2/enqueue", "/v2/change/enqueue", "/generic/2010-04-15/create_event.json"])
async def test_the_pagerduty_doors_refuse_hostile_bodies_in_the_vendors_words(
    real_sources: Client, path: str, body: bytes
) -> None:
    answer = await real_sources.post(path, data=body)

    if len(body) > 512 * 1024:  # the vendor's own limit: not read before it is known who sends
        assert answer.status == 413
        return
    assert answer.status == 400
    document = await answer.json()
    assert document["status"] == "invalid event"
    assert document["message"] == "Event object is invalid"
    assert all(isinstance(error, str) and error for error in document["errors"])
    assert document["errors"]


# -------------------------------------------------------------------------------------- PagerDuty


async def test_an_event_is_answered_as_pagerduty_answers_it(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.post("/v2/enqueue", json={"routing_key": ROUTING_KEY, "dedup_key": "checkout/db"})

    assert answer.status == 202
    assert await answer.json() == {
        "status": "success",
        "message": "Event processed",
        "dedup_key": "checkout/db",
    }
    assert daemon.intake.posts[0][0].name == "apps"


async def test_an_event_without_a_key_is_told_the_minted_one(client: Client) -> None:
    answer = await client.post("/v2/enqueue", json={"routing_key": ROUTING_KEY})

    assert (await answer.json())["dedup_key"] == "minted"


async def test_each_routing_key_of_an_integration_has_its_own_service(client: Client, daemon: FakeDaemon) -> None:
    await client.post("/v2/enqueue", json={"routing_key": SHOP_KEY, "dedup_key": "a"})

    config = daemon.intake.posts[0][0]
    assert (config.name, config.defaults["service"]) == ("apps", "shop")


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("short", "Length of 'routing_key' is incorrect (should be 32 characters)"),
        (None, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        (["x"], "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ("f" * 32, "'routing_key' is invalid"),
        ("\ud800" * 32, "'routing_key' is invalid"),
    ],
)
async def test_a_wrong_routing_key_is_refused(client: Client, daemon: FakeDaemon, key: Any, error: str) -> None:
    body = (
        orjson.dumps({"routing_key": key}) if key != "\ud800" * 32 else b'{"routing_key": "' + rb"\ud800" * 32 + b'"}'
    )

    answer = await client.post("/v2/enqueue", data=body)

    assert answer.status == 400
    assert daemon.intake.posts == []
    if key != "\ud800" * 32:
        assert (await answer.json())["errors"] == [error]


async def test_the_vendors_sentence_about_a_wrong_severity_arrives(client: Client) -> None:
    answer = await client.post("/v2/enqueue", json={"routing_key": ROUTING_KEY, "severity": "wrong"})

    assert answer.status == 400
    assert (await answer.json())["errors"] == [
        "'payload.severity' is invalid (must be one of the following: 'critical')"
    ]


async def test_a_change_event_has_its_own_words(client: Client) -> None:
    answer = await client.post("/v2/change/enqueue", json={"routing_key": ROUTING_KEY})

    assert answer.status == 202
    assert await answer.json() == {"status": "success", "message": "Change event processed"}


async def test_an_old_agents_event_is_200_with_its_incident_key(client: Client) -> None:
    body = {"service_key": ROUTING_KEY, "dedup_key": "web-07/http"}

    answer = await client.post("/generic/2010-04-15/create_event.json", json=body)

    assert answer.status == 200
    assert (await answer.json())["incident_key"] == "web-07/http"


async def test_a_full_queue_is_429_and_a_silent_database_503_to_pagerdutys_clients(
    client: Client, daemon: FakeDaemon
) -> None:
    statuses = []
    for trouble in (Overloaded("full"), StoreUnavailable("down")):
        daemon.intake.trouble = trouble
        answer = await client.post("/v2/enqueue", json={"routing_key": ROUTING_KEY})
        statuses.append(answer.status)

    assert statuses == [429, 503]

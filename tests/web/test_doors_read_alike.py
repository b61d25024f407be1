"""Every door that reads JSON of alerts reads the same texts in the same way: taken everywhere, or refused everywhere."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tests.web.test_whole import CONFIGURATION
from tocsin.clock import SystemChance, SystemClock
from tocsin.settings import load
from tocsin.transport import AioHttp, AioSmtp
from tocsin.web.app import make_app
from tocsin.wiring import Daemon, Ports

KEY = "0123456789abcdef0123456789abcdef"
JSON = {"Content-Type": "application/json"}
DOORS: dict[str, tuple[str, dict[str, str], Any]] = {
    "webhook": ("/v1/webhooks/own", {"Authorization": "Bearer own-token"}, {"title": "TEXT", "dedup_key": "k", "value": "VALUE"}),
    "alertmanager": ("/v1/webhooks/prometheus", {"Authorization": "Bearer prom-token"},
                     {"alerts": [{"status": "firing", "labels": {"alertname": "TEXT", "v": "VALUE"}}]}),
    "events v2": ("/v2/enqueue", {}, {"routing_key": KEY, "event_action": "trigger", "dedup_key": "k", "payload": {
        "summary": "TEXT", "source": "s", "severity": "error", "custom_details": {"v": "VALUE"}}}),
    "changes v2": ("/v2/change/enqueue", {}, {"routing_key": KEY, "payload": {"summary": "TEXT", "custom_details": {"v": "VALUE"}}}),
    "events v1": ("/generic/2010-04-15/create_event.json", {}, {"service_key": KEY, "event_type": "trigger", "description": "TEXT",
                                                               "details": {"v": "VALUE"}}),
    "explain": ("/v1/explain", {"Authorization": "Bearer API", **JSON}, {"integration": "own", "payload": {"title": "TEXT", "value": "VALUE"}}),
}  # fmt: skip

Change = Callable[[bytes], bytes]
TAKEN: dict[str, Change] = {
    "plain": lambda raw: raw,
    "a lone surrogate": lambda raw: raw.replace(b"TEXT", b"a \\ud800 b"),
    "a surrogate in capitals": lambda raw: raw.replace(b"TEXT", b"a \\uDFFF b"),
    "a pair of surrogates": lambda raw: raw.replace(b"TEXT", b"\\ud83d\\udd25"),
    "a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "a newline in a text": lambda raw: raw.replace(b"TEXT", b"a\nb\tc"),
    "a control character": lambda raw: raw.replace(b"TEXT", b"a\x01b"),
    "an escaped NUL": lambda raw: raw.replace(b"TEXT", b"a\\u0000b"),
    "a NUL behind the body": lambda raw: raw + b"\0",
    "white space around": lambda raw: b"\r\n  " + raw + b" \n",
    "a number beyond 64 bits": lambda raw: raw.replace(b'"VALUE"', b"9" * 40),
    "a number of 10,000 digits": lambda raw: raw.replace(b'"VALUE"', b"9" * 10_000),
    "a huge exponent": lambda raw: raw.replace(b'"VALUE"', b"1e999"),
    "one key twice": lambda raw: raw.replace(b'"TEXT"', b'"first", "title": "TEXT", "summary": "TEXT", "alertname": "TEXT", "description": "TEXT"'),
}  # fmt: skip
REFUSED: dict[str, Change] = {
    "UTF-16 with a mark": lambda raw: raw.decode().encode("utf-16"),
    "UTF-16 without": lambda raw: raw.decode().encode("utf-16-le"),
    "UTF-32": lambda raw: raw.decode().encode("utf-32"),
    "Latin-1": lambda raw: raw.replace(b"TEXT", b"d\xe9faut"),
    "cut in the middle of a letter": lambda raw: raw.replace(b"TEXT", b"d\xc3 faut"),
    "NaN": lambda raw: raw.replace(b'"VALUE"', b"NaN"),
    "minus infinity": lambda raw: raw.replace(b'"VALUE"', b"-Infinity"),
    "no JSON": lambda raw: b"title=db down",
    "cut off": lambda raw: raw[:-3],
    "two bodies": lambda raw: raw + raw,
    "single quotes": lambda raw: raw.replace(b'"', b"'"),
    "nested too deeply": lambda raw: raw.replace(b'"VALUE"', b"[" * 40 + b"]" * 40).replace(
        b'"TEXT"', b"[" * 40 + b"]" * 40
    ),
    "nested without end": lambda raw: raw.replace(b'"TEXT"', b"[" * 100_000),
}


@pytest.fixture
async def post(tmp_path: Path, aiohttp_client: AiohttpClient) -> AsyncIterator[Callable[..., Awaitable[int]]]:
    main = tmp_path / "tocsin.yaml"
    main.write_text(CONFIGURATION)
    clock = SystemClock()
    daemon = Daemon(load(main), ports=Ports(clock, SystemChance(), AioHttp(clock), AioSmtp(clock), lambda _: None))
    await daemon.start(listen=False)
    _, token = await daemon.access.create("t", "admin", "ana")
    client: TestClient[Any, Any] = await aiohttp_client(make_app(daemon))

    async def send(door: str, raw: bytes, **more: str) -> int:
        path, headers, _ = DOORS[door]
        sent = {**{name: value.replace("API", token) for name, value in headers.items()}, **more}
        response = await client.post(path, data=raw, headers=sent)
        assert response.status < 500, await response.text()
        return response.status

    yield send
    await daemon.stop()


def body(door: str) -> bytes:
    return json.dumps(DOORS[door][2]).encode()


async def test_what_one_door_takes_all_take_and_what_one_refuses_all_refuse(
    post: Callable[..., Awaitable[int]],
) -> None:
    for door in DOORS:
        for name, change in TAKEN.items():
            assert 200 <= await post(door, change(body(door))) < 300, (door, name)
        for name, change in REFUSED.items():
            assert 400 <= await post(door, change(body(door))) < 500, (door, name)


async def test_compressed_and_under_any_charset_it_is_the_same_text(post: Callable[..., Awaitable[int]]) -> None:
    for door in DOORS:
        for name, change in TAKEN.items():
            assert 200 <= await post(door, gzip.compress(change(body(door))), **{"Content-Encoding": "gzip"}) < 300, (
                door,
                name,
            )
        for charset in ("utf-8", "iso-8859-1", "utf-16", "no-such-charset", '"'):
            assert (
                200 <= await post(door, body(door), **{"Content-Type": f"application/json; charset={charset}"}) < 300
            ), (door, charset)


def test_each_text_is_another_one() -> None:
    for change in (*TAKEN.values(), *REFUSED.values()):
        assert change is TAKEN["plain"] or change(body("webhook")) != body("webhook")
    assert all(re.search("TEXT", json.dumps(shape)) for _, _, shape in DOORS.values())

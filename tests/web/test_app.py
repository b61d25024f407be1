"""Routes, probes, and what is no route or no HTTP: always an answer, never a traceback."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from tests.web.conftest import Client
from tests.web.fakes import SETTINGS, FakeDaemon
from tocsin.model import Server
from tocsin.web.api.openapi import document
from tocsin.web.app import make_admin_app, make_app

OWN = {"Authorization": "Bearer own-token"}


# -------------------------------------------------------------------------------- the document


def routes_of(app: Any) -> set[tuple[str, str]]:
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical
        if path.startswith("/api/v2/"):
            path = path.rstrip("/")  # there each is known with and without it
        if route.method not in ("HEAD", "*") and not path.startswith("/static/"):
            found.add((route.method.lower(), path))
    return found


async def test_every_route_is_documented_and_every_documented_path_is_routed(daemon: FakeDaemon) -> None:
    documented = {(method, path) for path, methods in document()["paths"].items() for method in methods}

    assert routes_of(make_app(daemon.whole)) == documented


async def test_every_reference_of_the_document_leads_somewhere(client: Client) -> None:
    whole = await (await client.get("/v1/openapi.json")).json()
    schemas = set(whole["components"]["schemas"])

    def references(value: Any) -> set[str]:
        match value:
            case dict():
                own = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
                return own.union(*(references(each) for each in value.values()))
            case list():
                return set().union(*(references(each) for each in value))
        return set()

    assert whole["openapi"] == "3.1.0"
    assert references(whole) <= schemas
    ids = [one["operationId"] for methods in whole["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


async def test_the_manual_names_every_path(client: Client) -> None:
    text = await (await client.get("/docs")).text()

    for path in document()["paths"]:
        assert path in text


# -------------------------------------------------------------------------------------- probes


async def test_the_probes_tell_life_and_readiness(client: Client, daemon: FakeDaemon) -> None:
    alive, ready = await client.get("/healthz"), await client.get("/readyz")
    daemon.health.good = False
    unready = await client.get("/readyz")

    assert (alive.status, ready.status, unready.status) == (200, 200, 503)
    assert (await unready.json())["status"] == "unready"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text"),
    ],
)
async def test_metrics_come_in_the_format_asked_for(client: Client, accept: str, kind: str) -> None:
    answer = await client.get("/metrics", headers={"Accept": accept})

    text = await answer.text()
    assert answer.content_type == kind
    assert "tocsin_ingest_seconds_bucket" in text
    assert text.rstrip().endswith("# EOF") == (kind != "text/plain")


async def test_counters_are_told_as_counters(client: Client) -> None:
    text = await (await client.get("/metrics")).text()

    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {name for name, kind in kinds.items() if name.endswith("_total") != (kind == "counter")} == set()
    assert kinds["tocsin_incidents_total"] == "counter"
    assert kinds["tocsin_incidents"] == "gauge"


async def test_an_admin_address_takes_metrics_and_probes_away(
    aiohttp_client: AiohttpClient, daemon: FakeDaemon
) -> None:
    daemon.live.settings = replace(SETTINGS, server=Server(admin_host="127.0.0.1", admin_port=8421))
    public = await aiohttp_client(make_app(daemon.whole))
    admin = await aiohttp_client(make_admin_app(daemon.whole))

    for path in ("/metrics", "/healthz", "/readyz"):
        assert (await public.get(path)).status == 404
        assert (await admin.get(path)).status == 200
    assert (await admin.get("/v1/incidents")).status == 404


# --------------------------------------------------------------------------------- other requests


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1/incidents/x", "/v1/incidents/١", "/v1/incidents/9999999999", "/v1/webhooks/a/b", "/a/", "/%00"],
)
async def test_an_unknown_path_is_a_404_problem(client: Client, path: str) -> None:
    answer = await client.get(path)

    assert answer.status == 404
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/webhooks/own", "OPTIONS, POST"),
        ("PUT", "/v1/incidents", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/v1/incidents/42", "GET, HEAD, OPTIONS"),
        ("POST", "/metrics", "GET, HEAD, OPTIONS"),
    ],
)
async def test_another_method_is_a_405_problem_that_names_the_right_ones(
    client: Client, method: str, path: str, allow: str
) -> None:
    answer = await client.request(method, path)

    assert answer.status == 405
    assert answer.headers["Allow"] == allow
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ((), "192.0.2.1", "127.0.0.1"),
        (("127.0.0.1",), "192.0.2.1", "192.0.2.1"),
        (("127.0.0.0/8",), "198.51.100.7, 192.0.2.1", "192.0.2.1"),
        (("127.0.0.1", "192.0.2.1"), "198.51.100.7, 192.0.2.1", "198.51.100.7"),
        (("127.0.0.1",), "nonsense", "nonsense"),
        (("127.0.0.1",), " , ", "127.0.0.1"),
    ],
)
async def test_the_log_names_the_peer_behind_trusted_proxies_alone(
    client: Client, daemon: FakeDaemon, lines: Any, trusted: tuple[str, ...], forwarded: str, peer: str
) -> None:
    daemon.with_settings(server=Server(trusted_proxies=trusted))

    await client.get("/nothing", headers={"X-Forwarded-For": forwarded})

    assert f"peer='{peer}'" in lines.records[0].getMessage()


async def test_options_names_the_methods_and_does_nothing(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.options("/v1/webhooks/own", headers=OWN)

    assert answer.status == 204
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert daemon.intake.posts == []


# ---------------------------------------------------------------------------------- raw sockets


@pytest.fixture
async def port(daemon: FakeDaemon) -> AsyncIterator[int]:
    """The doors served as the daemon serves them: aiohttp's test server cancels handlers, this does not."""
    runner = web.AppRunner(make_app(daemon.whole), access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def speak(port: int, raw: bytes) -> bytes:
    """Send bytes as they are; all that comes back until the server hangs up."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


HEAD = b"POST /v1/webhooks/own HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer own-token\r\nConnection: close\r\n"


def no_trouble(lines: Any) -> bool:
    """No line is an error of ours, and none carries a traceback."""
    told = [record.getMessage() for record in lines.records]
    return all(record.levelno < logging.ERROR and not record.exc_info for record in lines.records) and not any(
        "Traceback" in line or "exc_info" in line for line in told
    )


BROKEN = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
    "no such version": b"GET / HTTP/9.9\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a header of 20,000 bytes": b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    "a line of 20,000 bytes": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "a thousand headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(1_000)) + b"\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n{}",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a chunk of no size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk without its end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}garbage\r\n0\r\n\r\n",
    "length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


SECRET = b"s3cret-token"
TELLING = {
    "a method that is none": b"FOO /v1/webhooks/own?token=" + SECRET + b" HTTP/1.1\r\n\r\n",
    "no such version": b"GET /v1/webhooks/own?token=" + SECRET + b" HTTP/9.1\r\n\r\n",
    "a line of 20,000 bytes": b"GET /x?token=" + SECRET + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nAuthorization : Bearer " + SECRET + b"\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"\x00\r\n\r\n",
    "a chunk of no size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz" + SECRET + b"\r\n",
}


@pytest.mark.parametrize("raw", TELLING.values(), ids=TELLING.keys())
async def test_broken_http_is_told_without_the_token_it_holds(port: int, raw: bytes, lines: Any) -> None:
    await speak(port, raw)

    (line,) = lines.records
    assert "not HTTP" in line.getMessage() or "refused" in line.getMessage()
    assert SECRET.decode() not in line.getMessage()


@pytest.mark.parametrize("path", ["/", "/v1/incidents", "/v1/webhooks/own"])
@pytest.mark.parametrize("given", ["Basic \xe9", "Basic =", "Basic /////w==", "Bearer \xe9", "Basic", "\xe9"])
async def test_a_credential_that_cannot_be_read_is_a_401(port: int, path: str, given: str, lines: Any) -> None:
    method = "POST" if "webhooks" in path else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {given}\r\n\r\n"

    answer = await speak(port, head.encode())

    assert answer.startswith(b"HTTP/1.1 401")
    assert no_trouble(lines)


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_http_is_a_4xx_and_one_line_without_a_traceback(
    port: int, daemon: FakeDaemon, raw: bytes, lines: Any
) -> None:
    answer = await speak(port, raw)

    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:200]
    assert daemon.intake.posts == []
    assert len(lines.records) == 1
    assert no_trouble(lines)


@pytest.mark.parametrize("rest", [b"", b'"x"', b"zz\r\nnot a chunk\r\n"], ids=["nothing", "a bit", "broken"])
@pytest.mark.parametrize("start", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
async def test_a_body_that_does_not_come_to_its_end_is_refused_at_its_deadline(
    port: int, daemon: FakeDaemon, start: bytes, rest: bytes, lines: Any
) -> None:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + start)
        await writer.drain()
        await daemon.clock.waited_on.wait()
        writer.write(rest)
        await writer.drain()
        daemon.clock.pass_deadlines()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 408"), answer[:200]
    assert b"application/problem+json" in answer
    assert daemon.clock.limits == [30_000]
    assert no_trouble(lines)


async def test_a_client_that_hangs_up_in_the_middle_leaves_no_error(port: int, daemon: FakeDaemon, lines: Any) -> None:
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        await daemon.clock.waited_on.wait()
        writer.close()
        await writer.wait_closed()
        while not lines.records:
            await speak(port, b"GET /healthz HTTP/1.0\r\n\r\n")

    assert "hung up" in lines.records[0].getMessage()
    assert daemon.intake.posts == []
    assert no_trouble(lines)


@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"X-Slow: 1\r\n"], ids=["nothing", "a head", "more of it"])
async def test_a_head_that_does_not_come_to_its_end_is_hung_up_on(
    aiohttp_client: AiohttpClient, daemon: FakeDaemon, start: bytes
) -> None:
    client = await aiohttp_client(make_app(daemon.whole, head_time=0.2))

    assert client.port is not None
    answer = await speak(client.port, start)

    assert answer == b""


async def test_a_post_on_a_connection_kept_alive_is_answered_after_a_refused_one(port: int) -> None:
    head = HEAD.replace(b"Connection: close\r\n", b"")
    refused = head + b"Content-Length: 1\r\n\r\n{"
    good = HEAD + b'Content-Length: 13\r\n\r\n{"title":"x"}'

    answer = await speak(port, refused + good)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 202" in answer


async def test_the_written_manual_has_every_path_and_no_other() -> None:
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()

    written = set(re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/\S*)`", text, re.MULTILINE))

    documented = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert written == documented

"""Calendars fetched from real servers, and read in a process of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tocsin.clock import SystemClock
from tocsin.decide.oncall.feeds import from_json
from tocsin.errors import BadFeed
from tocsin.feed_process import ReadApart
from tocsin.model import Instant, Millis
from tocsin.transport import AioHttp
from tocsin.work.oncall import feed_fetch
from tocsin.work.oncall.feed_fetch import Fetched, fetch

CALENDAR = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"
Ask = Callable[..., Awaitable[Fetched | None]]


async def answer(request: web.Request) -> web.StreamResponse:
    """Somebody's web server, with whatever may be there."""
    match request.path.strip("/").split("/"):
        case ["good.ics"]:
            if request.headers.get("If-None-Match") == '"v1"' or "If-Modified-Since" in request.headers:
                return web.Response(status=304)
            assert request.headers["Accept"].startswith("text/calendar")
            return web.Response(
                body=CALENDAR, headers={"ETag": '"v1"', "Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}
            )
        case ["again", times]:
            where = "/good.ics" if times == "0" else f"/again/{int(times) - 1}"
            return web.Response(status=302, headers={"Location": where})
        case ["to", *rest]:
            return web.Response(status=301, headers={"Location": "/".join(rest).replace("_", "/")})
        case ["big.ics"]:
            return web.Response(body=b"x" * (feed_fetch.LARGEST + 10))
        case ["status", status]:
            return web.Response(status=int(status))
        case _:
            await asyncio.sleep(30)
            return web.Response()


@pytest.fixture
async def base(aiohttp_server: AiohttpServer) -> str:
    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    server = await aiohttp_server(app, host="127.0.0.1")
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
async def ask(base: str) -> AsyncIterator[Ask]:
    clock = SystemClock()
    http = AioHttp(clock)

    async def one(path: str, **how: Any) -> Fetched | None:
        return await fetch(http, clock, f"{base}/{path}", **{"allow_private": True, **how})

    yield one
    await http.close()


async def test_a_feed_comes_with_its_marks_and_not_again_while_it_is_the_same(ask: Ask) -> None:
    found = await ask("good.ics")
    assert found == Fetched(CALENDAR, '"v1"', "Mon, 05 Jan 2026 10:00:00 GMT")
    assert await ask("good.ics", etag=found.etag) is None
    assert await ask("good.ics", modified=found.modified) is None
    assert await ask("good.ics", etag='"v0"') == found


async def test_a_few_redirects_are_followed(ask: Ask) -> None:
    found = await ask("again/2")
    assert found is not None
    assert found.body == CALENDAR


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("again/3", "redirects more than 3 times"),
        ("to/ftp:__other.example", "redirects to something that is no web address"),
        ("to/", "redirects to something that is no web address"),
        ("status/404", "is answered 404: there is nothing at this address (any more)"),
        ("status/500", "is answered 500"),
        ("status/304", "is answered 304"),
        ("big.ics", "has more than 8 MiB"),
    ],
)
async def test_what_is_no_feed_says_why(ask: Ask, path: str, said: str) -> None:
    with pytest.raises(BadFeed) as refused:
        await ask(path)
    assert str(refused.value) == said


async def test_a_private_address_is_not_dialled_unless_allowed_and_no_message_has_the_path(ask: Ask) -> None:
    with pytest.raises(BadFeed) as refused:
        await ask("secret-of-ours.ics", allow_private=False)
    assert "127.0.0.1 is a private address; write `allow_private: true` to allow it" in str(refused.value)
    assert "secret-of-ours" not in str(refused.value)


def test_a_redirect_never_leads_from_https_to_http() -> None:
    with pytest.raises(BadFeed, match=r"redirects from https to plain http \(b.example\)"):
        feed_fetch._next("https://a.example/x", "http://b.example/x")


async def test_a_server_that_says_nothing_is_given_up(base: str) -> None:
    clock = SystemClock()
    http = AioHttp(clock, total=Millis(300))
    with pytest.raises(BadFeed, match="cannot be fetched: no answer in time"):
        await fetch(http, clock, f"{base}/hangs", allow_private=True)
    await http.close()


# ----------------------------------------------------------------------------- a process of its own


ENDLESS = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31"


def repeating(*rules: str) -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{n}\r\nSUMMARY:Ana\r\nDTSTART:20260105T090000Z\r\nDURATION:PT1H\r\nRRULE:{rule}\r\nEND:VEVENT\r\n"
        for n, rule in enumerate(rules)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n".encode()


JANUARY = Instant(1_767_225_600_000), Instant(1_769_904_000_000)


async def test_a_calendar_is_read_in_a_process_of_its_own() -> None:
    read = from_json(await ReadApart(SystemClock())(repeating("FREQ=WEEKLY"), "Europe/Paris", *JANUARY))
    assert [one.title for one in read.events] == ["Ana"] * 4
    with pytest.raises(BadFeed, match="is not a calendar: it begins with '<html>'"):
        await ReadApart(SystemClock())(b"<html>", "Europe/Paris", *JANUARY)


async def test_a_rule_that_never_ends_is_stopped_while_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.feed_process.LONGEST", 1_500)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(others())
    with pytest.raises(BadFeed, match="takes too long to read"):
        await ReadApart(SystemClock())(repeating(ENDLESS), "UTC", *JANUARY)
    beside.cancel()
    assert turns > 50


async def test_an_event_that_never_ends_costs_itself_and_stays_as_the_copy_before_has_it() -> None:
    raw, before = repeating(ENDLESS, "FREQ=WEEKLY", ENDLESS), repeating("FREQ=WEEKLY;COUNT=2")
    read = from_json(await ReadApart(SystemClock())(raw, "Europe/Paris", *JANUARY, before))
    assert len(read.events) == 4 + 2
    assert read.notes == (
        "line 3: the event 'Ana' takes too long to spell out; does it repeat without end?; it stays as the copy before has it",
        "line 17: the event 'Ana' takes too long to spell out; does it repeat without end?, and is left out",
    )
    again = from_json(await ReadApart(SystemClock())(raw, "Europe/Paris", *JANUARY, read.kept.encode()))
    assert (again.events, again.kept) == (read.events, read.kept)

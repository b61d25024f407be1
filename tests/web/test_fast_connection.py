"""Posts with a known head: taken without aiohttp, answered alike, and never mistaken for anything else."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import uvloop
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.fakes import SETTINGS, FakeDaemon
from tocsin.errors import StoreUnavailable
from tocsin.model import Secret
from tocsin.web.app import RECEPTION, make_app
from tocsin.web.ingest.fast_connection import Front

LENGTH = re.compile(rb"Content-Length: (\d+)", re.IGNORECASE)


def post(body: bytes, *more: bytes, path: bytes = b"own", token: bytes = b"own-token") -> bytes:
    lines = [
        b"POST /v1/webhooks/" + path + b" HTTP/1.1",
        b"Host: tocsin",
        b"Content-Length: " + str(len(body)).encode(),
        b"Authorization: Bearer " + token,
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


ONE, OTHER = post(b'{"title":"one","key":"a"}'), post(b'{"title":"another one","key":"b"}')
PROBE = b"GET /healthz HTTP/1.1\r\nHost: tocsin\r\n\r\n"


@dataclass
class Peer:
    """A sender on one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *pieces: bytes) -> None:
        """Each piece is read by the server before the next one is sent."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(10):
            while (head := await self.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100"):
                pass
            found = LENGTH.search(head)
            assert found is not None
            return int(head.split()[1]), await self.reader.readexactly(int(found[1]))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        await self.say(request)
        return await self.answer()


class House:
    """A daemon's main address, with aiohttp behind the front."""

    def __init__(self, daemon: FakeDaemon, front: Front, port: int) -> None:
        self.daemon, self.front, self.port = daemon, front, port
        self._peers: list[Peer] = []

    async def connect(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self._peers.append(peer)
        return peer

    async def knowing(self) -> Peer:
        """A connection whose sender's head is known."""
        peer = await self.connect()
        assert (await peer.ask(ONE))[0] == 202
        self.daemon.intake.posts.clear()
        return peer

    async def taken_at_once(self, count: int = 1) -> list[Any]:
        """Waits for so many posts to be taken without aiohttp; their waiters, which no longer wait here."""
        async with asyncio.timeout(10):
            while len(self.daemon.intake.waiters) < count:
                await asyncio.sleep(0)
        waiters, self.daemon.intake.waiters = self.daemon.intake.waiters, []
        return waiters

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.writer.close()


@asynccontextmanager
async def housed(daemon: FakeDaemon, head_time: float = 75) -> AsyncIterator[House]:
    app = make_app(daemon.whole, head_time=head_time)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    front = Front(runner.server, app[RECEPTION], daemon.clock, daemon.metrics, head_time)
    server = await asyncio.get_running_loop().create_server(front, "127.0.0.1", 0)
    house = House(daemon, front, server.sockets[0].getsockname()[1])
    try:
        yield house
    finally:
        house.hang_up()
        server.close()
        await runner.cleanup()


@pytest.fixture
async def house(daemon: FakeDaemon) -> AsyncIterator[House]:
    async with housed(daemon) as house:
        yield house


# ------------------------------------------------------------------------------ what is taken


async def test_a_head_is_known_from_the_second_post_on(house: House) -> None:
    peer = await house.knowing()

    await peer.say(OTHER)
    ((waiter, taken),) = await house.taken_at_once()
    waiter.set_result(taken)

    assert await peer.answer() == (202, b'{"accepted":1,"incidents":[42],"rejected":[]}')
    assert [raw for _, raw, _ in house.daemon.intake.posts] == [b'{"title":"another one","key":"b"}']
    assert house.front.under_way == 0


async def test_it_is_known_on_other_connections_too_and_answered_in_the_same_words(house: House) -> None:
    first = await house.knowing()
    second = await house.connect()
    house.daemon.intake.prompt = True

    await first.say(PROBE)  # from here on its bytes are aiohttp's
    assert (await first.answer())[0] == 200
    first.writer.write(OTHER)
    second.writer.write(OTHER)
    by_aiohttp, by_front = [await peer.reader.readuntil(b"\r\n\r\n") for peer in (first, second)]

    assert by_front == by_aiohttp
    assert not house.daemon.intake.waiters


async def test_nothing_is_answered_before_it_is_stored(house: House) -> None:
    peer = await house.knowing()

    await peer.say(OTHER)
    ((waiter, taken),) = await house.taken_at_once()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await peer.reader.read(1)
    waiter.set_result(taken)

    assert (await peer.answer())[0] == 202


async def test_what_comes_meanwhile_waits_and_is_answered_in_order(house: House) -> None:
    peer = await house.knowing()

    await peer.say(OTHER, ONE, PROBE)
    ((waiter, taken),) = await house.taken_at_once()
    house.daemon.intake.prompt = True
    waiter.set_result(replace(taken, accepted=7))

    answers = [await peer.answer() for _ in range(3)]
    assert [status for status, _ in answers] == [202, 202, 200]
    assert b'"accepted":7' in answers[0][1]
    assert b'"accepted":1' in answers[1][1]


# -------------------------------------------------------------------------- what is not


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b'{"title":"x"}', token=b"own-tokem"), 401),
        (post(b'{"title":"x"}', path=b"prometheus"), 401),
        (post(b'{"title":"x"}', path=b"nowhere"), 404),
        (post(b'{"title":'), 400),
        (post(b'["x"]'), 400),
        (post(b'{"title":"x"}').replace(b"Content-Length: 13", b"Content-Length: 12"), 400),
        (post(b'{"title":"x"}').replace(b"Host: tocsin", b"Content-Length: 13"), 400),
        (post(b"\x1f\x8b", b"Content-Encoding: gzip"), 400),
        (ONE.replace(b"HTTP/1.1", b"HTTP/9.1"), 400),
    ],
    ids=["token", "integration", "no door", "no JSON", "no alert", "too short", "two lengths", "gzip", "version"],
)  # fmt: skip
async def test_anything_odd_is_answered_as_if_no_head_were_known(house: House, request_: bytes, status: int) -> None:
    peer = await house.knowing()

    assert (await peer.ask(request_))[0] == status
    assert not house.daemon.intake.waiters


@pytest.mark.parametrize("more", [b"Content-Encoding: identity", b"Expect: 100-continue", b"Connection: close"])
async def test_a_head_that_says_more_than_a_length_is_never_learnt(house: House, more: bytes) -> None:
    for _ in range(2):
        peer = await house.connect()
        assert (await peer.ask(post(b'{"title":"x"}', more)))[0] == 202

    assert not house.daemon.intake.waiters


async def test_a_token_of_the_api_opens_no_door_for_good(house: House) -> None:
    """It can be taken back; a head with it is looked at each time."""
    for _ in range(2):
        peer = await house.connect()
        assert (await peer.ask(post(b'{"title":"x"}', token=b"ana-token")))[0] == 202

    assert not house.daemon.intake.waiters


async def test_another_configuration_knows_no_head(house: House) -> None:
    peer = await house.knowing()
    own = replace(SETTINGS.integrations["own"], token=Secret(("new-token",)))
    changed = replace(SETTINGS, integrations={**SETTINGS.integrations, "own": own})
    house.daemon.live = replace(house.daemon.live, settings=changed)

    assert (await peer.ask(OTHER))[0] == 401
    assert (await (await house.connect()).ask(OTHER.replace(b"own-token", b"new-token")))[0] == 202
    assert not house.daemon.intake.waiters


async def test_nor_one_that_came_under_the_configuration_before(house: House) -> None:
    """Its token was looked at before the reload, its answer comes after it."""
    peer, intake = await house.connect(), house.daemon.intake
    intake.gate = asyncio.Event()
    await peer.say(OTHER)
    own = replace(SETTINGS.integrations["own"], token=Secret(("new-token",)))
    changed = replace(SETTINGS, integrations={**SETTINGS.integrations, "own": own})
    house.daemon.live = replace(house.daemon.live, settings=changed)
    intake.gate.set()
    assert (await peer.answer())[0] == 202

    for again in (peer, await house.connect()):
        assert (await again.ask(ONE))[0] == 401
    assert not intake.waiters


HEAD_OF_MORE = post(OTHER)[: -len(OTHER)]  # what looks like a whole post would be its body


async def test_the_body_of_another_post_is_no_post(house: House) -> None:
    peer = await house.knowing()

    await peer.say(HEAD_OF_MORE, OTHER)

    assert (await peer.answer())[0] == 400
    assert not house.daemon.intake.waiters


async def test_nor_is_it_after_an_answer_while_aiohttp_has_the_head(house: House) -> None:
    peer = await house.knowing()

    await peer.say(ONE[:-5], ONE[-5:] + HEAD_OF_MORE)
    assert (await peer.answer())[0] == 202
    await peer.say(OTHER)

    assert (await peer.answer())[0] == 400
    assert not house.daemon.intake.waiters


async def test_nor_when_that_head_came_before_the_answer(house: House) -> None:
    await house.knowing()
    peer, intake = await house.connect(), house.daemon.intake
    intake.gate = asyncio.Event()

    await peer.say(post(b'{"title":"x"}', b"X-Not: seen before"), HEAD_OF_MORE)
    intake.gate.set()
    assert (await peer.answer())[0] == 202
    await peer.say(OTHER)

    assert (await peer.answer())[0] == 400
    assert not intake.waiters


# ------------------------------------------------------------------------------- troubles


async def test_a_post_that_could_not_be_stored_is_tried_once_more_and_refused_in_the_ordinary_words(
    house: House,
) -> None:
    peer = await house.knowing()
    await peer.say(OTHER)
    ((waiter, _),) = await house.taken_at_once()
    house.daemon.intake.trouble = StoreUnavailable("full")

    waiter.set_exception(StoreUnavailable("full"))

    status, body = await peer.answer()
    assert status == 503
    assert b"nothing can be stored right now" in body
    assert house.front.under_way == 0


async def test_a_sender_that_hung_up_is_not_told(house: House, lines: Any) -> None:
    peer = await house.knowing()
    await peer.say(OTHER)
    ((waiter, taken),) = await house.taken_at_once()
    peer.writer.transport.abort()
    while house.front._lines:
        await asyncio.sleep(0)

    waiter.set_result(taken)

    assert house.front.under_way == 0
    assert not lines.records


async def test_who_does_not_read_its_answers_is_not_read_either(house: House) -> None:
    peer = await house.knowing()
    house.daemon.intake.prompt = True
    (line,) = house.front._lines.values()
    line._transport.set_write_buffer_limits(high=1_000)
    line._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reading = peer.writer.transport
    assert isinstance(reading, asyncio.Transport)
    reading.pause_reading()

    await peer.say(OTHER * 1_000)  # several at once: aiohttp's
    for _ in range(5_000):
        await asyncio.sleep(0)
    unread = line._transport.get_write_buffer_size()
    reading.resume_reading()

    assert 1_000 < unread < 10_000
    assert [(await peer.answer())[0] for _ in range(1_000)] == [202] * 1_000


async def test_nor_by_the_front(house: House) -> None:
    peer = await house.knowing()
    (line,) = house.front._lines.values()

    line.pause_writing()  # as the transport does when its buffer is full
    assert not line._transport.is_reading()
    line.data_received(OTHER)  # was on its way
    assert not house.daemon.intake.waiters
    assert (await peer.answer())[0] == 202  # aiohttp's, whose own pauses count from here on
    line.resume_writing()
    assert line._transport.is_reading()

    await peer.say(OTHER, OTHER)
    line.pause_writing()
    line.resume_writing()
    assert not line._transport.is_reading()  # until what came meanwhile is taken
    ((waiter, taken),) = await house.taken_at_once()
    waiter.set_result(taken)
    assert line._transport.is_reading()


@pytest.mark.parametrize("busy", [False, True], ids=["silent", "busy"])
async def test_a_connection_is_closed_when_it_is_silent_and_only_then(daemon: FakeDaemon, busy: bool) -> None:
    daemon.intake.prompt = True
    async with housed(daemon, head_time=0.4) as house:
        peer = await house.knowing()
        began = asyncio.get_running_loop().time()
        while busy and asyncio.get_running_loop().time() - began < 1:
            assert (await peer.ask(OTHER))[0] == 202

        async with asyncio.timeout(5):
            assert await peer.reader.read() == b""


async def test_at_the_end_what_is_being_stored_is_still_answered(house: House) -> None:
    peer = await house.knowing()
    await peer.say(OTHER)
    ((waiter, taken),) = await house.taken_at_once()

    closing = asyncio.ensure_future(house.front.close())
    await house.daemon.clock.waited_on.wait()
    assert not closing.done()
    waiter.set_result(taken)
    await closing

    assert (await peer.answer())[0] == 202
    assert (await peer.ask(OTHER))[0] == 202  # by aiohttp, as long as that is there
    assert not house.daemon.intake.waiters


async def test_a_sender_that_reads_no_answers_does_not_hold_up_the_end(house: House) -> None:
    peer = await house.knowing()
    (line,) = house.front._lines.values()
    line.pause_writing()

    await house.front.close()

    async with asyncio.timeout(10):
        assert await peer.reader.read() == b""


async def test_a_post_that_is_never_stored_does_not_hold_up_the_end(house: House, lines: Any) -> None:
    peer = await house.knowing()
    await peer.say(OTHER)
    await house.taken_at_once()

    closing = asyncio.ensure_future(house.front.close())
    await house.daemon.clock.waited_on.wait()
    house.daemon.clock.pass_deadlines()
    await closing

    assert "not_answered" in lines.text


# ------------------------------------------------------------------------- any bytes, any pieces


REQUESTS = st.sampled_from(
    [
        ONE,
        OTHER,
        PROBE,
        post(b"{"),
        post(b'{"title":"x"}', token=b"prom-token"),
        post(ONE),
        b"POST /v1/webhooks/own HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer own-token\r\n\r\n"
        b'd\r\n{"title":"x"}\r\n0\r\n\r\n',
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Some requests, cut anywhere or nowhere."""
    whole = b"".join(draw(st.lists(REQUESTS, min_size=1, max_size=5)))
    cuts = sorted(draw(st.sets(st.integers(1, len(whole) - 1), max_size=4)))
    return [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


LAST = b"GET /the-end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def told(stream: bytes) -> list[bytes]:
    """What was answered, without the Date."""
    return [re.sub(rb"Date: [^\r]*\r\n", b"", line) for line in stream.split(b"HTTP/1.1 ")]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@settings(max_examples=100, deadline=None)
@given(pieces=conversations())
def test_a_conversation_goes_as_with_aiohttp_alone(loop: Callable[[], Any], pieces: list[bytes]) -> None:
    async def spoken(known: bool) -> tuple[list[bytes], list[bytes]]:
        daemon = FakeDaemon()
        daemon.intake.prompt = True
        async with housed(daemon) as house:
            if known:
                await house.knowing()
            else:
                house.front.open = False
            peer = await house.connect()
            await peer.say(*pieces, LAST)
            async with asyncio.timeout(20):
                return told(await peer.reader.read()), [raw for _, raw, _ in daemon.intake.posts]

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(spoken(known=True)) == runner.run(spoken(known=False))

"""Whether a request may have reached the provider: the one thing every error must tell right."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.vendors.smtp import PretendMailServer
from tocsin.clock import SystemClock
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Millis
from tocsin.transport import AioHttp, AioSmtp, NameResolver, is_public

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kept: Yes\r\n\r\nok"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A TCP server that plays one scene a connection and notes what it read."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.port = 0

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """One request, head and body."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        whole = head + await reader.readexactly(length)
        self.read.append(whole)
        return whole


@contextlib.asynccontextmanager
async def playing(scene: Callable[[Peer], Talk], trust: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    peer = Peer()
    talk = scene(peer)
    done: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        task = asyncio.current_task()
        assert task is not None
        done.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=trust)
    peer.port = server.sockets[0].getsockname()[1]
    peer.url = f"{'https' if trust else 'http'}://localhost:{peer.port}"
    try:
        yield peer
    finally:
        server.close()
        for task in done:
            task.cancel()
        await asyncio.gather(*done, return_exceptions=True)


def answers(reply: bytes) -> Callable[[Peer], Talk]:
    """Reads each request and answers it."""

    def scene(peer: Peer) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await peer.request(reader)
                writer.write(reply)

        return talk

    return scene


def reads_then_resets(peer: Peer) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        writer.transport.abort()

    return talk


def reads_then_hangs(peer: Peer) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peer.request(reader)
        await asyncio.Event().wait()

    return talk


def says_nothing(peer: Peer) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.read.append(await reader.read())

    return talk


@pytest.fixture
async def http() -> AsyncIterator[AioHttp]:
    http = AioHttp(SystemClock(), connect=Millis(400), total=Millis(800))
    yield http
    await http.close()


async def shut() -> None:
    raise GateClosed("acknowledged meanwhile")


async def test_a_reply_comes_back_whole_with_lower_case_header_names(http: AioHttp) -> None:
    async with playing(answers(OK)) as peer:
        reply = await http.request("POST", peer.url + "/x?y=1", headers={"A": "b"}, body=b"hello")

    assert (reply.status, reply.body, reply.headers["x-kept"]) == (200, b"ok", "Yes")
    assert peer.read[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert peer.read[0].endswith(b"\r\n\r\nhello")


async def test_connections_are_kept_alive(http: AioHttp) -> None:
    async with playing(answers(OK)) as peer:
        for _ in range(3):
            await http.request("POST", peer.url, body=b"x")

    assert (peer.connections, len(peer.read)) == (1, 3)


async def test_a_closed_gate_leaves_not_one_byte_though_the_connection_stands(http: AioHttp) -> None:
    async with playing(says_nothing) as peer:
        with pytest.raises(GateClosed, match="acknowledged meanwhile"):
            await http.request("POST", peer.url, body=b"x", gate=shut)
        await eventually(lambda: peer.read)

    assert (peer.connections, peer.read) == (1, [b""])


async def test_the_gate_is_asked_once_and_after_connecting(http: AioHttp) -> None:
    asked: list[int] = []

    async with playing(answers(OK)) as peer:

        async def look() -> None:
            await eventually(lambda: peer.connections)
            asked.append(len(peer.read))

        await http.request("GET", peer.url, gate=look)

    assert asked == [0]


async def test_a_refused_connection_was_not_sent(http: AioHttp) -> None:
    async with playing(answers(OK)) as peer:
        url = peer.url
    with pytest.raises(NotSent):
        await http.request("POST", url, body=b"x")


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://[::1", "http://no.such.name.invalid/", "http://x\n.y/"]
)
async def test_an_address_that_leads_nowhere_was_not_sent(http: AioHttp, url: str) -> None:
    with pytest.raises(NotSent):
        await http.request("POST", url, body=b"x")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_reset_after_the_request_left_may_have_been_sent_and_is_never_repeated(
    http: AioHttp, method: str
) -> None:
    async with playing(reads_then_resets) as peer:
        with pytest.raises(MaybeSent):
            await http.request(method, peer.url, body=b"x")

    assert len(peer.read) == 1


async def test_a_get_whose_kept_connection_broke_is_not_repeated(http: AioHttp) -> None:
    def once(peer: Peer) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.request(reader)
            writer.write(OK)
            await peer.request(reader)
            writer.transport.abort()

        return talk

    async with playing(once) as peer:
        await http.request("GET", peer.url)
        with pytest.raises(MaybeSent):
            await http.request("GET", peer.url)

    assert len(peer.read) == 2


async def test_no_answer_in_time_may_have_been_sent(http: AioHttp) -> None:
    async with playing(reads_then_hangs) as peer:
        with pytest.raises(MaybeSent):
            await http.request("POST", peer.url, body=b"x")

    assert len(peer.read) == 1


async def test_a_tls_handshake_that_never_ends_was_not_sent(http: AioHttp) -> None:
    async with playing(says_nothing) as peer:
        with pytest.raises(NotSent):
            await http.request("POST", peer.url.replace("http:", "https:"), body=b"x")


async def test_a_gate_that_takes_too_long_was_not_sent(http: AioHttp) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    async with playing(answers(OK)) as peer:
        with pytest.raises(NotSent):
            await http.request("POST", peer.url, body=b"x", gate=slow)

    assert peer.read == []


async def test_each_of_many_requests_at_once_has_its_own_gate(http: AioHttp) -> None:
    async with playing(answers(OK)) as peer:

        async def one(number: int) -> int:
            try:
                return (
                    await http.request("POST", f"{peer.url}/{number}", body=b"x", gate=shut if number % 2 else None)
                ).status
            except GateClosed:
                return 0

        came = await asyncio.gather(*[one(number) for number in range(20)])

    assert came == [200, 0] * 10
    assert sorted(int(read.split(b" ")[1][1:]) for read in peer.read) == list(range(0, 20, 2))


async def test_a_cancelled_request_stays_cancelled_and_its_connection_is_not_used_again(http: AioHttp) -> None:
    async with playing(reads_then_hangs) as peer:
        task = asyncio.ensure_future(http.request("POST", peer.url, body=b"x"))
        await eventually(lambda: peer.read)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(MaybeSent):
            await http.request("POST", peer.url, body=b"x")

    assert peer.connections == 2


async def test_redirects_are_answers_and_not_followed(http: AioHttp) -> None:
    async with playing(answers(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")) as peer:
        reply = await http.request("POST", peer.url, body=b"x")

    assert (reply.status, len(peer.read)) == (302, 1)


async def test_a_reply_is_read_up_to_one_mebibyte(http: AioHttp) -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
    async with playing(answers(big)) as peer:
        reply = await http.request("POST", peer.url)

    assert len(reply.body) == 1024 * 1024


async def test_a_status_stands_though_its_body_breaks_off(http: AioHttp) -> None:
    def breaks(peer: Peer) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.request(reader)
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\nhalf")

        return talk

    async with playing(breaks) as peer:
        reply = await http.request("POST", peer.url)

    assert (reply.status, reply.body) == (201, b"half")


async def test_a_status_stands_though_its_body_never_ends(http: AioHttp) -> None:
    def drips(peer: Peer) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await peer.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            await asyncio.Event().wait()

        return talk

    async with playing(drips) as peer:
        reply = await http.request("POST", peer.url)

    assert (reply.status, reply.body) == (200, b"ok")


async def test_private_addresses_are_not_dialled_unless_allowed(http: AioHttp) -> None:
    async with playing(answers(OK)) as peer:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(NotSent, match="private"):
                await http.request("POST", f"http://{host}:{peer.port}/", allow_private=False)

    assert peer.connections == 0


async def test_a_server_without_our_trust_gets_nothing_and_one_with_it_gets_the_request() -> None:
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(served)
    authority.configure_trust(trusting)
    stranger, friend = AioHttp(SystemClock()), AioHttp(SystemClock(), trust=trusting)

    async with playing(answers(OK), served) as peer:
        with pytest.raises(NotSent, match="certificate"):
            await stranger.request("POST", peer.url, body=b"x")
        reply = await friend.request("POST", peer.url, body=b"x")
        await friend.close()
        await stranger.close()

    assert (reply.status, len(peer.read)) == (200, 1)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("192.168.1.1", False),
        ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::", False),
        ("64:ff9b::7f00:1", False), ("64:ff9b::808:808", True), ("2002:7f00:1::", False), ("nonsense", False),
        ("::127.0.0.1", False), ("::ffff:0:7f00:1", False), ("64:ff9b:1::a00:1", False), ("fec0::1", False),
        ("::ffff:8.8.8.8", True),
    ],
)  # fmt: skip
def test_what_counts_as_a_public_address(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.ip_addresses())
def test_every_address_is_one_or_the_other(address: object) -> None:
    assert is_public(str(address)) in (True, False)


# ------------------------------------------------------------------------------------------- mail


@contextlib.asynccontextmanager
async def mail_server(**scripted: Any) -> AsyncIterator[PretendMailServer]:
    server = PretendMailServer(**scripted)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def mail(server: PretendMailServer, to: str = "ana@example.org", **more: Any) -> str:
    given: dict[str, Any] = {
        "host": "localhost", "port": server.port, "security": "none", "username": None, "password": None,
        "sender": "tocsin@example.org", "recipient": to, "message": b"Subject: db down\r\n\r\n.hello\r\n", **more,
    }  # fmt: skip
    smtp = AioSmtp(SystemClock(), trust=server.trust, connect=Millis(400), total=Millis(1500))
    return await smtp.send(**given)


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with mail_server() as server:
        answer = await mail(server)

    assert answer.startswith("250")
    assert [(m.sender, m.recipient, m.content) for m in server.mails] == [
        ("tocsin@example.org", "ana@example.org", b"Subject: db down\r\n\r\n.hello\r\n")
    ]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_goes_encrypted_and_signed_in(security: str) -> None:
    async with mail_server(security=security, accounts={"pager": "secret"}) as server:
        await mail(server, security=security, username="pager", password="secret")

    assert [m.tls for m in server.mails] == [True]


@pytest.mark.parametrize(
    ("scripted", "more", "permanent", "account"),
    [
        ({"refuse_recipient": "550 5.1.1 no such user"}, {}, True, False),
        ({"refuse_recipient": "450 4.2.1 try later"}, {}, False, False),
        ({"refuse_sender": "553 5.7.1 not you"}, {}, False, True),
        ({"refuse_data": "554 5.7.1 looks like spam"}, {}, False, False),
        ({"refuse_message": "552 5.3.4 too big"}, {}, False, False),
        ({"security": "starttls", "accounts": {"pager": "secret"}},
         {"security": "starttls", "username": "pager", "password": "wrong"}, False, True),
        ({}, {"security": "starttls"}, False, False),
        ({}, {"security": "tls"}, False, False),
    ],
)  # fmt: skip
async def test_a_refusal_surely_sent_nothing(
    scripted: dict[str, Any], more: dict[str, Any], permanent: bool, account: bool
) -> None:
    async with mail_server(**scripted) as server:
        with pytest.raises(NotSent) as refused:
            await mail(server, **more)

    assert (refused.value.permanent, refused.value.account, server.mails) == (permanent, account, [])
    if said := next((str(v) for k, v in scripted.items() if k.startswith("refuse")), ""):
        assert said in str(refused.value)


async def test_a_mail_whose_answer_is_lost_may_have_been_sent() -> None:
    async with mail_server(vanish_after_data=True) as server:
        with pytest.raises(MaybeSent):
            await mail(server)

    assert len(server.mails) == 1


async def test_the_mail_gate_is_asked_after_the_recipient_and_before_the_content() -> None:
    async with mail_server() as server:

        async def shut_and_look() -> None:
            assert server.recipients == ["ana@example.org"]
            raise GateClosed("acknowledged meanwhile")

        with pytest.raises(GateClosed):
            await mail(server, gate=shut_and_look)

    assert server.mails == []


async def test_no_mail_server_means_not_sent() -> None:
    async with mail_server() as server:
        pass
    with pytest.raises(NotSent):
        await mail(server)


async def test_a_mail_server_that_never_greets_means_not_sent() -> None:
    async with playing(says_nothing) as peer:
        smtp = AioSmtp(SystemClock(), total=Millis(300))
        with pytest.raises(NotSent):
            await smtp.send(
                host="localhost", port=peer.port, security="none", username=None, password=None,
                sender="a@example.org", recipient="b@example.org", message=b"x",
            )  # fmt: skip


async def eventually(true: Callable[[], object]) -> None:
    """Waits until it holds, at most two seconds."""
    async with asyncio.timeout(2):
        while not true():  # the peer is another party: it sets no event of ours
            await asyncio.sleep(0.005)


# ----------------------------------------------------------------------------------------- names


class NameServer:
    """Looks names up as told: `slow` ones when they are let go, others at once; `down`: no answer for any."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down: OSError | UnicodeError | None = None
        self.go = threading.Event()

    def __call__(self, host: str, *_: object) -> object:
        self.asked.append(host)
        if host.startswith("slow"):
            self.go.wait(10)
        if self.down is not None:
            raise self.down
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.go.set()


async def test_slow_names_hold_up_neither_another_name_nor_other_work(server: NameServer) -> None:
    names = NameResolver(SystemClock(), server)
    http, mail = AioHttp(SystemClock(), connect=Millis(3_000), names=names), NameResolver(SystemClock(), server)
    async with playing(answers(OK)) as peer:
        waiting = [asyncio.ensure_future(names.addresses(f"slow{n % 40}.example.org", 443)) for n in range(400)]
        port = peer.url.rpartition(":")[2]

        async with asyncio.timeout(2.5):
            assert (await http.request("POST", f"http://quick.example.org:{port}/", body=b"x")).status == 200
            assert await mail.addresses("quick.example.org", 25) == [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 25))
            ]
            assert await asyncio.to_thread(lambda: "other work") == "other work"

        assert sorted({*server.asked}) == sorted([*{f"slow{n}.example.org" for n in range(40)}, "quick.example.org"])
        assert len([host for host in server.asked if host.startswith("slow")]) == 40
        server.go.set()
        await asyncio.gather(*waiting)
        await http.close()


@pytest.mark.parametrize(
    "trouble", [socket.gaierror(socket.EAI_AGAIN, "no answer"), socket.gaierror(socket.EAI_FAIL, "broken")]
)
async def test_while_the_name_servers_are_down_a_name_has_the_addresses_it_had(
    server: NameServer, trouble: OSError
) -> None:
    names = NameResolver(SystemClock(), server)
    before = await names.addresses("api.example.org", 443)
    server.down = trouble

    assert await names.addresses("api.example.org", 443) == before
    with pytest.raises(socket.gaierror):
        await names.addresses("new.example.org", 443)
    server.down = socket.gaierror(socket.EAI_NONAME, "gone")
    with pytest.raises(socket.gaierror):
        await names.addresses("api.example.org", 443)


async def test_a_name_whose_answer_is_late_has_the_addresses_it_had(server: NameServer) -> None:
    server.go.set()
    names = NameResolver(SystemClock(), server)
    before = await names.addresses("slow.example.org", 443)
    server.go.clear()

    async with asyncio.timeout(5):
        assert await names.addresses("slow.example.org", 443) == before


async def test_a_name_that_is_none_is_surely_not_sent(server: NameServer) -> None:
    server.down = UnicodeError("label too long")
    http = AioHttp(SystemClock(), names=NameResolver(SystemClock(), server))

    with pytest.raises(NotSent):
        await http.request("POST", "http://api.example.org/", body=b"x")
    await http.close()

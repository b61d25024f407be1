"""Calling providers: HTTP and SMTP with our own deadlines, a gate before the first byte, and honest errors.

The question every error must answer is whether the provider may have acted on the request: NotSent
promises that it cannot have, MaybeSent is everything else. Deadlines are the Clock port's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import aiosmtplib
from aiohttp.abc import AbstractResolver, ResolveResult

from tocsin.contracts import Clock, Gate, Reply
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Millis

CONNECT = Millis(3_000)
TOTAL = Millis(10_000)
GOODBYE = Millis(1_000)
LARGEST_REPLY = 1024 * 1024
NOTHING: Mapping[str, str] = {}
NAMED_WITHIN = Millis(1_000)  # after this the addresses that a name had before are used
MOST_NAMES = 500  # whose addresses are remembered

# ----------------------------------------------------------------------------------------- names

ResolvedAddress = tuple[int, int, int, str, tuple[Any, ...]]  # as getaddrinfo has it


class NameResolver(AbstractResolver):
    """The addresses of names. A slow name holds up nobody who asks for another one, nor any other work.

    Each look-up has a thread of its own, one at a time for each name: the loop's threads are few and shared by all.
    Where the answer takes longer than a second, or the name servers do not answer, the addresses that the name had
    before are used: a page does not wait for them. A name that is no more has none.
    """

    def __init__(self, clock: Clock, look_up: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._clock = clock
        self._look_up = look_up
        self._asked: dict[tuple[str, int], asyncio.Future[list[ResolvedAddress]]] = {}
        self._known: dict[tuple[str, int], list[ResolvedAddress]] = {}

    async def addresses(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[ResolvedAddress]:
        """Resolve a name as getaddrinfo does, for TCP. Raises OSError where there is no address."""
        name = (host, family)
        asked, known = self._asked.get(name) or self._ask(name), self._known.get(name)
        try:
            async with self._clock.timeout(NAMED_WITHIN if known else TOTAL):
                found = await asyncio.shield(asked)
        except OSError as error:  # TimeoutError is one
            if known is None or error.errno == socket.EAI_NONAME:
                raise
            found = known
        return [(*kind, (where[0], port, *where[2:])) for *kind, where in found]  # type: ignore[misc]  # its shape is that of getaddrinfo

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=f"{where[0]}%{where[3]}" if where[3:] and where[3] else where[0], port=port,
                family=kind, proto=protocol, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, where in await self.addresses(host, port, family)
        ]  # fmt: skip

    async def close(self) -> None:
        """Do nothing: no connection is held; lookups under way still end by themselves."""

    def _ask(self, name: tuple[str, int]) -> asyncio.Future[list[ResolvedAddress]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolvedAddress]] = loop.create_future()

        def told(found: list[ResolvedAddress] | BaseException) -> None:
            del self._asked[name]
            if isinstance(found, BaseException):
                answer.set_exception(found)
                answer.exception()  # whoever asked may be gone
                return
            self._known.pop(name, None)
            self._known[name] = found
            if len(self._known) > MOST_NAMES:
                del self._known[next(iter(self._known))]
            answer.set_result(found)

        def ask() -> None:
            found: Any
            flags = 0 if _is_literal(name[0]) else socket.AI_ADDRCONFIG
            try:
                found = self._look_up(name[0], None, name[1], socket.SOCK_STREAM, 0, flags)
            except Exception as error:  # noqa: BLE001  # for whoever asked
                found = error if isinstance(error, OSError) else OSError(f"{name[0]} is no usable name: {error}")
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(told, found)

        self._asked[name] = answer
        try:
            threading.Thread(target=ask, name="a name", daemon=True).start()
        except RuntimeError as error:
            told(OSError(f"{name[0]} cannot be looked up: {error}"))
        return answer


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------- HTTP


class AioHttp:
    """The Http port over aiohttp. Connections are kept alive; `close` ends them.

    `trust` replaces the system's authorities, for servers with one of their own.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        trust: ssl.SSLContext | None = None,
        connect: Millis = CONNECT,
        total: Millis = TOTAL,
        names: NameResolver | None = None,
    ) -> None:
        self._clock = clock
        self._names = names or NameResolver(clock)
        self._trust = trust
        self._connect = connect
        self._total = total
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        body: bytes = b"",
        gate: Gate | None = None,
        allow_private: bool = True,
        largest: int = LARGEST_REPLY,
    ) -> Reply:
        """Send a request as the Http port promises; a reply whose body breaks off is returned as far as it came."""
        trip = Trip(gate)
        token = _trip.set(trip)
        try:
            async with self._clock.timeout(self._total):
                return await self._exchange(self._session(allow_private), method, url, headers, body, largest)
        except (GateClosed, NotSent, MaybeSent):
            raise
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as e:  # TimeoutError is an OSError
            said = _said(e)
            raise (MaybeSent(said) if trip.left else NotSent(said)) from e
        finally:
            _trip.reset(token)

    async def close(self) -> None:
        """Ends every connection; a later request opens new ones."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        largest: int,
    ) -> Reply:
        async with session.request(
            method, url, headers={"Accept-Encoding": "identity", **headers}, data=body or None, allow_redirects=False
        ) as response:
            received = await _read(response, self._clock, Millis(self._total // 2), largest)
        return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, received)

    def _session(self, allow_private: bool) -> aiohttp.ClientSession:
        """Made inside the running loop, one for any address and one that dials public ones only."""
        session = self._sessions.get(allow_private)
        if session is None:
            connector = Connector(
                self._clock,
                self._connect,
                resolver=self._names,
                ssl=self._trust or True,
                limit=0,
                keepalive_timeout=15,
                socket_factory=None if allow_private else _public_socket,
            )
            session = self._sessions[allow_private] = aiohttp.ClientSession(
                connector=connector,
                request_class=GatedRequest,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
                auto_decompress=False,
                trust_env=False,
            )
        return session


@dataclass(slots=True)
class Trip:
    """A request under way: its gate, and whether bytes of it may have left."""

    gate: Gate | None
    left: bool = False


_trip: ContextVar[Trip] = ContextVar("trip")


class GatedRequest(aiohttp.ClientRequest):
    """Looks at the gate with the connection in hand, and notes when the first byte may leave.

    aiohttp writes a request that has a body in a task of its own, a turn of the event loop after `send`: there,
    with nothing in between, is the place of the gate. A request without a body is written by `send` itself.
    """

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        trip = _trip.get()
        if trip.left:  # aiohttp repeats a GET whose kept-alive connection broke; we never do
            raise MaybeSent("the connection broke before an answer came")
        if not self.body:
            await self._pass(trip, conn)
        return await super().send(conn)

    async def write_bytes(self, writer: Any, conn: Any, content_length: int | None = None) -> None:
        trip = _trip.get()
        if not trip.left:
            try:
                await self._pass(trip, conn)
            except Exception as refused:  # noqa: BLE001  # whatever it is, it is for whoever waits for the response
                if conn.protocol is not None:
                    conn.protocol.set_exception(refused)
                return
        await super().write_bytes(writer, conn, content_length)

    async def _pass(self, trip: Trip, conn: Any) -> None:
        """Raises GateClosed, or NotSent when the connection went away meanwhile; then nothing was written."""
        if trip.gate is not None:
            await trip.gate()
        if conn.transport is None or conn.transport.is_closing():
            raise NotSent("the connection was closed before the request was written")
        trip.left = True


class Connector(aiohttp.TCPConnector):
    """Connecting (name, TCP and TLS) has a deadline of its own, on our clock."""

    def __init__(self, clock: Clock, deadline: Millis, **options: Any) -> None:
        super().__init__(**options)
        self._clock = clock
        self._deadline = deadline

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        async with self._clock.timeout(self._deadline):
            return await super().connect(req, traces, timeout)


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for this address, unless it is one of ours: checked on what is dialled, after the name was resolved."""
    family, kind, protocol, _, where = address
    if not is_public(where[0]):
        raise OSError(errno.EPERM, f"{where[0]} is a private address; write `allow_private: true` to allow it")
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not loopback, private, link-local, multicast or reserved."""
    try:
        ip: Any = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(ip)
    if inner is None and ip.version == 6 and ip not in _GLOBAL:
        return False
    return bool(ip.is_global and not ip.is_multicast) and (inner is None or is_public(str(inner)))


_GLOBAL = ipaddress.IPv6Network("2000::/3")  # all that IANA gives to the internet; beside it much is called global
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _inside(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64)."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


async def _read(response: aiohttp.ClientResponse, clock: Clock, within: Millis, room: int) -> bytes:
    """The body, at most `room` bytes; what came before it broke off or took too long: the status is the answer."""
    pieces: list[bytes] = []
    try:
        async with clock.timeout(within):
            async for piece in response.content.iter_any():
                pieces.append(piece[:room])
                room -= len(piece)
                if room <= 0:
                    response.close()
                    break
    except (aiohttp.ClientError, OSError):
        response.close()
    return b"".join(pieces)


def _said(error: BaseException) -> str:
    """The error for people. Never the path of a URL: it may hold a secret."""
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "the address is not a usable http or https URL"
        case aiohttp.ConnectionTimeoutError():
            return "connecting took too long"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ServerDisconnectedError():
            return "the connection broke before an answer came"
        case _:
            return str(error) or type(error).__name__


# ------------------------------------------------------------------------------------------- SMTP

Security = Literal["none", "starttls", "tls"]


@dataclass(slots=True)
class AioSmtp:
    """The Mail port over aiosmtplib: one connection a message, the same deadlines as for HTTP.

    `trust` replaces the system's authorities, for servers with one of their own.
    """

    clock: Clock
    trust: ssl.SSLContext | None = None
    connect: Millis = CONNECT
    total: Millis = TOTAL
    names: NameResolver | None = None
    hostname: str = field(default_factory=lambda: _ehlo_name(socket.gethostname()))

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        username: str | None,
        password: str | None,
        sender: str,
        recipient: str,
        message: bytes,
        gate: Gate | None = None,
    ) -> str:
        """Send a mail as the Mail port promises. `permanent`: 5xx to the recipient; `account`: 5xx to our sign-in or
        sender.
        """
        letter = Letter(sender, recipient, message, gate)
        try:
            async with self.clock.timeout(self.total):
                client = await self._open(host, port, security, username, password)
                try:
                    answer = await letter.hand_over(client)
                    await self._part(client)
                finally:
                    client.close()
        except (aiosmtplib.SMTPException, OSError, ValueError) as e:
            if letter.taken:
                return letter.taken
            if letter.left:
                raise MaybeSent(_said(e)) from e
            raise NotSent(_said(e)) from e
        return answer

    async def _open(
        self, host: str, port: int, security: Security, username: str | None, password: str | None
    ) -> aiosmtplib.SMTP:
        """A greeted, secured and signed-in connection."""
        client = aiosmtplib.SMTP(
            hostname=host,
            sock=await self._dial(host, port),
            use_tls=security == "tls",
            start_tls=security == "starttls",
            tls_context=self._context() if security != "none" else None,
            local_hostname=self.hostname,
            timeout=None,
        )
        try:
            await client.connect()
            if username:
                await client.login(username, password or "")
        except aiosmtplib.SMTPResponseException as e:
            client.close()
            raise NotSent(f"{host} refused us: {_answer(e.code, e.message)}", account=e.code >= 500) from e
        except BaseException:
            client.close()
            raise
        return client

    async def _dial(self, host: str, port: int) -> socket.socket:
        """A connected socket to the first address that answers."""
        loop = asyncio.get_running_loop()
        self.names = self.names or NameResolver(self.clock)
        refused: OSError = OSError(f"{host} has no address")
        async with self.clock.timeout(self.connect):
            for family, kind, protocol, _, where in await self.names.addresses(host, port):
                dialled = socket.socket(family, kind, protocol)
                dialled.setblocking(False)
                try:
                    await loop.sock_connect(dialled, where)
                except OSError as e:
                    dialled.close()
                    refused = e
                except BaseException:
                    dialled.close()
                    raise
                else:
                    return dialled
        raise refused

    def prepare(self) -> None:
        """Load what the first mail would: its files may not open when descriptors are scarce."""
        self._context()

    def _context(self) -> ssl.SSLContext:
        """The trust given, or the system's, loaded once."""
        if self.trust is None:
            self.trust = ssl.create_default_context()
        return self.trust

    async def _part(self, client: aiosmtplib.SMTP) -> None:
        """QUIT, for politeness; the mail is delivered whatever comes of it."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with self.clock.timeout(GOODBYE):
                await client.quit()


@dataclass(slots=True)
class Letter:
    """A mail on its way. `left`: its content may have left; `taken`: the server's word that it has it."""

    sender: str
    recipient: str
    message: bytes
    gate: Gate | None
    left: bool = False
    taken: str = ""

    async def hand_over(self, client: aiosmtplib.SMTP) -> str:
        """The server's last answer. Raises NotSent for a refusal, at whatever point."""
        try:
            await client.mail(self.sender)
        except aiosmtplib.SMTPResponseException as e:
            raise NotSent(f"sender refused: {_answer(e.code, e.message)}", account=e.code >= 500) from e
        try:
            await client.rcpt(self.recipient)
        except aiosmtplib.SMTPResponseException as e:
            raise NotSent(f"recipient refused: {_answer(e.code, e.message)}", permanent=e.code >= 500) from e
        if self.gate is not None:
            await self.gate()
        self.left = True
        try:
            answer = await client.data(self.message)
        except aiosmtplib.SMTPResponseException as e:  # an answer, so it is sure: not taken
            raise NotSent(f"message refused: {_answer(e.code, e.message)}") from e
        self.taken = _answer(answer.code, answer.message)
        return self.taken


def _answer(code: int, text: str) -> str:
    return f"{code} {' '.join(text.split())}"


def _ehlo_name(name: str) -> str:
    """A name fit for EHLO (RFC 5321, 4.1.2); "localhost" where the machine's is not."""
    plain = name.encode("ascii", "ignore").decode().strip(".")
    return plain if plain and all(c.isalnum() or c in "-." for c in plain) else "localhost"

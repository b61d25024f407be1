"""A pretend mail server on aiosmtpd: keeps what it receives, refuses or vanishes as told.

By hand: `python -m tests.vendors.smtp --port 2525 --journal mails.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(frozen=True)
class Mail:
    sender: str
    recipient: str
    content: bytes
    tls: bool


@dataclass
class PretendMailServer:
    """Listens on 127.0.0.1; `port` 0 picks one. `trust` is what a client must trust for TLS.

    `security`: none, starttls or tls. `accounts`: user names and passwords; empty asks for none.
    The texts in `refuse_*` are answered instead of a yes. `vanish_after_data` cuts the connection when
    the content has been read and noted.
    """

    port: int = 0
    security: str = "none"
    accounts: Mapping[str, str] = field(default_factory=dict)
    refuse_sender: str = ""
    refuse_recipient: str = ""
    refuse_data: str = ""
    refuse_message: str = ""
    vanish_after_data: bool = False
    journal: Path | None = None
    mails: list[Mail] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    trust: ssl.SSLContext | None = None

    async def start(self) -> None:
        context = self._certificate() if self.security != "none" else None
        loop = asyncio.get_running_loop()
        self._sessions: set[_Server] = set()
        self._server = await loop.create_server(
            lambda: self._protocol(context, loop),
            "127.0.0.1",
            self.port,
            ssl=context if self.security == "tls" else None,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for session in list(self._sessions):
            with suppress(AttributeError):  # Python before 3.11.3, of an encrypted connection that is closed already
                session.abort()
            task = session._handler_coroutine
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _certificate(self) -> ssl.SSLContext:
        authority = trustme.CA()
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(served)
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        return served

    def _protocol(self, context: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop) -> _Server:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # aiosmtpd calls sign-in without STARTTLS unsafe; this is loopback
            session = _Server(
                self,
                hostname="pretend.example.org",
                tls_context=context if self.security == "starttls" else None,
                authenticator=self._signs_in if self.accounts else None,
                auth_required=bool(self.accounts),
                auth_require_tls=self.security == "starttls",
                loop=loop,
            )
        session.owner = self
        self._sessions.add(session)
        return session

    def _signs_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = self.accounts.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=right, handled=False)

    # what aiosmtpd asks of a handler

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if not self.refuse_sender:
            envelope.mail_from = address
        return self.refuse_sender or "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        self.recipients.append(address)
        if not self.refuse_recipient:
            envelope.rcpt_tos.append(address)
        return self.refuse_recipient or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse_message:
            return self.refuse_message
        content = envelope.original_content or b""
        for recipient in envelope.rcpt_tos:
            self._note(
                Mail(envelope.mail_from or "", recipient, content, session.ssl is not None or self.security == "tls")
            )
        if self.vanish_after_data:
            assert isinstance(server, _Server)
            server.abort()
        return "250 OK queued"

    def _note(self, mail: Mail) -> None:
        self.mails.append(mail)
        if self.journal is not None:
            line = {"from": mail.sender, "to": mail.recipient, "content": mail.content.decode("utf-8", "replace")}
            with self.journal.open("ab") as book:
                book.write(orjson.dumps(line) + b"\n")


class _Server(SMTP):
    owner: PretendMailServer

    def abort(self) -> None:
        """Cut the connection, if there is one."""
        if self.transport is not None:
            assert isinstance(self.transport, asyncio.WriteTransport)
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:
        if self.owner.refuse_data:
            await self.push(self.owner.refuse_data)
            return
        await super().smtp_DATA(arg)


async def _serve(options: argparse.Namespace) -> None:
    server = PretendMailServer(port=options.port, journal=options.journal)
    await server.start()
    print(f"a pretend mail server listens on 127.0.0.1:{server.port}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--journal", type=Path, default=None)
    asyncio.run(_serve(parser.parse_args()))

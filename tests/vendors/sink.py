"""A receiver of webhook pages: checks the signature, notes each request on receipt, answers as told.

By hand: `python -m tests.vendors.sink --port 8481 --secret SECRET --journal pages.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import orjson
from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One page as it arrived; `signed` says whether Tocsin-Signature was right."""

    body: dict[str, Any]
    signed: bool
    at: float


@dataclass(frozen=True)
class Answer:
    """How a request is answered. reset: the connection is cut once it was read; hang: never."""

    status: int = 200
    body: str = "{}"
    retry_after: int | str = 0
    date: str = ""
    delay: float = 0.0
    then: Literal["answer", "reset", "hang"] = "answer"


@dataclass
class WebhookSink:
    """Listens on 127.0.0.1; `port` 0 picks one; `url` is what the channel posts to."""

    port: int = 0
    secret: str = ""
    journal: Path | None = None
    pages: list[Received] = field(default_factory=list)
    scripted: list[Answer] = field(default_factory=list)  # for the next requests, one each
    otherwise: Answer = Answer()

    async def __aenter__(self) -> Self:
        self._news = asyncio.Condition()
        self._closing = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/page"

    async def until(self, true: Callable[[], Any], within: float = 5.0) -> None:
        """Waits until it holds; looked at after every page."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(true)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self._note(
            Received(orjson.loads(raw), self._is_signed(raw, request.headers.get("Tocsin-Signature", "")), time.time())
        )
        async with self._news:
            self._news.notify_all()
        answer = self.scripted.pop(0) if self.scripted else self.otherwise
        await asyncio.sleep(answer.delay)
        if answer.then == "reset" and request.transport is not None:
            request.transport.abort()
        if answer.then == "hang":
            await self._closing.wait()
        headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after else {}
        headers |= {"Date": answer.date} if answer.date else {}
        return web.Response(status=answer.status, text=answer.body, headers=headers)

    def _is_signed(self, raw: bytes, signature: str) -> bool:
        """`t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`."""
        parts = dict(part.split("=", 1) for part in signature.split(",") if "=" in part)
        at = parts.get("t", "")
        expected = hmac.new(self.secret.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, parts.get("v1", ""))

    def _note(self, page: Received) -> None:
        """In memory, and on disk before anything is answered."""
        self.pages.append(page)
        if self.journal is not None:
            with self.journal.open("ab") as book:
                book.write(orjson.dumps({"at": page.at, "signed": page.signed, "body": page.body}) + b"\n")


async def _serve(options: argparse.Namespace) -> None:
    async with WebhookSink(port=options.port, secret=options.secret, journal=options.journal) as sink:
        print(f"a webhook sink listens on {sink.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A receiver of webhook pages.")
    parser.add_argument("--port", type=int, default=8481)
    parser.add_argument("--secret", default="")
    parser.add_argument("--journal", type=Path, default=None, help="a file of JSON lines")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))

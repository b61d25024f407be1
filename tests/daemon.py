"""A real `tocsin serve` in a folder of its own, to be started, asked, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

TOCSIN = (sys.executable, "-m", "tocsin")
READY_WITHIN = 30.0
POLL = 0.02


async def until(ask: Callable[[], Any], *, within: float, what: str) -> Any:
    """What `ask` (which may be async) answered, as soon as that is true; a failure that says `what` was awaited after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = ask()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within:g} s still waiting for {what}; last answer: {answer!r}")
        await asyncio.sleep(POLL)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Daemon:
    """One daemon on a free port of 127.0.0.1; everything it writes stays below `folder`.

    `configuration` is YAML with `{port}`, `{database}` left open. `database` is a URL; the default is a
    SQLite file beside the configuration.
    """

    folder: Path
    configuration: str
    database: str = "sqlite:tocsin.db"
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    bearer: str = ""
    process: asyncio.subprocess.Process | None = None
    under: tuple[str, ...] = ()  # a command that starts it, as `prlimit …`

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = self.configuration.replace("{port}", str(self.port)).replace("{database}", self.database)
        self.main.write_text(text)

    @property
    def main(self) -> Path:
        return self.folder / "tocsin.yaml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything it has said so far, over all its starts."""
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ------------------------------------------------------------------------------ its life

    async def launch(self, **env: str) -> None:
        """Start the process; it need not be ready when this returns."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.under, *TOCSIN, "serve", "-c", str(self.main),
                cwd=self.folder, env=self._environment(env), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def start(self, **env: str) -> Daemon:
        """Start it and wait until it says it is ready."""
        await self.launch(**env)
        await self.until_ready()
        return self

    async def until_ready(self, within: float = READY_WITHIN) -> None:
        """Return once /readyz is 200; fail with its log when it dies first or `within` seconds pass."""
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                if self.process is not None and self.process.returncode is not None:
                    raise AssertionError(f"tocsin serve ended with {self.process.returncode}:\n{self.log[-4000:]}")
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            try:
                await until(ready, within=within, what=f"{self.url}/readyz to be 200")
            except AssertionError as missing:
                raise AssertionError(f"{missing}\n{self.log[-4000:]}") from None

    async def kill(self) -> None:
        """kill -9, and wait until the process is gone; nothing when it is gone already."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and its exit code; killed when it has not gone after 15 seconds."""
        try:
            async with asyncio.timeout(15):
                return await self._end(signal.SIGTERM)
        except TimeoutError:
            await self._end(signal.SIGKILL)
            raise AssertionError(f"tocsin serve did not stop within 15 s of SIGTERM:\n{self.log[-4000:]}") from None

    async def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
        return await self.process.wait()

    async def __aenter__(self) -> Daemon:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    # ------------------------------------------------------------------------------ talking to it

    async def command(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run `tocsin WORDS…` and return what it printed; a failure shows what it said."""
        process = await asyncio.create_subprocess_exec(
            *TOCSIN, *words,
            cwd=self.folder, env=self._environment({"TOCSIN_URL": self.url, "TOCSIN_TOKEN": self.bearer, **(env or {})}),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, wrong = await process.communicate()
        if process.returncode:
            raise AssertionError(
                f"tocsin {' '.join(words)} ended with {process.returncode}:\n{(said + wrong).decode()}"
            )
        return said.decode()

    async def token(self, *, role: str = "admin", user: str | None = None, name: str = "tests") -> str:
        """A fresh API token, made by `tocsin token create`; later calls of `ask` use it."""
        person = ["--user", user] if user else []
        said = await self.command("token", "create", "--name", name, "--role", role, *person, "-c", str(self.main))
        self.bearer = said.strip()
        return self.bearer

    async def ask(self, method: str, path: str, body: Any = None, *, bearer: str | None = None) -> tuple[int, Any]:
        """Status and decoded JSON (or text) of one request."""
        headers = {"Authorization": f"Bearer {self.bearer if bearer is None else bearer}"}
        payload = None
        if body is not None:
            payload = body if isinstance(body, bytes) else orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        limit = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(method, self.url + path, data=payload, headers=headers) as answer,
        ):
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if "json" in answer.content_type else raw.decode()

    async def get(self, path: str) -> Any:
        """The decoded answer of a GET that must be 200."""
        status, body = await self.ask("GET", path)
        assert status == 200, f"GET {path}: {status} {body}\n{self.log[-2000:]}"
        return body

    async def post(self, path: str, body: Any = None, *, bearer: str | None = None) -> Any:
        """The decoded answer of a POST that must be 2xx."""
        status, answer = await self.ask("POST", path, {} if body is None else body, bearer=bearer)
        assert 200 <= status < 300, f"POST {path}: {status} {answer}\n{self.log[-2000:]}"
        return answer

    async def every(self, path: str, kind: str) -> list[dict[str, Any]]:
        """All rows of a paged list: `kind` is the name of the list in the answer."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        joint = "&" if "?" in path else "?"
        while True:
            answer = await self.get(f"{path}{joint}limit=200{cursor}")
            rows += answer[kind]
            if not answer.get("next"):
                return rows
            cursor = f"&cursor={answer['next']}"

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Ours, without what would let it find another configuration or state."""
        strays = ("TOCSIN_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "LISTEN_", "XDG_CONFIG_HOME")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strays)}
        return {**kept, "PYTHONUNBUFFERED": "1", **self.env, **extra}

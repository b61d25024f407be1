"""Each promise is tested on each store: SQLite with its thread, SQLite inline, PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.store.facts import T0
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Store
from tocsin.model import Instant, Millis
from tocsin.store import open_store
from tocsin.store.postgres import PostgresStore
from tocsin.store.sqlite import SqliteStore

AnyStore = SqliteStore | PostgresStore
KINDS = ("sqlite", "inline", "postgres")


class StillClock(VirtualClock):
    """Stands still; whoever sleeps wakes at once, and the time has passed."""

    async def sleep(self, length: Millis) -> None:  # the retries' pauses are no business of the tests
        self.advance_to(Instant(self.now() + length))


@pytest.fixture
def clock() -> StillClock:
    return StillClock(T0)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:{tmp_path}/tocsin.db"


Opener = Callable[..., Awaitable[Store]]


@pytest.fixture
async def open_it(kind: str, url: str, clock: StillClock) -> AsyncIterator[Opener]:
    """Opens the store under test, as often as asked; closes what is still open."""
    opened: list[Store] = []

    async def open_one(**how: Any) -> Store:
        runner = "inline" if kind == "inline" else "thread"
        given: dict[str, Any] = {"clock": clock, "chance": SeededChance(1), "runner": runner, **how}
        opened.append(await open_store(url, **given))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_it: Opener) -> Store:
    return await open_it()

"""Towns for the stories of this folder; each ends with its test, without an error that was not announced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.walk.town import Town

Build = Callable[..., Awaitable[Town]]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """`await build(yaml)`: a town with these sections laid over its own configuration."""
    towns: list[Town] = []
    with structlog.testing.capture_logs() as logs:

        async def make(config: str = "", **how: Any) -> Town:
            folder = tmp_path / f"town{len(towns)}"
            folder.mkdir(exist_ok=True)  # a story may have put files there
            town = await Town.open(folder, config, **how)
            town.logs = logs
            towns.append(town)
            return town

        yield make
        for town in towns:
            await town.end()
            assert town.errors == []


@pytest.fixture
async def town(build: Build) -> Town:
    """The town as it is: Ana on call, Bo next, Grace the catch-all; each with a phone for SMS."""
    return await build()

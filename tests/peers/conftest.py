"""Each story on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Server, running_server


@pytest.fixture(scope="package")
def postgresql() -> Iterator[Server]:
    """One server for all stories of this folder."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return "sqlite:tocsin.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.database()

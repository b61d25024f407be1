"""Each story on each database."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return "sqlite:tocsin.db"
    url: str = request.getfixturevalue("postgres_url")
    return url

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from tests.web.fakes import FakeDaemon

from tocsin.web.app import make_app


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def client(aiohttp_client: Any, daemon: FakeDaemon) -> TestClient:
    return await aiohttp_client(make_app(daemon))

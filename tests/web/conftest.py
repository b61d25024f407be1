from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tests.web.fakes import FakeDaemon
from tocsin.web.app import make_app
from tocsin.wiring import Daemon

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, daemon: FakeDaemon | Daemon) -> Client:
    """A client of that daemon's doors; it keeps its cookies."""
    return await aiohttp_client(make_app(daemon.whole if isinstance(daemon, FakeDaemon) else daemon))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, line by line, by structlog and by libraries alike."""
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    caplog.set_level(logging.INFO)
    yield caplog
    structlog.reset_defaults()

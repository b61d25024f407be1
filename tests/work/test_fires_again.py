"""An alert that fires again right behind its end is news, not a repeat: what is remembered must not outlive the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.model import Actor, Alert, IntegrationConfig, Parsed
from tocsin.settings import load
from tocsin.wiring import Daemon

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "sqlite:tocsin.db"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}]}}
"""
ANA = Actor("user", "ana")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A whole daemon on SQLite with its own thread; only its doors are shut."""
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION)
    one = Daemon(load(tmp_path / "tocsin.yaml", env={}))
    await one.start(listen=False)
    yield one
    await one.stop()


def apps(daemon: Daemon) -> IntegrationConfig:
    return daemon.runtime.settings.integrations["apps"]


def disk_full() -> Parsed:
    return Parsed((Alert("firing", "disk", title="disk full"),))


async def at_rest(daemon: Daemon) -> bool:
    """Nothing waits for the writer: the page of incident 1 is out and that is kept."""
    pages = await daemon.store.pages(1)
    return bool(pages) and all(page.status == "done" for page, _ in pages)


async def test_an_alert_that_fires_as_its_incident_is_resolved_opens_a_new_one(daemon: Daemon) -> None:
    await daemon.intake.take(apps(daemon), b"{}", disk_full())
    await until(lambda: at_rest(daemon), within=5, what="the page to be out")

    resolved, again = await asyncio.gather(
        daemon.actions.resolve(1, ANA, "api"), daemon.intake.take(apps(daemon), b"{}", disk_full())
    )

    assert resolved.incident.status == "resolved"
    assert again.incidents == (2,)

"""docs/architecture.md is true: its files exist, each room has its paragraph, and both ways are those that are run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.daemon import free_port, until
from tests.footsteps import footsteps
from tests.vendors.twilio import ACCOUNT, NUMBER, TOKEN, PretendTwilio, Sms
from tocsin.clock import SeededChance, VirtualClock
from tocsin.model import Instant
from tocsin.settings import load
from tocsin.transport import AioHttp, AioSmtp
from tocsin.wiring import Daemon, Ports

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = (ROOT / "daemon" / "tocsin", ROOT / "integrations" / "tocsin_integrations")
NAMED = sorted(set(re.findall(r"[\w./*]+\.py\b", PAGE)))
AT_MOST = 14

ANA = "+351210000001"
MONDAY_NOON = 1_767_614_400_000
CONFIGURATION = f"""
server: {{listen: "127.0.0.1:PORT", public_url: "http://127.0.0.1:PORT"}}
database: {{url: "sqlite:tocsin.db"}}
catch_all: [user:ana]
defaults: {{timezone: UTC, policy: default}}
integrations: {{prometheus: {{type: alertmanager, token: am-token}}}}
channels:
  sms: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: {TOKEN}, from: "{NUMBER}", api_base: "TWILIO"}}
users: {{ana: {{name: Ana Pires, timezone: UTC, contacts: {{sms: "{ANA}"}}}}}}
schedules:
  primary: {{timezone: UTC, layers: [{{name: week, users: [ana], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}]}}
policies: {{default: {{steps: [{{notify: [schedule:primary], wait: 5m}}]}}}}
"""
POST = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "TillDown", "severity": "critical"},
            "annotations": {},
            "startsAt": "2026-01-05T11:59:00Z",
            "fingerprint": "0123456789abcdef",
        }
    ],
}


# ------------------------------------------------------------------------------------- the tree


def test_each_file_that_is_named_exists() -> None:
    known = [str(file.relative_to(package)) for package in PACKAGES for file in package.rglob("*.py")] + [
        str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("*.py")
    ]

    assert [name for name in NAMED if not any(file == name or file.endswith(f"/{name}") for file in known)] == []


def test_each_room_has_its_paragraph_and_none_is_of_a_room_that_is_gone() -> None:
    rooms = {
        str(init.parent.relative_to(package)) if init.parent != package or package is PACKAGES[0] else package.name
        for package in PACKAGES
        for init in package.rglob("__init__.py")
    }
    told = re.findall(r"^\*\*`([\w./]+?)/?`\*\* \S", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(rooms)


# ------------------------------------------------------------------------------------- the ways


def chapter_of(name: str) -> str:
    [body] = [part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(name)]
    return body


def way(chapter: str) -> list[str]:
    """The file that each step of a chapter begins with."""
    body = chapter_of(chapter)
    return re.findall(r"^\d+\. `([\w/]+\.py)`", body, re.MULTILINE)


@pytest.fixture
async def twilio() -> AsyncIterator[PretendTwilio]:
    async with PretendTwilio(deliver=()) as twilio:  # no word of its own of what became of an SMS
        yield twilio


@pytest.fixture
async def daemon(tmp_path: Path, twilio: PretendTwilio) -> AsyncIterator[Daemon]:
    """A whole daemon that listens; its time stands still, so that nothing runs but what the test asks for."""
    main = tmp_path / "tocsin.yaml"
    main.write_text(CONFIGURATION.replace("PORT", str(free_port())).replace("TWILIO", twilio.url))
    main.chmod(0o600)
    clock = VirtualClock(Instant(MONDAY_NOON))
    ports = Ports(clock, SeededChance(1), AioHttp(clock), AioSmtp(clock), lambda text: None)
    daemon = Daemon(load(main, env={}), ports=ports, env={})
    await daemon.start(listen=True)
    await until(nothing_runs, within=20, what="the start to be over")
    yield daemon
    await daemon.stop()


async def alert(daemon: Daemon, twilio: PretendTwilio) -> Sms:
    url = f"http://127.0.0.1:{daemon.port}/v1/webhooks/prometheus"
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, json=POST, headers={"Authorization": "Bearer am-token"}) as answer,
    ):
        assert answer.status == 202
    sms = await twilio.next_sms(ANA, within=20)
    await until(nothing_runs, within=20, what="the outcome of the page to be kept")
    return sms


async def nothing_runs() -> bool:
    """Whether the daemon has done all that it had to do before the next alert."""
    with footsteps() as order:
        await asyncio.sleep(0.05)
    return order == []


def in_order(named: list[str], order: list[str]) -> list[str]:
    """Those of `named` that were entered, as they were entered first."""
    entered = [step.removeprefix("tocsin_integrations/") for step in order]
    return [step for step in entered if step in named]


@pytest.mark.parametrize("chapter", ["The way of one alert", "The way of one answer"])
def test_a_way_is_told_in_few_files(chapter: str) -> None:
    assert 5 < len(set(re.findall(r"[\w./]+\.py\b", chapter_of(chapter)))) <= AT_MOST


async def test_one_alert_takes_the_way_that_is_told(daemon: Daemon, twilio: PretendTwilio) -> None:
    named = way("The way of one alert")

    with footsteps() as order:
        await alert(daemon, twilio)

    assert in_order(named, order) == named


async def test_one_answer_takes_the_way_that_is_told(daemon: Daemon, twilio: PretendTwilio) -> None:
    named = way("The way of one answer")
    twilio.sms_url = f"http://127.0.0.1:{daemon.port}/v1/callbacks/twilio/sms"
    sms = await alert(daemon, twilio)

    with footsteps() as order:
        said = await twilio.text(ANA, sms.sender, "ACK")

    assert said is not None
    assert "acknowledged by you" in said
    assert in_order(named, order) == named


def test_a_file_that_is_not_run_would_be_seen() -> None:
    assert in_order(["a.py", "b.py"], ["b.py", "c.py", "tocsin_integrations/a.py"]) == ["b.py", "a.py"]
    assert in_order(["a.py", "b.py"], ["a.py"]) == ["a.py"]

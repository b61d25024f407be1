"""What waits for people who left is told by `tocsin check`; when a token was last used, by `tocsin token list`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.test_serve import command
from tests.daemon import Daemon

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
integrations: {demo: {type: webhook, token: 4f9d2c7be1a05836dd10c4f2a7b9e683}}
channels: {terminal: {type: console}}
users:
  ana: {name: Ana, role: admin, contacts: {terminal: Ana}}
  bo: {name: Bo, role: admin, contacts: {terminal: Bo}}
  cy: {name: Cy, contacts: {terminal: Cy}}
schedules: {primary: {layers: [{users: [ana]}]}}
policies: {default: {steps: [{notify: [schedule:primary, user:cy]}]}}
defaults: {policy: default}
catch_all: [user:ana]
"""


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    one = Daemon(tmp_path, CONFIGURATION)
    yield one
    await one.kill()


async def test_what_waits_for_somebody_who_left_is_told(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.token(user="bo", name="bo's laptop")
    await daemon.post("/v1/webhooks/demo", {"title": "x"}, bearer="4f9d2c7be1a05836dd10c4f2a7b9e683")
    await daemon.post("/v1/incidents/1/acknowledge")
    await daemon.command("override", "add", "primary", "-u", "bo", "--from", "Tue 06:00", "--to", "Wed 06:00")
    await daemon.command(
        "swap",
        "ask",
        "primary",
        "--with",
        "bo",
        "--from",
        "2031-01-01 09:00",
        "--to",
        "2031-01-02 09:00",
        "--by",
        "ana",
    )
    listed = await daemon.command("token", "list", "--json", "-c", "tocsin.yaml")
    before = await daemon.command("check", "--json", "-c", "tocsin.yaml")
    daemon.main.write_text(
        "\n".join(line for line in daemon.main.read_text().splitlines() if not line.startswith("  bo:"))
    )

    _, said, _ = await command(daemon, "check", "--json", "-c", "tocsin.yaml")
    found = [one["message"] for one in json.loads(said)["problems"] if one["code"] == "left-behind"]

    assert "left-behind" not in before
    assert [one["last_used_at"] is not None for one in json.loads(listed)["tokens"]] == [True]
    assert sorted(message.split()[1] if message.startswith("the") else "INC" for message in found) == [
        "INC",
        "override",
        "swap",
        "token",
    ]
    assert all("bo" in message for message in found)

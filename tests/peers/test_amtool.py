"""amtool, as it comes with Debian's prometheus-alertmanager, pointed at Tocsin with one of our tokens."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from tests.daemon import Daemon

AMTOOL = shutil.which("amtool") or ""
CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}]}}
"""


async def amtool(daemon: Daemon, *words: str, token: str = "") -> str:
    url = f"--alertmanager.url=http://ana:{token or daemon.bearer}@127.0.0.1:{daemon.port}"
    process = await asyncio.create_subprocess_exec(
        AMTOOL, url, *words, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=daemon.folder,
        env={"HOME": str(daemon.folder)},
    )  # fmt: skip
    said, wrong = await process.communicate()
    assert process.returncode == 0, (said + wrong).decode()
    return said.decode()


@pytest.mark.peers
async def test_amtool_adds_finds_and_expires_a_silence(tmp_path: Path, database: str) -> None:
    assert AMTOOL, "amtool is not installed"
    async with Daemon(tmp_path, CONFIGURATION, database) as daemon:
        await daemon.token(role="responder", user="ana")
        alert = {
            "title": "disk full",
            "dedup_key": "d",
            "status": "firing",
            "labels": {"instance": "gw-01", "env": "prod"},
        }
        await daemon.post("/v1/webhooks/apps", alert, bearer="apps-token")

        added = await amtool(
            daemon,
            "silence",
            "add",
            "env=prod",
            "instance=~gw-0.*",
            "--comment=kernel",
            "--duration=2h",
            "--author=mira",
        )
        id = added.strip()
        [kept] = orjson.loads(await amtool(daemon, "silence", "query", "-o", "json", "env=prod"))
        assert (kept["id"], kept["comment"], kept["createdBy"]) == (id, "kernel", "mira (ana)")
        assert kept["matchers"] == [
            {"isEqual": True, "isRegex": False, "name": "env", "value": "prod"},
            {"isEqual": True, "isRegex": True, "name": "instance", "value": "gw-0.*"},
        ]
        [incident] = (await daemon.get("/v1/incidents"))["incidents"]
        assert incident["muted_by"] == f"silence:{id}"
        assert orjson.loads(await amtool(daemon, "alert", "query", "-o", "json")) == []
        [silenced] = orjson.loads(await amtool(daemon, "alert", "query", "-s", "-o", "json"))
        assert silenced["labels"]["alertname"] == "disk full"

        await amtool(daemon, "silence", "update", "--comment=longer", "--duration=3h", id)
        assert orjson.loads(await amtool(daemon, "silence", "query", "-o", "json"))[0]["comment"] == "longer"
        await amtool(daemon, "silence", "expire", id)
        assert orjson.loads(await amtool(daemon, "silence", "query", "-o", "json")) == []
        assert (await daemon.get("/v1/incidents"))["incidents"][0]["muted_by"] is None
        assert "receiver: tocsin" in await amtool(daemon, "config", "show")

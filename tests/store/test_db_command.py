"""`tocsin db` as a person's shell runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.facts import T0, incident, there
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Tx
from tocsin.model import Incident
from tocsin.store import open_reader, open_store

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
server: {{listen: 127.0.0.1:0}}
database: {{url: "{url}"}}
defaults: {{policy: default}}
catch_all: [user:ana]
channels: {{terminal: {{type: console}}}}
users: {{ana: {{name: Ana, timezone: UTC, contacts: {{terminal: here}}}}}}
policies: {{default: {{steps: [{{notify: [user:ana]}}]}}}}
"""


@pytest.fixture
def tocsin(tmp_path: Path) -> Run:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin", "db", *args, "-c", "tocsin.yaml"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return run


async def fill(url: str, number: int) -> None:
    store = await open_store(url, clock=VirtualClock(T0), chance=SeededChance(1))

    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(number)])

    await store.write(work)
    await store.close()


async def seen(url: str) -> tuple[Incident | None, Incident | None, str | None]:
    reader = await open_reader(url, VirtualClock(T0))
    try:
        return await reader.incident(1), await reader.incident(2), await reader.meta("quarantine")
    finally:
        await reader.close()


def answered(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


async def walk(tocsin: Run, url: str, folder: Path) -> None:
    """Back up, go on, bring back, confirm: the same story on both databases."""
    (folder / "tocsin.yaml").write_text(CONFIG.format(url=url))
    assert " yet" in answered(tocsin("verify"), 3)
    assert "up to date" in answered(tocsin("migrate"))
    await fill(url, 1)
    assert "a copy of" in answered(tocsin("backup", "copy"))
    assert "exists already" in answered(tocsin("backup", "copy"), 1)
    await fill(url, 2)
    assert "in quarantine: nobody is paged" in answered(tocsin("restore", "copy"))
    one, two, quarantine = await seen(url)
    assert (there(one).number, two) == (1, None)
    assert quarantine is not None
    assert quarantine.startswith("restored from copy at 20")
    shown = json.loads(answered(tocsin("verify", "--json")))
    assert shown == {"database": shown["database"], "problems": [], "quarantine": quarantine}
    assert "it pages again" in answered(tocsin("restore", "--confirm"))
    assert not (await seen(url))[2]
    assert answered(tocsin("verify")).strip().endswith(": sound")


async def test_the_walk_on_sqlite(tocsin: Run, tmp_path: Path) -> None:
    await walk(tocsin, f"sqlite:{tmp_path}/tocsin.db", tmp_path)
    assert "kept as" not in answered(tocsin("restore"), 2)
    assert (tmp_path / "tocsin.db.replaced-1").exists()


@pytest.mark.peers
async def test_the_walk_on_postgres(tocsin: Run, tmp_path: Path, postgres_url: str) -> None:
    await walk(tocsin, postgres_url, tmp_path)


async def test_a_damaged_database_is_told_with_exit_code_1(tocsin: Run, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/tocsin.db"
    (tmp_path / "tocsin.yaml").write_text(CONFIG.format(url=url))
    await fill(url, 1)
    with (tmp_path / "tocsin.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    assert json.loads(answered(tocsin("verify", "--json"), 1))["problems"]


async def test_while_a_daemon_holds_the_database_it_is_left_alone(tocsin: Run, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/tocsin.db"
    (tmp_path / "tocsin.yaml").write_text(CONFIG.format(url=url))
    store = await open_store(url, clock=VirtualClock(T0), chance=SeededChance(1))
    answered(tocsin("backup", "copy"))
    for command in (("migrate",), ("restore", "copy"), ("restore", "--confirm")):
        assert f"process {os.getpid()} is using it" in answered(tocsin(*command), 3)
    await store.close()

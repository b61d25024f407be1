"""The README's commands, run as written, in a copy of the checkout on a port of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.daemon import free_port, until

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def clone(tmp_path: Path) -> AsyncIterator[tuple[Callable[[str], str], Path]]:
    """A fresh clone with the starter being served; runs a block of the README's shell there."""
    port = free_port()
    for folder in ("daemon", "integrations", "config", "rules"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    main = tmp_path / "config" / "tocsin.yaml"
    main.write_text(main.read_text().replace("8420", str(port)))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    command = tmp_path / ".venv" / "bin" / "tocsin"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tocsin "$@"\n')
    command.chmod(0o755)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": f"{tmp_path / 'daemon'}:{tmp_path / 'integrations'}",
        "PYTHONUNBUFFERED": "1",
    }

    def run(block: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", block.replace("8420", str(port))],
            cwd=tmp_path,
            env=env | {"TOCSIN_URL": f"http://127.0.0.1:{port}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [command, "serve", "-c", "config/tocsin.yaml"], cwd=tmp_path, env=env, stdout=log, stderr=log
        )
    try:
        await _until_ready(port, daemon, tmp_path / "log")
        yield run, tmp_path
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.slow
async def test_what_the_readme_says_is_true(clone: tuple[Callable[[str], str], Path]) -> None:
    run, folder = clone
    post, answer, woken, check = blocks("sh")
    (rule,) = blocks("yaml")

    posted = run(post)
    await until(lambda: "PAGE INC 1" in (folder / "log").read_text(), within=20, what="a page on the terminal")
    answered = run(answer)
    foretold = run(woken)
    (folder / "rules" / "mine.yaml").write_text(rule)
    reloaded = run(check)
    staging = run(
        """curl -d '{"title": "x", "labels": {"env": "staging-3"}}' 'http://127.0.0.1:8420/v1/webhooks/demo?token=demo'"""
    )

    assert posted.strip() == '{"accepted":1,"incidents":[1],"rejected":[]}'
    assert "db down" in answered
    assert "acknowledged" in answered
    assert "resolved" in answered
    assert "rules +2" in reloaded
    (shown,) = blocks("text")
    assert [line for line in masked(shown) if line not in masked(foretold)] == []
    assert staging.strip() == '{"accepted":1,"incidents":[],"rejected":[]}'


def masked(text: str) -> list[str]:
    """The lines of an answer without what another week changes: dates, who has the shift, their clocks."""
    lines = [line for line in text.splitlines() if line.strip() not in ("", "…")]
    return [
        " ".join(re.sub(pattern, word, line).split()) for line in map(_first_clock, lines) for pattern, word in MASK
    ]


MASK = ((r"(Ana Pires \(ana\)|Bo Lindqvist \(bo\))|turn \d+|\w{3} \d{4}-\d\d-\d\d", "…"),)


def _first_clock(line: str) -> str:
    """The second time of a line is the person's own, which moves with the season."""
    first, *others = re.split(r"(?=\w{3} \d{4}-\d\d-\d\d \d\d:\d\d)", line)
    kept = [re.sub(r"\d\d:\d\d", "…", other) if number else other for number, other in enumerate(others)]
    return first + "".join(kept)


async def _until_ready(port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    async with aiohttp.ClientSession() as session:

        async def ready() -> bool:
            assert daemon.poll() is None, log.read_text()
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(ready, within=40, what="the daemon to be ready")

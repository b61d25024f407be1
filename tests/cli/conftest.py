"""A scripted daemon, and the command line as a person's shell runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.scripted import Scripted, scripted

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def daemon() -> Iterator[Scripted]:
    with scripted() as story:
        yield story


@pytest.fixture
def tocsin(tmp_path: Path) -> Run:
    """Runs `tocsin ARGS` in an empty folder, with an environment that holds nothing of this machine's."""

    def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin", *args],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TZ": "Europe/Lisbon", "PYTHONUTF8": "1", **env},
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    return run

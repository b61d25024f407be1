"""The plug-in of docs/plug-ins.md, installed as it stands there: its tests pass, and Tocsin finds it by its entry points."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "plug-ins.md").read_text()
FILES = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
READING = '{"readings": [{"sensor": "door", "ok": false, "text": "open at night"}]}'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the manual in a folder, installed by pip into `site` beside them."""
    folder = tmp_path_factory.mktemp("pigeon")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    run(folder, *pip, "--target", str(folder / "site"), str(folder))
    return folder


def run(folder: Path, *command: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(folder / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOFT_TOKEN": "loft-token",
        "PIGEON_KEY": "coo",
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_manual_has_the_whole_plug_in() -> None:
    assert set(FILES) == {
        "pyproject.toml", "tocsin_pigeon/__init__.py", "tocsin_pigeon/source.py", "tocsin_pigeon/channel.py",
        "tests/test_pigeon.py", "tocsin.yaml",
    }  # fmt: skip


def test_its_own_tests_pass(project: Path) -> None:
    said = run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")

    assert "5 passed" in said


def test_it_keeps_strict_types(project: Path) -> None:
    run(project, sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "tocsin_pigeon")


def test_a_configuration_may_name_both(project: Path) -> None:
    run(project, sys.executable, "-m", "tocsin", "check", "-c", "tocsin.yaml")


def test_explain_says_whom_the_pigeon_wakes(project: Path) -> None:
    (project / "door.json").write_text(READING)

    said = run(
        project, sys.executable, "-m", "tocsin", "explain", "door.json", "--integration", "attic", "-c", "tocsin.yaml"
    )

    assert "attic: open at night" in said
    assert "pigeon" in said

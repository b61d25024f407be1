"""What is installed: two packages, the shipped files, a command; and the starter runs from there, read-only."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import aiohttp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.daemon import free_port, until

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip installs it, in a folder of its own that goes before the checkout."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder), str(wheel)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_only_our_two_names_land_in_site_packages(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"tocsin", "tocsin_integrations"}


def test_the_wheel_ships_what_runs_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    for name in (
        "tocsin/shipped/config/tocsin.yaml",
        "tocsin/shipped/systemd/tocsin.service",
        "tocsin/py.typed",
        "tocsin_integrations/py.typed",
    ):
        assert name in names
    for folder, pattern in (("rules", "*.yaml"), ("config", "*.yaml")):
        assert {f"tocsin/shipped/{folder}/{file.name}" for file in (ROOT / folder).glob(pattern)} <= names
    for package in ("daemon/tocsin", "integrations/tocsin_integrations"):
        wanted = {
            str(file.relative_to(ROOT / package.partition("/")[0]))
            for file in (ROOT / package).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        assert wanted <= names
    assert not [name for name in names if "test" in name.partition("/")[0]]


@pytest.mark.parametrize(
    ("lock", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_a_lock_holds_what_is_declared(lock: str, groups: list[str]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    versions = {canonicalize_name(name): version for name, version in locked}
    texts = [
        *declared["project"]["dependencies"],
        *(text for group in groups for text in declared["dependency-groups"][group]),
    ]
    wanted = [Requirement(text) for text in texts]

    assert [
        str(one) for one in wanted if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"))
    ] == []


def test_what_runs_is_what_is_tested() -> None:
    """Both locks are of one resolution: what stands in the first stands in the second, with the same hashes."""
    ran, tested = (
        set(re.split(r"\n(?=\w)", (ROOT / name).read_text().strip()))
        for name in ("requirements.lock", "requirements-dev.lock")
    )

    assert sorted(entry.split()[0] for entry in ran - tested) == []


def test_the_licence_travels_with_it(wheel: Path) -> None:
    licences = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("licenses/LICENSE")]

    assert len(licences) == 1
    assert b"Apache License" in zipfile.ZipFile(wheel).read(licences[0])


def test_the_version_is_the_same_everywhere(wheel: Path, installed: Path) -> None:
    written = re.search(r'^__version__ = "(.+)"$', (ROOT / "daemon/tocsin/__init__.py").read_text(), re.MULTILINE)
    assert written is not None

    said = _run(installed, "--version", cwd=installed)

    assert said.stdout == f"tocsin {written[1]}\n"
    assert f"-{written[1]}-" in wheel.name


@pytest.mark.slow
async def test_the_starter_serves_from_a_read_only_installation(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    for file in (installed / "tocsin" / "shipped" / "config").glob("*.yaml"):
        file.write_text(file.read_text().replace("8420", str(port)))
    _read_only(installed)
    before = _tree(installed)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin", "demo", "--fast"),
        cwd=tmp_path,
        env=_env(installed, tmp_path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with aiohttp.ClientSession() as session:
            await until(lambda: _ready(session, process, port), within=40, what="the starter to be ready")
        acked = await until(lambda: _acked(installed, tmp_path, port), within=20, what="incident 1 to be acknowledged")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.wait_for(process.communicate(), 30)

    assert "INC 1" in acked
    assert process.returncode == 0, said.decode()
    assert _tree(installed) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tocsin"]
    assert (tmp_path / ".tocsin" / "token").stat().st_mode & 0o777 == 0o600


async def _ready(session: aiohttp.ClientSession, process: asyncio.subprocess.Process, port: int) -> bool:
    if process.returncode is not None:
        assert process.stdout is not None
        raise AssertionError(f"it ended:\n{(await process.stdout.read()).decode()}")
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _acked(installed: Path, folder: Path, port: int) -> str:
    done = await asyncio.to_thread(
        _run, installed, "ack", "1", cwd=folder, TOCSIN_URL=f"http://127.0.0.1:{port}", HOME=str(folder)
    )
    return done.stdout if done.returncode == 0 else ""


def _run(installed: Path, *args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *args],
        cwd=cwd,
        env=_env(installed, cwd) | env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _env(installed: Path, home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(installed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _read_only(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}

"""Whatever the configuration becomes while the daemon runs or sleeps: it pages on, with the last good one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.test_serve import CONFIGURATION, command
from tests.daemon import Daemon, until
from tests.settings.hostile import CHAIN, DEEP
from tocsin import settings
from tocsin.cli.serve import usable

GOOD = CONFIGURATION + "catch_all: [user:ana]\n"
DEEPLY = f"rules: [{{name: deep, set: {{title: '{{{{ {DEEP} }}}}'}}}}]\n"
CHAINED = f"rules: [{{name: chain, set: {{title: '{{{{ title{CHAIN} }}}}'}}}}]\n"
MONDAY = 'maintenance: [{name: m, match: \'a="b"\', every: "Monday 02:00", for: 2h}]\n'


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    one = Daemon(tmp_path, GOOD)
    yield one
    await one.kill()


def without(text: str, section: str) -> str:
    """The text less one section."""
    kept, skipping = [], False
    for line in text.splitlines(keepends=True):
        skipping = line.startswith(section) or (skipping and line.startswith(" "))
        kept += [] if skipping else [line]
    return "".join(kept)


LOST: dict[str, tuple[Callable[[str], str], str]] = {
    "emptied": (lambda text: "", "users, catch_all, integrations"),
    "cut off": (lambda text: text[: text.index("integrations:")], "users, catch_all, integrations"),
    "a comment": (lambda text: "# moved to another place\n", "users, catch_all, integrations"),
    "no catch-all": (lambda text: without(text, "catch_all"), "catch_all"),
    "no integrations": (lambda text: without(text, "integrations"), "integrations"),
    "no users": (
        lambda text: without(without(without(without(text, "users"), "policies"), "defaults"), "catch_all"),
        "users, catch_all",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ["emptied", "no integrations"])
async def test_a_start_with_a_configuration_that_lost_everybody_goes_on_with_the_last_good_one(
    daemon: Daemon, how: str
) -> None:
    await daemon.start()
    await daemon.stop()
    good, kept = daemon.main.read_text(), daemon.folder / ".tocsin" / "last-good.json"
    copy = kept.read_bytes()
    change, lost = LOST[how]
    daemon.main.write_text(change(good))

    await daemon.start()
    posted = await daemon.post("/v1/webhooks/demo", {"title": "it burns", "severity": "critical"}, bearer="demo")
    await until(lambda: "it burns" in daemon.log, within=20, what="the page")
    health = await daemon.get("/readyz")

    assert posted["accepted"] == 1
    assert health["status"] == "degraded"
    assert f"it has nothing left of {lost}; if that is meant: tocsin reload --yes" in health["checks"]["configuration"]
    assert "RUNNING ON THE LAST GOOD CONFIGURATION" in daemon.log
    assert kept.read_bytes() == copy


@pytest.mark.parametrize("how", LOST)
def test_whoever_lost_everybody_is_told_how_to_mean_it(tmp_path: Path, how: str) -> None:
    main = tmp_path / "tocsin.yaml"
    main.write_text(GOOD.replace("{port}", "8420").replace("{database}", "sqlite:tocsin.db"))
    good = settings.load(main)
    settings.LastGood(tmp_path / ".tocsin", main).keep(good)
    change, lost = LOST[how]
    main.write_text(change(main.read_text()))

    assert usable(main)[0].settings == good.settings
    assert usable(main)[1].startswith(f"it has nothing left of {lost}; if that is meant: tocsin reload --yes")
    assert usable(main, yes=True)[1] == ""


@pytest.mark.parametrize("how", ["no catch-all", "no integrations"])
async def test_a_reload_that_leaves_nothing_of_a_section_must_be_meant(daemon: Daemon, how: str) -> None:
    await daemon.start()
    kept = daemon.folder / ".tocsin" / "last-good.json"
    copy = kept.read_bytes()
    change, lost = LOST[how]
    daemon.main.write_text(change(daemon.main.read_text()))

    refused = await command(daemon, "reload", "-c", "tocsin.yaml")
    unchanged = kept.read_bytes() == copy
    meant = await command(daemon, "reload", "--yes", "-c", "tocsin.yaml")

    assert refused[0] == 1
    assert f"this would leave nothing of: {lost}; if it is meant: tocsin reload --yes" in refused[2]
    assert unchanged
    assert meant[0] == 0, meant
    assert kept.read_bytes() != copy


async def test_a_start_that_is_meant_serves_it_and_keeps_it(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.stop()
    daemon.main.write_text(without(daemon.main.read_text(), "catch_all"))

    refused, _ = usable(daemon.main)
    meant, because = usable(daemon.main, yes=True)

    assert refused.settings is not None
    assert meant.settings is not None
    assert refused.settings.catch_all
    assert (meant.settings.catch_all, because) == ((), "")


def replaced(main: Path, make: Callable[[Path], object]) -> None:
    main.unlink()
    make(main)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "deep": lambda main: main.write_text(main.read_text() + DEEPLY),
    "chain": lambda main: main.write_text(main.read_text() + CHAINED),
    "monday": lambda main: main.write_text(main.read_text() + MONDAY),
    "empty": lambda main: main.write_text(""),
    "cut": lambda main: main.write_text(main.read_text()[:200]),
    "bytes": lambda main: main.write_bytes(bytes(range(256)) * 100),
    "brackets": lambda main: main.write_text("a: " + "[" * 100_000),
    "large": lambda main: main.write_text("# x\n" * 3_000_000),
    "gone": lambda main: main.unlink(),
    "fifo": lambda main: replaced(main, os.mkfifo),
    "directory": lambda main: replaced(main, Path.mkdir),
    "zero": lambda main: replaced(main, lambda path: path.symlink_to("/dev/zero")),
    "loop": lambda main: replaced(main, lambda path: path.symlink_to(path.name)),
    "include": lambda main: main.write_text("include: ['*', /dev/zero, ., ../*]\n" + main.read_text()),
    "secret": lambda main: main.write_text(main.read_text().replace("token: demo", "token: {file: /dev/zero}")),
}  # fmt: skip


async def test_hangups_with_hostile_files_leave_a_process_that_pages(daemon: Daemon) -> None:
    await daemon.start()
    good = daemon.main.read_text()

    for number, spoil in enumerate(HOSTILE.values(), 1):
        spoil(daemon.main)
        for _ in range(3):
            os.kill(daemon.pid, signal.SIGHUP)
        await until(partial(refused, daemon, number), within=60, what=f"refusal {number}")
        restore(daemon.main, good)

    await daemon.post("/v1/webhooks/demo", {"title": "still here", "severity": "critical"}, bearer="demo")
    await until(lambda: "still here" in daemon.log, within=20, what="the page")
    assert "Traceback" not in daemon.log
    assert (await daemon.get("/readyz"))["status"] == "ready"


@pytest.mark.parametrize("how", HOSTILE)
def test_each_hostile_file_is_left_for_the_last_good_configuration(tmp_path: Path, how: str) -> None:
    main = tmp_path / "tocsin.yaml"
    main.write_text(GOOD.replace("{port}", "8420").replace("{database}", "sqlite:tocsin.db"))
    good = settings.load(main)
    settings.LastGood(tmp_path / ".tocsin", main).keep(good)
    HOSTILE[how](main)

    served, because = usable(main)

    assert (served.settings, bool(because)) == (good.settings, True)


@pytest.mark.parametrize("how", ["deep", "zero", "gone"])
async def test_a_start_with_a_hostile_file_pages_with_the_last_good_configuration(daemon: Daemon, how: str) -> None:
    await daemon.start()
    await daemon.stop()
    HOSTILE[how](daemon.main)

    await daemon.start()
    await daemon.post("/v1/webhooks/demo", {"title": "still here", "severity": "critical"}, bearer="demo")

    await until(lambda: "still here" in daemon.log, within=20, what="the page")
    assert "Traceback" not in daemon.log


def refused(daemon: Daemon, number: int) -> bool:
    return daemon.log.count("was not reloaded") >= number


def restore(main: Path, text: str) -> None:
    if main.is_dir() and not main.is_symlink():
        main.rmdir()
    else:
        main.unlink(missing_ok=True)
    main.write_text(text)


async def test_what_keeps_the_daemon_itself_from_starting_falls_back_too(daemon: Daemon) -> None:
    """An address that no resolver takes passes every check, and raises where the port is opened."""
    await daemon.start()
    await daemon.stop()
    daemon.main.write_text(daemon.main.read_text().replace(f"127.0.0.1:{daemon.port}", f"a..b:{daemon.port}"))

    await daemon.start()

    assert "RUNNING ON THE LAST GOOD CONFIGURATION" in daemon.log
    assert (await daemon.get("/readyz"))["status"] == "degraded"


async def test_an_address_that_is_taken_falls_back_to_the_one_it_had(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.main.write_text(daemon.main.read_text().replace(str(daemon.port), str(taken.getsockname()[1])))
        await daemon.start()

    assert "cannot listen on" in (await daemon.get("/readyz"))["checks"]["configuration"]


async def test_check_never_waits(daemon: Daemon) -> None:
    """On a FIFO it hung."""
    os.mkfifo(daemon.folder / "pipe")
    for words in (("check", "-c", "pipe"), ("check", "-c", "/dev/zero"), ("explain", "pipe", "-c", "tocsin.yaml"), ("explain", "/dev/zero", "-c", "tocsin.yaml"),
                  ("plan", "pipe", "-c", "tocsin.yaml"), ("oncall", "-c", "pipe"), ("rules", "test", "pipe", "-c", "tocsin.yaml"),
                  ("backtest", "--rules", "pipe", "--alerts", "pipe", "-c", "tocsin.yaml"), ("serve", "-c", "pipe"), ("reload", "-c", "pipe")):  # fmt: skip
        async with asyncio.timeout(30):
            code, said, wrong = await command(daemon, *words)

        assert code == 2, (words, code, said, wrong)
        assert "Traceback" not in wrong
        assert "pipe" in said + wrong or "/dev/zero" in said + wrong


def test_a_copy_that_is_kept_for_another_main_file_judges_nothing(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).touch(0o600)
    (tmp_path / "a.yaml").write_text("channels: {t: {type: console}}\nusers: {ana: {contacts: {t: ana}}}\n")
    settings.LastGood(tmp_path / ".tocsin").keep(settings.load(tmp_path / "a.yaml", env={}))

    assert usable(tmp_path / "b.yaml")[1] == ""
    (tmp_path / "a.yaml").write_text("")
    assert "nothing left of users" in usable(tmp_path / "a.yaml")[1]

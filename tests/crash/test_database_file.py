"""A real daemon whose database file is taken away, given back, or opened a second time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash import paging
from tests.crash.sink import Sink
from tests.crash.test_database_gone import fires, readiness
from tests.daemon import Daemon, until

pytestmark = pytest.mark.slow


async def test_a_daemon_whose_database_is_deleted_says_so_takes_nothing_and_leaves_a_copy(tmp_path: Path) -> None:
    sink = Sink(1, moods={"200": 1})
    async with sink:
        daemon = await Daemon(tmp_path, paging.configuration(sink)).start()
        await daemon.token(user="ana")
        assert await fires(daemon, "before") == 202
        await until(lambda: (1, "ana") in told(sink), within=10, what="the first step")

        (tmp_path / "tocsin.db").unlink()

        assert await fires(daemon, "meanwhile") == 503, "nothing is taken that is gone at the next start"
        assert (await daemon.ask("POST", "/v1/incidents/1/acknowledge", {}))[0] == 503
        assert await readiness(daemon, 503)
        await until(lambda: last_words(sink), within=5, what="the word of the database's end")
        await until(lambda: (1, "bo") in told(sink), within=10, what="the second step of what was under way")
        await daemon.stop()

        assert "restored from" in await daemon.command("db", "restore", "tocsin.db.rescued-1", "-c", str(daemon.main))
        await daemon.start()
        assert (await daemon.get("/v1/incidents/1"))["title"] == "before is down"
        await daemon.stop()


@pytest.mark.parametrize("way", ["symlink", "hard link", "lock removed"])
async def test_a_second_daemon_on_the_same_file_refuses(tmp_path: Path, way: str) -> None:
    sink = Sink(1)
    async with sink, Daemon(tmp_path / "one", paging.configuration(sink)) as one:
        path, other = tmp_path / "one" / "tocsin.db", tmp_path / "two.db"
        match way:
            case "symlink":
                other.symlink_to(path)
            case "hard link":
                os.link(path, other)
            case "lock removed":
                path.with_name("tocsin.db.lock").unlink()
                other = path
        two = Daemon(tmp_path / "two", paging.configuration(sink), f"sqlite:{other}")
        await two.launch()
        assert two.process is not None
        assert await two.process.wait() != 0
        assert "stop that one first" in two.log
        assert await fires(one, "still served") == 202


@pytest.mark.parametrize("kind", ["empty", "foreign"])
async def test_a_daemon_does_not_begin_on_a_file_that_is_no_database(tmp_path: Path, kind: str) -> None:
    (tmp_path / "tocsin.db").write_bytes(b"" if kind == "empty" else b"notes of somebody\n" * 100)
    daemon = Daemon(tmp_path, paging.configuration(Sink(1)))
    await daemon.launch()
    assert daemon.process is not None
    assert await daemon.process.wait() != 0
    assert "tocsin db restore FILE" in daemon.log
    assert "Traceback" not in daemon.log


def told(sink: Sink) -> set[tuple[int, str]]:
    return {(call.incident, str(call.body["user"])) for call in sink.calls if call.body["incident"]}


def last_words(sink: Sink) -> list[str]:
    return [str(call.body["text"]) for call in sink.calls if not call.body["incident"]]

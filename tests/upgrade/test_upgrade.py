"""What older versions left behind, just after a crash: the present one starts on it and goes on as they would have.

Each folder beside this file is one version's (`story.py` tells how it is made). What a later version decided to do
otherwise stands in `CHANGED`, with the reason; everything else must be as it was.
"""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from tests.crash.sink import Sink
from tests.daemon import Daemon, until
from tests.postgres import Server, programs
from tests.upgrade.story import CRASHED_AT, afterwards, facts, told
from tests.walk.town import PHONES, Town
from tocsin.decide.incidents.firing_counts import counted_anew
from tocsin.settings import load

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.iterdir() if (path / "expected.json").is_file())
# (version, line): messages of the old version's next hours that a later one does not send, or sends otherwise.
TAKEN_OVER_LATER = (
    "with PostgreSQL a replica counts as dead after 2.5 s without its name: one that lost a connection has it back"
)
CHANGED: Mapping[str, Mapping[str, str]] = {
    "first": {
        "30.3m page ana hook under way": TAKEN_OVER_LATER,
        "30.4m page ana hook under way": TAKEN_OVER_LATER,
    }
}


def expected_of(version: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads((HERE / version / "expected.json").read_bytes())
    return document


def database_of(version: str, folder: Path) -> Path:
    """A copy of the version's SQLite database in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "tocsin.db"
    database.write_bytes(gzip.decompress((HERE / version / "tocsin.db.gz").read_bytes()))
    return database


def restored(version: str, postgres: Server) -> str:
    """The URL of a PostgreSQL database with the version's dump in it."""
    url = postgres.database()
    bin_dir = programs()
    assert bin_dir is not None
    dump = gzip.decompress((HERE / version / "postgres.sql.gz").read_bytes())
    subprocess.run(
        [bin_dir / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", url], input=dump, check=True, stdout=subprocess.DEVNULL
    )
    return url


# An hour of looking each second asks a server a hundred thousand things: on a busy machine longer than the usual limit, whose
# signal, where it hits a write, reads as "Fatal write error on socket transport".
@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.peers, pytest.mark.timeout(600)])])
async def upgraded(
    request: pytest.FixtureRequest, tmp_path: Path, version: str
) -> AsyncIterator[tuple[Town, dict[str, str]]]:
    """A town of the present version on the old one's database and configuration, and what people hold of the old one."""
    if request.param == "sqlite":
        database_of(version, tmp_path)
        url, runner = f"sqlite:{tmp_path / 'tocsin.db'}", "inline"
    else:
        url, runner = restored(version, request.getfixturevalue("postgres_server")), "thread"
    with structlog.testing.capture_logs() as logs:
        town = Town(tmp_path, "", seed=2, runner=runner, start=CRASHED_AT, database=url)
        town.logs = logs
        (tmp_path / "tocsin.yaml").write_text((HERE / version / "tocsin.yaml").read_text())
        await town.begin()
        yield town, expected_of(version)[request.param]
        await town.end()
        assert town.errors == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_open_escalations_of_an_older_version_go_on_unchanged(
    upgraded: tuple[Town, dict[str, str]], version: str
) -> None:
    town, held = upgraded
    expected = expected_of(version)

    assert same_fields(await facts(town), expected["at_start"]) == same_fields(
        expected["at_start"], expected["at_start"]
    )
    token = await town.daemon.access.check(held["bearer"])
    assert token is not None
    assert token.name == "watcher"
    view = await town.phones["ana"].look(held["link"])
    assert view is not None
    assert (view.incident.number, view.user, view.live) == (1, "ana", True)

    await afterwards(town)
    await town.pass_time(seconds=2)  # replicas look each second: what falls due at the very end is paged by then

    changed = CHANGED.get(version, {})
    assert [line for line in told(town) if line not in changed] == [
        line for line in expected["told"] if line not in changed
    ]
    assert same_fields(await facts(town), expected["in_the_end"]) == same_fields(
        expected["in_the_end"], expected["in_the_end"]
    )


def same_fields(now: list[dict[str, Any]], then: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is there now, without the fields that the old version did not know; times to the second: a replica that finds
    a row in another's hands looks again a moment later."""
    known = then[0].keys()
    return [{name: to_the_second(name, value) for name, value in incident.items() if name in known} for incident in now]


def to_the_second(name: str, value: Any) -> Any:
    return f"{value[:19]}Z" if name.endswith("_at") and isinstance(value, str) else value


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_a_migration_counts_is_what_the_alerts_say(
    upgraded: tuple[Town, dict[str, str]], version: str
) -> None:
    town, _ = upgraded
    grouped = [one for one in await town.incidents() if one.grouped and one.open]
    assert sum(one.firing for one in grouped) > 1
    for incident in grouped:
        firing = [alert for alert in await town.alerts_of(incident.number) if alert.ended_at is None]
        assert len(firing) == incident.firing
        assert {kind: count for kind, count in incident.counts.items() if count} == counted_anew(
            incident, firing
        ).counts


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
async def test_a_daemon_started_on_an_older_versions_database_pages_and_takes_answers(
    request: pytest.FixtureRequest, tmp_path: Path, version: str, kind: str
) -> None:
    expected = expected_of(version)
    open_then = {one["number"] for one in expected["at_start"] if one["status"] == "triggered" and not one["muted_by"]}
    open_then -= {one["number"] for one in expected["at_start"] if one["title"] in ("a storm", "lasts")}  # over by now
    folder = tmp_path / "daemon"
    if kind == "sqlite":
        database_of(version, folder)
    url = "sqlite:tocsin.db" if kind == "sqlite" else restored(version, request.getfixturevalue("postgres_server"))
    async with (
        Sink(seed=1, moods={"200": 1}) as sink,
        Daemon(folder, configuration(version, sink), database=url) as daemon,
    ):
        await daemon.token()
        rows = await daemon.every("/v1/incidents", "incidents")
        assert {row["number"] for row in rows} >= {one["number"] for one in expected["at_start"]}

        def never_called() -> set[int]:
            return open_then - {call.incident for call in sink.calls}

        try:
            await until(lambda: not never_called(), within=20, what=f"calls about {open_then}")
        except AssertionError as missing:
            raise AssertionError(f"{missing}; never called: {never_called()}") from None
        assert list(sink.too_often()) == []
        acknowledged = await daemon.post("/v1/incidents/1/acknowledge", {"user": "ana"})
        assert acknowledged["acknowledged_by"] == "ana"
        cleared = {"title": "db down", "dedup_key": "db down", "status": "resolved"}
        await daemon.post("/v1/webhooks/apps", cleared, bearer="apps-token")
        assert (await daemon.get("/v1/incidents/1"))["status"] == "resolved"


def configuration(version: str, sink: Sink) -> str:
    """The version's own configuration, on a port of the test, with phones that nobody answers."""
    text = (HERE / version / "tocsin.yaml").read_text()
    for old, new in (
        ("server: {", 'server: {listen: "127.0.0.1:{port}", '),
        ('"sqlite:tocsin.db"', '"{database}"'),
        ("http://127.0.0.1:8481/page", sink.url),
        ("type: twilio_sms,", 'type: twilio_sms, api_base: "http://127.0.0.1:9",'),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("version", VERSIONS)
def test_a_configuration_of_an_older_version_is_still_read(version: str, tmp_path: Path) -> None:
    for path in sorted((HERE / version / "configuration").rglob("*")):
        if path.is_file():
            target = tmp_path / path.relative_to(HERE / version / "configuration")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            os.chmod(target, 0o600)

    for main in ("docs/example.yaml", "config/tocsin.yaml"):
        loaded = load(tmp_path / main, env={}, lenient_secrets=True)

        assert loaded.settings is not None, "\n".join(map(str, loaded.problems))


def test_the_phones_of_the_story_are_the_towns() -> None:
    for version in VERSIONS:
        assert PHONES["ana"] in (HERE / version / "tocsin.yaml").read_text()

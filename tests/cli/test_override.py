"""Overrides and swaps from a shell: what is asked of the daemon, what is printed, and what `oncall` reads by itself."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted import Scripted
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Tx
from tocsin.model import DAY, Instant, MadeOverride, instant
from tocsin.store import open_store

MADE = {
    "id": "o1", "schedule": "primary", "users": ["bo"], "from": "2026-12-24T09:00:00+01:00", "to": "2026-12-25T09:00:00+01:00",
    "replaces": "ana", "mode": "replace", "reason": "dentist", "author": "ana", "created_at": "2026-07-01T10:00:00Z",
    "swap": None, "removed_at": None, "removed_by": None, "state": "pending",
}  # fmt: skip
SWAP = {
    "id": "s1", "schedule": "primary", "user": "ana", "with": "bo", "from": "2026-12-24T09:00:00+01:00",
    "to": "2026-12-25T09:00:00+01:00", "reason": "wedding", "created_at": "2026-07-01T10:00:00Z", "answered_at": None,
    "in_return": {"from": "2026-12-31T09:00:00+01:00", "to": "2027-01-01T09:00:00+01:00"}, "answered_by": None,
    "state": "asked",
}  # fmt: skip
PATH = "/v1/schedules/primary/overrides"


def test_an_override_is_added_listed_and_removed(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", PATH, MADE, 201)
    daemon.on("GET", PATH, {"overrides": [MADE]})
    daemon.on("GET", "/v1/oncall", {"schedules": [{"schedule": "primary"}]})
    daemon.on("DELETE", f"{PATH}/o1", {**MADE, "state": "removed"})
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t"}

    added = tocsin(
        *("override", "add", "primary", "--user", "bo", "--replaces", "ana", "--from", "2026-12-24 09:00"),
        *("--to", "2026-12-25 09:00", "-m", "dentist"), **env,
    )  # fmt: skip
    listed = tocsin("override", "list", **env)
    removed = tocsin("override", "remove", "o1", **env)

    assert (added.returncode, added.stdout) == (0, "o1\n"), added.stderr
    assert added.stderr == "primary: bo for ana, from 2026-12-24 09:00 +0100 until 2026-12-25 09:00 +0100\n"
    assert daemon.asked[0][2] == {
        "users": ["bo"], "replaces": "ana", "from": "2026-12-24 09:00", "to": "2026-12-25 09:00", "reason": "dentist",
        "mode": "replace",
    }  # fmt: skip
    assert re.split(" {2,}", listed.stdout.splitlines()[1]) == [
        "o1", "primary", "2026-12-24 09:00 +0100", "2026-12-25 09:00 +0100", "bo for ana", "pending", "ana", "dentist"
    ]  # fmt: skip
    assert removed.stdout == "removed o1\n", removed.stderr
    assert [asked[:2] for asked in daemon.asked[-1:]] == [("DELETE", f"{PATH}/o1")]


def test_a_script_gets_overrides_as_json(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", PATH, MADE, 201)
    daemon.on("GET", PATH, {"overrides": [MADE]})
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t"}

    added = tocsin("override", "add", "primary", "-u", "bo", "-u", "chen", "--for", "4h", "--json", **env)
    listed = tocsin("override", "list", "primary", "--all", "--json", **env)

    assert json.loads(added.stdout) == MADE
    assert daemon.asked[0][2] == {"users": ["bo", "chen"], "for": "4h", "mode": "replace"}
    assert json.loads(listed.stdout) == {"overrides": [MADE]}
    assert daemon.asked[1][1] == f"{PATH}?all=true"


def test_swaps_are_asked_for_listed_and_answered(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/swaps", SWAP, 201)
    daemon.on("GET", "/v1/swaps", {"swaps": [SWAP]})
    daemon.on("POST", "/v1/swaps/s1/accept", {**SWAP, "state": "accepted"})
    daemon.on("POST", "/v1/swaps/s1/withdraw", {**SWAP, "state": "withdrawn"})
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t"}

    asked = tocsin(
        *("swap", "ask", "primary", "--with", "bo", "--from", "2026-12-24 09:00", "--to", "2026-12-25 09:00"),
        *("--back-from", "2026-12-31 09:00", "--back-to", "2027-01-01 09:00"), **env,
    )  # fmt: skip
    listed = tocsin("swap", "list", "--user", "bo", **env)
    accepted = tocsin("swap", "accept", "s1", **env)
    withdrawn = tocsin("swap", "withdraw", "s1", "--user", "ana", **env)

    assert (asked.returncode, asked.stdout) == (0, "s1\n"), asked.stderr
    assert daemon.asked[0][2] == {
        "schedule": "primary", "with": "bo", "from": "2026-12-24 09:00", "to": "2026-12-25 09:00",
        "in_return": {"from": "2026-12-31 09:00", "to": "2027-01-01 09:00"},
    }  # fmt: skip
    assert daemon.asked[1][1] == "/v1/swaps?user=bo"
    assert "2026-12-31 09:00 +0100 to 2027-01-01 09:00 +0100" in listed.stdout
    assert accepted.stdout == (
        "accepted: bo has primary 2026-12-24 09:00 +0100 to 2026-12-25 09:00 +0100, "
        "ana has 2026-12-31 09:00 +0100 to 2027-01-01 09:00 +0100\n"
    )
    assert withdrawn.stdout == "withdrawn: s1\n"
    assert daemon.asked[-1][2] == {"user": "ana"}


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["override", "add", "primary", "-u", "bo"], 2, "say when it ends: --to '2026-12-25 09:00', or --for 4h"),
        (["override", "add", "primary", "-u", "bo", "--for", "1h", "--to", "2026-12-25 09:00"], 2, "say when it ends"),
        (["override", "add", "primary", "-u", "bo", "--for", "1 hour"], 2, "'1 hour' is not a duration"),
        (["override", "add", "primary", "--for", "1h"], 2, "say who steps in: --user bo"),
        (["override", "add", "primary", "-u", "bo", "--for", "1h", "--mode", "swap"], 2, "--mode 'swap' is none of"),
        (["override", "remove", "o2"], 1, "there is no override 'o2'; `tocsin override list` shows them"),
        (
            ["swap", "ask", "p", "--with", "b", "--from", "x", "--to", "y", "--back-from", "z"],
            2,
            "give both --back-from",
        ),
        (["swap", "accept", "s9"], 1, "there is no such thing"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    daemon: Scripted, tocsin: Run, args: list[str], code: int, said: str
) -> None:
    daemon.on("GET", "/v1/oncall", {"schedules": []})

    done = tocsin(*args, TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == code
    assert said in done.stderr


# ------------------------------------------------------------- what `oncall` and `explain` read themselves

CONFIG = """
database: {url: "sqlite:tocsin.db"}
defaults: {timezone: Europe/Paris, policy: default}
catch_all: [channel:terminal]
integrations: {apps: {type: webhook, token: apps-token-for-the-tests}}
channels: {terminal: {type: console, to: terminal}}
users:
  ana: {name: Ana, contacts: {terminal: Ana}}
  bo: {name: Bo, contacts: {terminal: Bo}}
schedules: {primary: {timezone: Europe/Paris, layers: [{name: week, users: [ana]}]}}
policies: {default: {steps: [{notify: [schedule:primary]}]}}
"""
NOON = instant(datetime.fromisoformat("2026-01-05T12:00:00+01:00"))


async def keep(folder: Path, *made: MadeOverride) -> None:
    store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=VirtualClock(NOON), chance=SeededChance(1))

    async def work(tx: Tx) -> None:
        for one in made:
            tx.add_override(one)

    await store.write(work)
    await store.close()


@pytest.fixture
def configured(tmp_path: Path, tocsin: Run) -> Run:
    (tmp_path / "tocsin.yaml").write_text(CONFIG)
    return lambda *args: tocsin(*args, "-c", "tocsin.yaml")


def test_oncall_and_explain_know_who_stepped_in(configured: Run, tmp_path: Path) -> None:
    day = Instant(NOON + DAY)
    asyncio.run(keep(tmp_path, MadeOverride("o1", "primary", ("bo",), NOON, day, None, "replace", "bo", "", NOON)))
    (tmp_path / "alert.json").write_text('{"title": "db down", "dedup_key": "db"}')

    now = configured("oncall", "primary", "--at", "2026-01-05 13:00", "--json")
    window = configured("oncall", "primary", "--from", "2026-01-05 11:00", "--to", "2026-01-06 13:00", "--json")
    why = configured("explain", "alert.json", "-i", "apps", "--at", "2026-01-05 13:00", "--json")

    assert (json.loads(now.stdout)["users"], now.stderr) == (["bo"], "")
    assert [(one["users"], one["layer"]) for one in json.loads(window.stdout)["shifts"]] == [
        (["ana"], "week"), (["bo"], None), (["ana"], "week")
    ]  # fmt: skip
    assert json.loads(why.stdout)["alerts"][0]["plan"][0]["user"] == "bo"


def test_a_database_that_cannot_be_read_is_said(configured: Run, tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").write_text("this is not a database, however long one looks at it")

    now = configured("oncall", "primary", "--at", "2026-01-05 13:00", "--json")

    assert json.loads(now.stdout)["users"] == ["ana"]
    assert "overrides made at run time are not known" in now.stderr
    assert "Traceback" not in now.stderr

    why = configured("explain", "--title", "db down")
    assert (why.returncode, why.stderr.count("\n")) == (0, 1)
    assert "what happens now is not known: the database file is damaged" in why.stderr


def test_without_a_database_none_is_made_and_nothing_is_said(configured: Run, tmp_path: Path) -> None:
    now = configured("oncall", "primary", "--at", "2026-01-05 13:00")

    assert (now.returncode, now.stderr) == (0, "")
    assert not (tmp_path / "tocsin.db").exists()

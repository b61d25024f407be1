"""`tocsin oncall` in all its forms, run as a shell runs it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tocsin.cli import app

PEOPLE = """
defaults: {timezone: Europe/Paris}
channels: {terminal: {type: console}}
users:
  ana: {name: Ana Pires, timezone: Europe/Lisbon, contacts: {terminal: Ana}}
  bo: {name: Bo Li, timezone: America/New_York, contacts: {terminal: Bo}}
  chen: {timezone: UTC, contacts: {terminal: Chen}}
  dora: {timezone: UTC, contacts: {terminal: Dora}}
  grace: {timezone: UTC, contacts: {terminal: Grace}}
"""
SCHEDULES = """
schedules:
  primary:
    timezone: Europe/Paris
    layers:
      - {name: day, users: [ana, bo], rotation: {every: 1d, start: 2026-06-01 09:00}}
  backup:
    timezone: UTC
    layers:
      - {name: all, users: [chen]}
"""
Tocsin = Callable[..., tuple[int, str, str]]
Shifts = Callable[[str, str, str], dict[str, Any]]
Other = Callable[..., None]


@pytest.fixture
def tocsin(tmp_path: Path) -> Tocsin:
    """Runs `tocsin ARGS` beside tocsin.yaml: (exit code, stdout, stderr)."""
    (tmp_path / "tocsin.yaml").write_text(PEOPLE + SCHEDULES)

    def run(*args: str) -> tuple[int, str, str]:
        with contextlib.chdir(tmp_path):
            found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, list(args))
        failed = str(found.exception) if found.exception and not isinstance(found.exception, SystemExit) else ""
        return getattr(found.exception, "code", found.exit_code), found.stdout, found.stderr + failed

    return run


@pytest.fixture
def shifts(tocsin: Tocsin, tmp_path: Path) -> Shifts:
    """The JSON of one schedule, written as YAML, over a window: as the design has it, to the letter."""

    def ask(schedule: str, since: str, until: str) -> dict[str, Any]:
        (tmp_path / "one.yaml").write_text(f"{PEOPLE}schedules:\n  one: {schedule}\n")
        code, out, err = tocsin("oncall", "one", "-c", "one.yaml", "--from", since, "--to", until, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    return ask


# ------------------------------------------------------------------------------- shapes and shifts


def test_a_moment_is_three_keys(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "primary", "--at", "2026-06-02 10:00", "--json")
    assert json.loads(out) == {"schedule": "primary", "at": "2026-06-02T10:00:00+02:00", "users": ["bo"]}


def test_all_schedules_are_a_list_of_the_same(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "--at", "2026-06-02T10:00:00+02:00", "--json")
    assert json.loads(out) == [
        {"schedule": "primary", "at": "2026-06-02T10:00:00+02:00", "users": ["bo"]},
        {"schedule": "backup", "at": "2026-06-02T08:00:00Z", "users": ["chen"]},
    ]


def test_now_is_what_the_clock_shows(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "backup", "--json")
    answer = json.loads(out)
    assert answer["users"] == ["chen"]
    assert abs(datetime.fromisoformat(answer["at"]) - datetime.now().astimezone()) < timedelta(minutes=1)


def test_all_schedules_of_a_window_are_a_list_each_by_its_own_clock(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "--from", "2026-06-02", "--to", "2026-06-02 08:00", "--json")
    assert json.loads(out) == [
        {
            "schedule": "primary",
            "shifts": [
                {
                    "start": "2026-06-02T00:00:00+02:00",
                    "end": "2026-06-02T08:00:00+02:00",
                    "users": ["ana"],
                    "layer": "day",
                }
            ],
            "gaps": [],
        },
        {
            "schedule": "backup",
            "shifts": [
                {"start": "2026-06-02T00:00:00Z", "end": "2026-06-02T08:00:00Z", "users": ["chen"], "layer": "all"}
            ],
            "gaps": [],
        },
    ]


CASES = {
    "a night forward in Chicago, seen from outside": (
        "{timezone: America/Chicago, layers: [{name: n, users: [ana, bo], rotation: {every: 12h, start: 2026-03-07 19:00}}]}",
        ("2026-03-08T01:00:00Z", "2026-03-09T00:00:00Z"),
        [
            ("2026-03-07T19:00:00-06:00", "2026-03-08T07:00:00-05:00", ["ana"], "n"),
            ("2026-03-08T07:00:00-05:00", "2026-03-08T19:00:00-05:00", ["bo"], "n"),
        ],
    ),
    "follow the sun: three layers with hours, and a weekend": (
        """
    timezone: UTC
    layers:
      - {name: weekend, users: [grace]}
      - {name: asia, users: [chen], hours: {days: Mon-Fri, from: 00:00, to: 08:00}}
      - {name: europe, users: [ana], hours: {days: Mon-Fri, from: 08:00, to: 16:00}}
      - {name: america, users: [bo], hours: {days: Mon-Fri, from: 16:00, to: 00:00}}""",
        ("2026-06-05 06:00", "2026-06-08 09:00"),
        [
            ("2026-06-05T06:00:00Z", "2026-06-05T08:00:00Z", ["chen"], "asia"),
            ("2026-06-05T08:00:00Z", "2026-06-05T16:00:00Z", ["ana"], "europe"),
            ("2026-06-05T16:00:00Z", "2026-06-06T00:00:00Z", ["bo"], "america"),
            ("2026-06-06T00:00:00Z", "2026-06-08T00:00:00Z", ["grace"], "weekend"),
            ("2026-06-08T00:00:00Z", "2026-06-08T08:00:00Z", ["chen"], "asia"),
            ("2026-06-08T08:00:00Z", "2026-06-08T09:00:00Z", ["ana"], "europe"),
        ],
    ),
    "a daily rotation of weekdays over a weekend": (
        "{timezone: Europe/Paris, layers: [{name: n, users: [ana, bo, chen], "
        "rotation: {every: 1d, start: 2026-06-04 09:00, days: Mon-Fri}}]}",
        ("2026-06-04 09:00", "2026-06-09 09:00"),
        [
            ("2026-06-04T09:00:00+02:00", "2026-06-05T09:00:00+02:00", ["ana"], "n"),
            ("2026-06-05T09:00:00+02:00", "2026-06-08T09:00:00+02:00", ["bo"], "n"),
            ("2026-06-08T09:00:00+02:00", "2026-06-09T09:00:00+02:00", ["chen"], "n"),
        ],
    ),
    "people together, one of them replaced, an unnamed layer": (
        "{timezone: UTC, layers: [{users: [[ana, bo]]}], "
        "overrides: [{user: grace, replaces: bo, from: 2026-06-01 10:00, to: 2026-06-01 11:00}]}",
        ("2026-06-01 09:00", "2026-06-01 12:00"),
        [
            ("2026-06-01T09:00:00Z", "2026-06-01T10:00:00Z", ["ana", "bo"], "layer 1"),
            ("2026-06-01T10:00:00Z", "2026-06-01T11:00:00Z", ["ana", "grace"], None),
            ("2026-06-01T11:00:00Z", "2026-06-01T12:00:00Z", ["ana", "bo"], "layer 1"),
        ],
    ),
    "a weekly restriction from Friday evening to Monday morning": (
        """
    timezone: Europe/Paris
    layers:
      - name: weekend
        users: [ana, bo]
        rotation: {every: 1w, start: 2026-06-05 17:00}
        hours: [{days: Fri, from: 17:00, to: 00:00}, {days: [Sat, Sun]}, {days: Mon, from: 00:00, to: 08:00}]""",
        ("2026-06-05 12:00", "2026-06-15 12:00"),
        [
            ("2026-06-05T17:00:00+02:00", "2026-06-08T08:00:00+02:00", ["ana"], "weekend"),
            ("2026-06-12T17:00:00+02:00", "2026-06-15T08:00:00+02:00", ["bo"], "weekend"),
        ],
    ),
}


@pytest.mark.parametrize(("schedule", "window", "expected"), CASES.values(), ids=CASES)
def test_a_schedule_written_in_yaml_has_these_shifts(
    shifts: Shifts, schedule: str, window: tuple[str, str], expected: list[tuple[str, str, list[str], str]]
) -> None:
    found = shifts(schedule, *window)
    assert [(one["start"], one["end"], one["users"], one["layer"]) for one in found["shifts"]] == expected


def test_a_gap_is_told_between_the_shifts_and_neither_overlap(shifts: Shifts) -> None:
    plan = (
        "{timezone: UTC, layers: [{name: n, users: [ana]}], "
        "overrides: [{mode: remove, from: 2026-06-01 10:00, to: 2026-06-01 11:00}]}"
    )
    found = shifts(plan, "2026-06-01 09:00", "2026-06-01 12:00")
    assert found["gaps"] == [{"start": "2026-06-01T10:00:00Z", "end": "2026-06-01T11:00:00Z"}]
    assert [one["end"] for one in found["shifts"]] == ["2026-06-01T10:00:00Z", "2026-06-01T12:00:00Z"]


# ------------------------------------------------------------------------------------- differences


@pytest.fixture
def other(tmp_path: Path) -> Other:
    """Writes other.yaml: the same configuration with some words replaced."""

    def write(*replaced: tuple[str, str]) -> None:
        text = PEOPLE + SCHEDULES
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "other.yaml").write_text(text)

    return write


def test_a_difference_names_who_gains_and_who_loses(tocsin: Tocsin, other: Other) -> None:
    other(("users: [ana, bo]", "users: [ana, grace]"))
    window = ("--from", "2026-06-01 09:00", "--to", "2026-06-04 09:00")
    _, out, _ = tocsin("oncall", "primary", "--diff", "other.yaml", *window, "--json")
    shift = {"start": "2026-06-02T09:00:00+02:00", "end": "2026-06-03T09:00:00+02:00"}
    assert json.loads(out) == {
        "schedule": "primary",
        "from": "2026-06-01T09:00:00+02:00",
        "to": "2026-06-04T09:00:00+02:00",
        "changes": [{**shift, "before": ["bo"], "after": ["grace"]}],
        "users": [
            {"user": "bo", "gains": [], "loses": [shift], "hours": -24.0},
            {"user": "grace", "gains": [shift], "loses": [], "hours": 24.0},
        ],
    }


def test_a_schedule_that_only_one_configuration_has_is_all_gain_or_all_loss(tocsin: Tocsin, other: Other) -> None:
    other(("backup:", "reserve:"))
    _, out, _ = tocsin("oncall", "--diff", "other.yaml", "--from", "2026-06-01", "--to", "2026-06-02", "--json")
    found = {one["schedule"]: one["users"] for one in json.loads(out)}
    assert list(found) == ["primary", "backup", "reserve"]
    assert found["primary"] == []
    assert [(one["user"], one["hours"]) for one in found["backup"] + found["reserve"]] == [("chen", -24), ("chen", 24)]


def test_a_difference_is_a_table_for_people(tocsin: Tocsin, other: Other) -> None:
    other(("users: [ana, bo]", "users: [ana, grace]"))
    _, out, _ = tocsin("oncall", "--diff", "other.yaml", "--from", "2026-06-01 09:00", "--to", "2026-06-04 09:00")
    changes, people = out.split("\n\n")
    assert "Bo Li (bo)" in changes
    assert len(changes.splitlines()) == 2
    assert people.splitlines()[1].split() == ["primary", "Bo", "Li", "(bo)", "0", "1", "-24"]


def test_a_difference_says_whose_turn_it_moves_and_what_keeps_it(tocsin: Tocsin, other: Other) -> None:
    other(("users: [ana, bo]", "users: [bo, ana]"))
    _, out, _ = tocsin("oncall", "--diff", "other.yaml", "--from", "2026-06-01 09:00", "--to", "2026-06-04 09:00")
    assert out.split("\n\n")[2].splitlines() == [
        "primary: ana is on call at Mon 2026-06-01 09:00 +0200, and bo would be",
        "primary, layer day: it is the turn of ana at Mon 2026-06-01 09:00 +0200, and would be that of bo, since turns are counted over the "
        "people as written; to keep that turn, write start: 2026-05-31 09:00",
    ]
    assert "is on call now, and" in tocsin("oncall", "primary", "--diff", "other.yaml")[1]


def test_where_nothing_differs_it_says_so_also_for_the_next_30_days(tocsin: Tocsin, other: Other) -> None:
    other(("name: day", "name: renamed"))
    assert tocsin("oncall", "--diff", "other.yaml")[1] == "nobody gains or loses a shift\n"


# ------------------------------------------------------------------------------------------- load


def test_the_load_is_told_per_person_and_schedule(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "--load", "--from", "2026-06-01 09:00", "--to", "2026-06-03 09:00", "--json")
    answer = json.loads(out)
    assert (answer["from"], answer["to"]) == ("2026-06-01T09:00:00+02:00", "2026-06-03T09:00:00+02:00")
    ana, bo, chen = answer["users"]
    figures = {"hours": 24.0, "night_hours": 8.0, "nights": 1, "weekends": 0}
    assert ana == {
        "user": "ana",
        "timezone": "Europe/Lisbon",
        **figures,
        "schedules": [{"schedule": "primary", **figures}],
    }
    # 09:00 in Paris is 03:00 in New York: the end of one night, and the next one until three
    assert (bo["nights"], bo["night_hours"], bo["hours"]) == (2, 8.0, 24.0)
    assert (chen["hours"], chen["schedules"][0]["schedule"]) == (48.0, "backup")


def test_the_load_of_one_schedule_has_no_other_people_and_no_second_total(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "primary", "--load", "--from", "2026-06-01", "--to", "2026-06-29")
    assert "chen" not in out
    assert "together" not in out
    assert out.splitlines()[0] == "Mon 2026-06-01 00:00 +0200 to Mon 2026-06-29 00:00 +0200"


def test_the_load_of_several_schedules_has_totals_the_busiest_first(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "--load", "--from", "2026-06-01", "--to", "2026-06-29")
    totals = [line.split()[1] for line in out.splitlines() if line.startswith("together")]
    assert totals[0] == "chen"
    assert len(totals) == 3


def test_without_a_window_the_load_is_that_of_the_next_30_days(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "backup", "--load", "--json")
    answer = json.loads(out)
    assert answer["users"][0]["hours"] == 720.0


# ---------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--diff", "nowhere.yaml"), 2, "nowhere.yaml: no such file; --diff takes the main file"),
        (("--diff", "bad.yaml"), 2, "bad.yaml: 1 error in the configuration"),
        (("primry", "--diff", "tocsin.yaml"), 1, "did you mean 'primary'?"),
        (("--load", "--at", "2026-06-01"), 2, "give one of --diff OTHER.yaml, --load, --at TIME"),
        (("--load", "--diff", "tocsin.yaml"), 2, "give one of --diff OTHER.yaml, --load, --at TIME"),
        (("--load", "--from", "2026-06-01"), 2, "--from TIME --to TIME"),
        (("--load", "--from", "2026-06-02", "--to", "2026-06-01"), 2, "is not after"),
        (("--from", "1970-01-01", "--to", "9000-01-01"), 2, "more than 200 years"),
        (("--diff", "tocsin.yaml", "--from", "tomorrow", "--to", "2026-06-01"), 2, "is not a time"),
    ],
)
def test_a_mistake_says_what_to_write_instead(
    tocsin: Tocsin, tmp_path: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "bad.yaml").write_text(PEOPLE + SCHEDULES.replace("chen", "chan"))
    found, out, err = tocsin("oncall", *args)
    assert (found, said in err, out) == (code, True, ""), err

"""A layer's timezone, end, hours across days and holidays: what may be written, what it comes to, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from tests.settings.conftest import Folder
from tocsin.decide.oncall.resolver import on_call
from tocsin.model import Holidays, Hours, Layer, Rotation, instant
from tocsin.settings import json_schema
from tocsin.settings.review import review

ALL_WEEK = frozenset(range(7))
NOW = instant(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
BEFORE = """\
channels: {terminal: {type: console}}
users: {ana: {contacts: {terminal: ana}}, bo: {contacts: {terminal: bo}}}
calendars:
  business: {days: Mon-Fri, from: 09:00, to: 17:00, holidays: [2026-12-25, 2026-12-24]}
  PT: {holidays: [2027-03-01]}
  bare: {days: Mon-Fri, from: 09:00, to: 17:00}
policies: {default: {steps: [{notify: [schedule:primary]}]}}
defaults: {policy: default}
schedules:
  primary:
    timezone: Europe/Lisbon
    layers:
      - users: bo
"""


def layer_of(folder: Folder, written: str) -> Layer:
    settings = folder.write({"tocsin.yaml": f"{BEFORE}      - {{users: ana, {written}}}\n"}).settings()
    return settings.schedules["primary"].layers[1]


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ("{from: 'Fri 17:00', to: 'Mon 09:00'}", (Hours(frozenset({4}), 1020, 540, 3),)),
        ("{from: Mon 09:00, to: Mon 08:59}", (Hours(frozenset({0}), 540, 539, 7),)),
        ("{from: Mon 09:00, to: Mon 17:00}", (Hours(frozenset({0}), 540, 1020, 0),)),
        ("{from: Mon 17:00, to: Tue 09:00}", (Hours(frozenset({0}), 1020, 540, 1),)),
        ("{from: Mon 09:00, to: Tue 09:00}", (Hours(frozenset({0}), 540, 540, 1),)),
        ("{from: Sun  00:00, to: Sat 00:00}", (Hours(frozenset({6}), 0, 0, 6),)),
        ("{from: 09:00, to: 17:00}", (Hours(ALL_WEEK, 540, 1020),)),
        ("{days: Mon-Fri}", (Hours(frozenset(range(5)), 0, 0),)),
        (
            "[{days: [Sat, Sun], from: 09:00, to: 17:00}, {from: Fri 17:00, to: Fri 23:00}]",
            (Hours(frozenset({5, 6}), 540, 1020), Hours(frozenset({4}), 1020, 1380)),
        ),
    ],
)
def test_hours_are_a_window_or_a_list_of_windows_also_across_days(
    folder: Folder, hours: str, expected: tuple[Hours, ...]
) -> None:
    assert layer_of(folder, f"hours: {hours}").hours == expected


@pytest.mark.parametrize(
    ("holidays", "mode", "dates"),
    [
        ("{skip: [2026-12-26, 2026-12-25]}", "skip", ("2026-12-25", "2026-12-26")),
        ("{only: business}", "only", ("2026-12-24", "2026-12-25")),
        ("{skip: PT}", "skip", ("2027-03-01",)),  # the calendar of that name, before the country
        ("{skip: days.txt}", "skip", ("2026-12-08",)),
        ("{only: []}", "only", ()),
    ],
)
def test_holidays_are_dates_a_file_or_those_of_a_calendar(
    folder: Folder, holidays: str, mode: Literal["skip", "only"], dates: tuple[str, ...]
) -> None:
    folder.write({"days.txt": "2026-12-08 Imaculada\n"})

    assert layer_of(folder, f"holidays: {holidays}").holidays == Holidays(mode, dates)


def test_holidays_of_a_country(folder: Folder) -> None:
    found = layer_of(folder, "holidays: {only: DE-BY}").holidays

    assert found is not None
    assert found.mode == "only"
    assert {"2026-01-06", "2026-10-03"} <= set(found.dates)


def test_zone_and_end_stand_beside_the_users(folder: Folder) -> None:
    written = (
        "timezone: Australia/Sydney, rotation: {every: 1w, start: 2026-01-05 09:00}, end: 2027-06-01 09:00, name: own"
    )

    assert layer_of(folder, written) == Layer(
        "own", (("ana",),), Rotation(1, "weeks", "2026-01-05T09:00"), (), "Australia/Sydney", "2027-06-01T09:00"
    )
    assert layer_of(folder, "end: 2020-01-01 00:00").end == "2020-01-01T00:00", "over, and without a rotation: fine"


def test_a_layer_of_the_version_before_means_what_it_meant(folder: Folder) -> None:
    layer = layer_of(folder, "rotation: {every: 1d, start: 2026-01-05 09:00}, hours: {from: 22:00, to: 06:00}")

    assert (layer.timezone, layer.end, layer.holidays, layer.hours[0].across) == ("", None, None, 0)


START = "rotation: {every: 1w, start: 2026-03-29 01:10}"
REFUSED = [
    ("hours: []", "14:29: hours: is an empty list; write at least one entry"),
    ("hours: {from: Fri 17:00, to: Fri 17:00}", "14:47: to: is the same time as from; write another end, or leave hours out to cover the whole week"),
    ("hours: {days: Fri, from: Fri 17:00, to: Mon 09:00}", "14:30: days: does not go with days in from and to; write one or the other"),
    ("hours: {from: Fri 17:00, to: 09:00}", "14:47: to: has no day, and the other end has one; write for example Mon 09:00"),
    ("hours: {from: 17:00, to: Mon 09:00}", "14:30: from: has no day, and the other end has one; write for example Mon 17:00"),
    ("hours: [{from: 17:00, to: Mon 09:00}]", "14:31: from: has no day, and the other end has one; write for example Mon 17:00"),
    ("hours: {from: Fri 17:00}", "14:30: hours: 'to' is missing; 'from' alone says nothing"),
    ("hours: {from: Fri 24:00, to: Mon 09:00}", "14:36: from: '24:00' is refused, it is the next day's beginning; write 00:00"),
    ("hours: {from: friday 17:00, to: Mon 09:00}", "14:36: from: 'friday' is not a day or range of days; write Fri"),
    ("hours: {from: Fri-Sat 17:00, to: Mon 09:00}", "14:36: from: 'Fri-Sat 17:00' names several days; write one, for example Fri 17:00, or days: beside clock times"),
    ("hours: {from: Fri, to: Mon}", "14:36: from: 'Fri' has no clock time; write for example Fri 09:00"),
    ("timezone: Lisbon", "14:32: timezone: no such time zone 'Lisbon' (did you mean 'Europe/Lisbon'?)"),
    ("end: 2026-06-01", "14:27: end: '2026-06-01' has no clock time; write 2026-06-01 09:00"),
    (f"{START}, end: 2026-03-29 01:10", "14:75: end: '2026-03-29 01:10' is not after the rotation's start, '2026-03-29 01:10'; write a later time, or remove the layer"),
    (f"{START}, end: 2025-03-29 01:10", "14:75: end: '2025-03-29 01:10' is not after the rotation's start, '2026-03-29 01:10'; write a later time, or remove the layer"),
    (f"{START}, end: 2026-03-29 01:50", "14:75: end: '2026-03-29 01:50' is not after the rotation's start, '2026-03-29 01:10'; write a later time, or remove the layer"),
    ("holidays: PT", "14:32: holidays: 'PT' stands where {skip: PT} or {only: PT} is expected"),
    ("holidays: {}", "14:32: holidays: 'skip' or 'only' is missing (which days)"),
    ("holidays: [2026-12-25]", "14:32: holidays: a list stands where {skip: …} or {only: …} is expected"),
    ("holidays: {skip: PT, only: PT}", "14:43: only: write skip or only, not both"),
    ("holidays: {skip: XX}", "14:39: skip: no holidays are known of a country 'XX'; write a country such as PT, or a part of one such as DE-BY"),
    ("holidays: {without: PT}", "14:33: holidays: unknown key 'without'; known here: skip, only"),
    ("end: 2026-06-01 09:00, until: 2026-06-01 09:00", "14:45: layers: unknown key 'until'; known here: name, users, timezone, rotation, end, hours, holidays"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), REFUSED, ids=[written for written, _ in REFUSED])
def test_what_cannot_be_meant_is_refused_at_its_place(folder: Folder, written: str, said: str) -> None:
    assert said in folder.errors(f"{BEFORE}      - {{users: ana, {written}}}\n")


@pytest.mark.parametrize(
    "place",
    [
        "calendars: {c: {from: Fri 17:00, to: Mon 09:00}}",
        "services: {s: {support_hours: {from: Fri 17:00, to: Mon 09:00}}}",
    ],
)
def test_windows_across_days_are_of_layers_alone(folder: Folder, place: str) -> None:
    assert any("'Fri 17:00' is not a clock time" in error for error in folder.errors(place + "\n"))


def test_the_end_is_compared_by_the_layers_own_clock(folder: Folder) -> None:
    """In Lisbon 01:10 and 01:50 of 29 March are one instant; in Sydney they are not."""
    layer = layer_of(folder, f"timezone: Australia/Sydney, {START}, end: 2026-03-29 01:50")

    assert layer.end == "2026-03-29T01:50"


def codes(folder: Folder, layers: str) -> list[str]:
    loaded = folder.write({"tocsin.yaml": BEFORE.replace("      - users: bo\n", layers)}).load()
    told = review(loaded, NOW).problems
    return [one.code for one in told if one.code not in ("unused", "silent-end")]


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("      - {users: bo, timezone: Australia/Sydney}\n", []),
        ("      - {users: bo, end: 2020-01-01 09:00}\n      - {users: ana}\n", ["hidden-layer", "past-layer"]),
        ("      - {users: bo, end: 2026-12-01 09:00}\n", ["gap"]),
        ("      - {users: bo}\n      - {users: ana, end: 2030-01-01 09:00}\n", []),  # the first one shows some day
        ("      - {users: bo}\n      - {users: ana, holidays: {skip: business}}\n", []),
        ("      - {users: bo}\n      - {users: ana, holidays: {skip: []}}\n", ["hidden-layer"]),
        ("      - {users: bo}\n      - {users: ana, holidays: {skip: bare}}\n", ["hidden-layer", "no-holidays"]),
        ("      - {users: bo}\n      - {users: ana, holidays: {only: [2026-11-20]}}\n", ["no-holidays"]),
        ("      - {users: bo}\n      - {users: ana, holidays: {only: []}}\n", ["no-holidays"]),
        ("      - {users: bo}\n      - {users: ana, holidays: {only: [2026-11-23]}}\n", []),
        ("      - {users: bo, holidays: {skip: [2026-12-08]}}\n", ["gap"]),
        ("      - {users: bo, hours: {from: Mon 00:01, to: Mon 00:00}}\n", ["gap"]),
        ("      - {users: bo, hours: [{from: Fri 17:00, to: Mon 09:00}, {from: Mon 09:00, to: Fri 17:00}]}\n", []),
    ],
)
def test_the_lint_knows_them(folder: Folder, layers: str, found: list[str]) -> None:
    assert sorted(codes(folder, layers)) == found


@pytest.mark.parametrize(
    ("named", "hint"),
    [("busines", " (did you mean 'business'?)"), ("elsewhere.txt", ""), ("PTT", None), ("PT", None)],
)
def test_a_calendar_that_is_not_there_is_told_from_a_file(folder: Folder, named: str, hint: str | None) -> None:
    loaded = folder.write({"tocsin.yaml": f"{BEFORE}      - {{users: ana, holidays: {{skip: {named}}}}}\n"}).load()
    told = [one.message for one in loaded.problems if one.code == "holidays"]

    assert [f"no calendar and no file '{named}'{hint}" in one for one in told] == (
        [] if named == "PT" else [bool(hint)]
    )


def test_the_schema_knows_them() -> None:
    schedule = json_schema()["properties"]["schedules"]["additionalProperties"]
    layer = schedule["properties"]["layers"]["items"]["properties"]

    assert {"timezone", "end", "hours", "holidays"} <= set(layer)
    several, one = layer["hours"]["anyOf"]
    assert (one["type"], several["type"], several["minItems"]) == ("object", "array", 1)
    assert "Mon|Tue" in one["properties"]["from"]["pattern"]
    assert set(layer["holidays"]["properties"]) == {"skip", "only"}
    assert layer["holidays"]["maxProperties"] == 1


def test_what_is_written_is_who_is_on_call(folder: Folder) -> None:
    layer_of(folder, "timezone: Australia/Sydney, hours: {from: Fri 17:00, to: Mon 09:00}, holidays: {skip: business}")
    schedule = folder.settings().schedules["primary"]

    def who(text: str) -> str:
        return on_call(schedule, instant(datetime.fromisoformat(text))).users[0]

    assert [who(f"2026-12-18T{hour}Z") for hour in ("05:59", "06:00")] == ["bo", "ana"]
    assert [who(f"2026-12-25T{hour}Z") for hour in ("12:59", "13:00")] == ["bo", "ana"], (
        "midnight after Christmas in Sydney"
    )

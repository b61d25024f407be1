"""Holidays of calendars and support hours: a country's, a file's, or written dates."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest

from tests.settings.conftest import Folder
from tocsin.decide.oncall.resolver import in_hours
from tocsin.model import Support, instant


def support(folder: Folder, holidays: str) -> Support:
    folder.write({"tocsin.yaml": config(holidays)})
    found = folder.settings().services["shop"].support_hours
    assert found is not None
    return found


def config(holidays: str) -> str:
    return (
        "calendars:\n"
        f"  business: {{timezone: Europe/Lisbon, days: Mon-Fri, from: 09:00, to: 17:00, holidays: {holidays}}}\n"
        "services: {shop: {support_hours: business}}\n"
    )


def open_at(hours: Support, *days: str) -> list[bool]:
    return [in_hours(hours, instant(datetime.fromisoformat(f"{day}T10:00:00+00:00"))) for day in days]


@pytest.mark.parametrize(
    ("holidays", "day", "working"),
    [
        ("PT", "2026-04-25", False),      # a Saturday, Freedom Day
        ("PT", "2026-06-10", False),      # a Wednesday, Portugal Day
        ("PT", "2026-06-11", True),
        ("PT", "2050-06-10", False),
        ("DE", "2026-01-06", True),       # Epiphany is a holiday in some parts only
        ("DE-BY", "2026-01-06", False),
        ("[2026-06-11]", "2026-06-11", False),
        ("[2026-06-11]", "2026-06-10", True),
    ],
)  # fmt: skip
def test_a_holiday_is_no_support_time(folder: Folder, holidays: str, day: str, working: bool) -> None:
    assert open_at(support(folder, holidays), day) == [working]


def test_a_file_of_dates_lies_beside_the_file_that_names_it(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "include: [parts/cal.yaml]\nservices: {shop: {support_hours: business}}\n",
            "parts/cal.yaml": config("off.txt").partition("services")[0],
            "parts/off.txt": "\ufeff# the firm's days off\n\n2026-12-28 between the years\n2026-12-24   # half a day\n",
        }
    )
    hours = folder.settings().services["shop"].support_hours
    assert hours is not None
    assert hours.holidays == ("2026-12-24", "2026-12-28")
    assert open_at(hours, "2026-12-23", "2026-12-24", "2026-12-28") == [True, False, False]


def test_a_mistake_in_the_file_is_told_at_its_line(folder: Folder) -> None:
    folder.write({"off.txt": "2026-12-24\n  24.12.2026\n2026-02-30 never\n"})
    assert folder.errors(config("off.txt")) == [
        "off.txt:2:3: holidays: '24.12.2026' is not a date of the calendar; write for example 2026-01-05, then what day it is, if you like",
        "off.txt:3:1: holidays: '2026-02-30' is not a date of the calendar; write for example 2026-01-05, then what day it is, if you like",
    ]


@pytest.mark.parametrize(
    ("holidays", "said"),
    [
        ("XX", "no holidays are known of a country 'XX'; write a country such as PT, or a part of one such as DE-BY"),
        ("DE-BX", "no holidays are known of a part 'BX' of DE; there are: BB, BE, BW, BY, HB"),
        ("pt", "there is no file {folder}/pt; write a country in capitals, 'PT'"),
        ("off.txt", "there is no file {folder}/off.txt"),
        ("[24.12.2026]", "holidays: '24.12.2026' is not a date of the calendar; write for example 2026-01-05"),
        ("{a: b}", "a country (PT, DE-BY), a file of dates, or a list of dates"),
    ],
)
def test_what_gives_no_days_off_is_refused_at_its_line(folder: Folder, holidays: str, said: str) -> None:
    (error,) = folder.errors(config(holidays))
    assert error.startswith("2:")
    assert said.format(folder=folder.path).replace(f"{folder.path}/", "") in error


def test_without_the_extra_the_error_says_how_to_install_it(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    assert folder.errors(config("PT")) == [
        "2:88: holidays: the holidays of 'PT' need an extra: pip install 'tocsin[holidays]'; or name a file of dates, one a line"
    ]


def test_after_a_bad_start_a_file_that_is_gone_makes_every_day_a_working_day(folder: Folder) -> None:
    folder.write({"tocsin.yaml": config("off.txt")})
    loaded = folder.load(lenient_secrets=True)
    assert loaded.settings is not None
    assert any("no day is a holiday until it can be read" in line for line in folder.said(loaded, "warning"))

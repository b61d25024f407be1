"""One reader of times: what `explain --at` takes, every command takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin.cli.act import _until
from tocsin.cli.oncall import moment_in
from tocsin.cli.recorded_alerts import since_when
from tocsin.cli.times import moment
from tocsin.cli.trouble import Trouble
from tocsin.decide.oncall.overrides import Asked, Window, Wrong, checked
from tocsin.model import DAY, Instant, Layer, Schedule, Settings, User, instant

WORDS = (
    "Tue 06:00",
    "tuesday 6:00",
    "06:00",
    "tomorrow 06:00",
    "2030-01-05 09:00",
    "2030-01-05T09:00:00Z",
    "2030-01-05",
)
NOW = instant(datetime(2026, 12, 2, 12, 0, tzinfo=UTC))  # a Wednesday
PLAN = Schedule("primary", "Europe/Paris", (Layer("", (("ana",),), None, ()),))
PEOPLE = {name: User(name, name, "UTC") for name in ("ana", "bo")}
COMPANY = Settings(hash="", source="", users=PEOPLE, schedules={"primary": PLAN})


@pytest.mark.parametrize("words", WORDS)
def test_every_command_understands_the_same_words(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("TZ", "Europe/Paris")

    meant = moment_in(words, "Europe/Paris")

    assert instant(moment(words)) == meant
    assert instant(datetime.fromisoformat(_until(words)["until"])) == meant if ":" in words else True
    found = checked(Asked("primary", ("bo",), words, None, DAY, None), COMPANY, Instant(meant - 1), ())
    assert isinstance(found, Window)


def test_an_end_is_the_first_one_after_its_beginning() -> None:
    found = checked(Asked("primary", ("bo",), "Tue 06:00", "Mon 06:00", None, None), COMPANY, NOW, ())

    assert isinstance(found, Window)
    assert (found.start, found.end) == tuple(
        instant(datetime.fromisoformat(text)) for text in ("2026-12-08T06:00+01:00", "2026-12-14T06:00+01:00")
    )


def test_looking_back_it_is_the_last_one() -> None:
    found = since_when("Tue 06:00", "Europe/Paris")

    assert 0 <= datetime.now(UTC).timestamp() * 1000 - found <= 7 * DAY + 3_600_000


@pytest.mark.parametrize("words", ["soon", "Tue", "Tue 25:00", "9999-12-31", "", "10:61", "Someday 06:00"])
def test_what_is_no_time_is_told_what_to_write(words: str) -> None:
    with pytest.raises(Trouble, match="03:10"):
        moment(words)
    with pytest.raises(Trouble, match="03:10"):
        moment_in(words, "UTC")
    refused = checked(Asked("primary", ("bo",), words, None, DAY, None), COMPANY, NOW, ())
    assert isinstance(refused, Wrong)
    assert "03:10" in refused.mistakes[0].detail

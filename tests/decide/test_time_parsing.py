"""Times as people say them."""

from __future__ import annotations

from datetime import datetime

import pytest

from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.model import instant

NOW = instant(
    datetime.fromisoformat("2026-03-25T12:00:00+01:00")
)  # a Wednesday, four days before Paris moves its clocks


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-03-26T09:00:00Z", "2026-03-26T09:00:00+00:00"),
        ("2026-03-26 09:00", "2026-03-26T09:00:00+01:00"),
        ("2026-03-26", "2026-03-26T00:00:00+01:00"),
        ("Sunday 03:10", "2026-03-29T03:10:00+02:00"),
        ("sun 02:10", "2026-03-29T03:00:00+02:00"),  # a time that does not exist is the end of the gap
        ("Sun, 3:10", "2026-03-29T03:10:00+02:00"),
        ("Wednesday 12:30", "2026-03-25T12:30:00+01:00"),
        ("Wednesday 12:00", "2026-04-01T12:00:00+02:00"),  # that is now: the next one
        ("wed 03:10", "2026-04-01T03:10:00+02:00"),
        ("03:10", "2026-03-26T03:10:00+01:00"),
        ("23:59", "2026-03-25T23:59:00+01:00"),
        ("today 03:10", "2026-03-25T03:10:00+01:00"),
        ("tomorrow 03:10", "2026-03-26T03:10:00+01:00"),
        ("now", "2026-03-25T12:00:00+01:00"),
    ],
)
def test_what_is_said_is_understood(text: str, means: str) -> None:
    assert moment_of(text, "Europe/Paris", NOW) == instant(datetime.fromisoformat(means))


@pytest.mark.parametrize(
    "text", ["", "Sunday", "Sunday 25:00", "Someday 03:10", "su 03:10", "3", "9999-12-31", "1e9", "٣:10"]
)
def test_what_is_no_time_is_told_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"Sunday 03:10 \(for Europe/Paris\)"):
        moment_of(text, "Europe/Paris", NOW)

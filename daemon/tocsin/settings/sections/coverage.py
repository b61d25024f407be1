"""`hours` and `holidays` of a layer: which hours and days its turns cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.model import Holidays, Hours
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Mapping, Node, Scalar, Sequence
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.document.shapes import BROKEN, Either, Got, Key, Many, Nothing, Record, Shape, Word, wrong_kind
from tocsin.settings.sections.holidays import COUNTRY, DaysOff
from tocsin.settings.sections.shared import ALL_DAYS, DAYS, both_ends

WEEK_MINUTES = 7 * 1440
_EDGE_PATTERN = f"^(({'|'.join(scalars.DAYS)}) +)?([01][0-9]|2[0-3]):[0-5][0-9]$"
_EDGE = Word(scalars.window_end, "a clock time, or a day and a clock time", _EDGE_PATTERN, "Fri 17:00")


# ----------------------------------------------------------------------------------------- hours


def _window(got: Got, reading: Reading) -> Hours | Nothing:
    """Weekly hours by clock times alone, or one window from a day's time to another day's."""
    both_ends(got, reading)
    (first, start), (last, end) = got.get("from", (None, 0)), got.get("to", (None, 0))
    if first is None and last is None:
        return Hours(got.get("days", ALL_DAYS), start, end)
    if not {"from", "to"} <= got.values.keys():
        return BROKEN  # the other end is told already
    if first is None or last is None:
        key = "from" if first is None else "to"
        message = f"has no day, and the other end has one; write for example Mon {_clock(got, key)}"
        return _wrong(got, key, message, reading)
    if got.has("days"):
        return _wrong(got, "days", "does not go with days in from and to; write one or the other", reading)
    if (first, start) == (last, end):
        message = "is the same time as from; write another end, or leave hours out to cover the whole week"
        return _wrong(got, "to", message, reading)
    length = ((last - first) * 1440 + end - start) % WEEK_MINUTES
    return Hours(frozenset({first}), start, end, (start + length) // 1440)


def _wrong(got: Got, key: str, message: str, reading: Reading) -> Nothing:
    reading.error(got.at(key), "window", message, at=got.at(key).key_at)
    return BROKEN


def _clock(got: Got, key: str) -> str:
    minute = got.get(key)[1]
    return f"{minute // 60:02d}:{minute % 60:02d}"


_ONE = Record(
    "hours",
    {
        "days": Key(DAYS, "on which days; absent: every day", shown="every day"),
        "from": Key(
            _EDGE,
            "from this clock time; later than `to`: overnight, of its starting day; with a day, `Fri 17:00`: a window "
            "across days",
            shown="00:00",
        ),
        "to": Key(
            _EDGE, "to this clock time; equal to `from`: the whole day; with a day where `from` has one", shown="00:00"
        ),
    },
    _window,
)


class _Windows(Shape[tuple[Hours, ...]]):
    """A window, or a list of at least one."""

    named = Either(mapped=_ONE, listed=Many(_ONE, least=1))

    def read(self, node: Node, reading: Reading) -> tuple[Hours, ...] | Nothing:
        found: Hours | tuple[Hours, ...] | Nothing = self.named.read(node, reading)
        return (found,) if isinstance(found, Hours) else found

    def schema(self) -> dict[str, Any]:
        return self.named.schema()


HOURS = _Windows()


# -------------------------------------------------------------------------------------- holidays


@dataclass(frozen=True, eq=False)
class _DaysOrCalendar(Shape[tuple[str, ...]]):
    """A country, a file or a list of dates; or the name of a calendar, whose holidays are taken."""

    _days = DaysOff()

    def read(self, node: Node, reading: Reading) -> tuple[str, ...] | Nothing:
        if isinstance(node, Scalar) and node.text in reading.names("calendars"):
            return self._of_calendar(node, reading)
        if isinstance(node, Scalar) and (hint := self._misspelt(node, reading)):
            reading.error(node, "holidays", f"there is no calendar and no file '{node.text}'{hint}")
            return BROKEN
        return self._days.read(node, reading)

    def _misspelt(self, node: Scalar, reading: Reading) -> str:
        """The calendar whose name it may be, where it is neither a country nor a file."""
        near = did_you_mean(node.text, reading.names("calendars"))
        if not near or COUNTRY.fullmatch(node.text) or (reading.folders.get(node.at.file, Path()) / node.text).exists():
            return ""
        return near

    def _of_calendar(self, node: Scalar, reading: Reading) -> tuple[str, ...] | Nothing:
        calendar = reading.values["calendars"].get(node.text)
        if calendar is None:
            return BROKEN  # what is wrong with it is told there
        if not calendar.holidays:
            reading.warn(node, "no-holidays", f"the calendar '{node.text}' has no holidays; write them there, or here")
        dates: tuple[str, ...] = calendar.holidays
        return dates

    def schema(self) -> dict[str, Any]:
        about = "a country (PT, DE-BY), a file of dates, one a line, or the name of a calendar"
        return {"anyOf": [{"type": "string", "description": about}, *self._days.schema()["anyOf"][1:]]}


def _holidays(got: Got, reading: Reading) -> Holidays | Nothing:
    if got.has("skip") and got.has("only"):
        reading.error(got.at("only"), "bad-value", "write skip or only, not both", at=got.at("only").key_at)
        return BROKEN
    if not got.has("skip") and not got.has("only"):
        if not got.node.cut:
            reading.error(got.node, "missing-key", "'skip' or 'only' is missing (which days)", at=got.node.at)
        return BROKEN
    mode, dates = next(iter(got.values.items()), (None, None))
    if mode == "only" and dates == () and isinstance(got.at("only"), Sequence):
        reading.warn(got.at("only"), "no-holidays", "names no day, so the layer never covers; write days, or remove it")
    return BROKEN if dates is None else Holidays(mode, dates)  # type: ignore[arg-type]  # skip or only


class _HolidaysShape(Shape[Holidays]):
    """`{skip: PT}` or `{only: PT}`; a bare `PT` is told how to say which."""

    named = Record(
        "holidays",
        {
            "skip": Key(_DaysOrCalendar(), "the layer does not cover these days"),
            "only": Key(_DaysOrCalendar(), "the layer covers these days only"),
        },
        _holidays,
    )

    def read(self, node: Node, reading: Reading) -> Holidays | Nothing:
        if isinstance(node, Scalar) and not node.empty:
            return wrong_kind(node, reading, f"{{skip: {node.text}}} or {{only: {node.text}}}")
        if not isinstance(node, Mapping):
            return wrong_kind(node, reading, "{skip: …} or {only: …}")
        found: Holidays | Nothing = self.named.read(node, reading)
        return found

    def schema(self) -> dict[str, Any]:
        return {**self.named.schema(), "minProperties": 1, "maxProperties": 1}


HOLIDAYS = _HolidaysShape()

"""Days off: a country's holidays, a file of dates, or the dates themselves; always dates in the end."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tocsin.model import Where
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Node, Scalar, Sequence
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.document.shapes import BROKEN, Many, Nothing, Shape, Word, wrong_kind
from tocsin.settings.document.trusted_files import Unreadable, read_whole, who_else_writes

YEARS = range(2020, 2051)  # a configuration reads no clock, so that it means the same whenever it is read
LONGEST = 256 * 1024
MOST_MISTAKES = 20
EXTRA = "pip install 'tocsin[holidays]'"
COUNTRY = re.compile("([A-Z]{2})(?:-([A-Za-z0-9]{1,12}))?")
_DATES = Many(Word(scalars.calendar_date, "a date", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "2026-12-25"))


class DaysOff(Shape[tuple[str, ...]]):
    """`PT`, `DE-BY`, a file's name, or a list of dates; each date as YYYY-MM-DD, in order."""

    def read(self, node: Node, reading: Reading) -> tuple[str, ...] | Nothing:
        match node:
            case Sequence():
                found = _DATES.read(node, reading)
                return found if isinstance(found, Nothing) else _in_order(found)
            case Scalar() if not node.empty:
                country = COUNTRY.fullmatch(node.text)
                return _of_country(node, country, reading) if country else _of_file(node, reading)
            case _:
                return wrong_kind(node, reading, "a country (PT, DE-BY), a file of dates, or a list of dates")

    def schema(self) -> dict[str, Any]:
        about = "a country (PT, DE-BY) or a file of dates, one a line"
        return {"anyOf": [{"type": "string", "description": about, "examples": ["PT", "DE-BY"]}, _DATES.schema()]}


def _in_order(dates: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(dates)))


# ---------------------------------------------------------------------------------------- countries


def _of_country(node: Scalar, written: re.Match[str], reading: Reading) -> tuple[str, ...] | Nothing:
    country, part = written.groups()
    try:
        library = importlib.import_module("holidays")
    except ImportError:
        message = f"the holidays of '{node.text}' need an extra: {EXTRA}; or name a file of dates, one a line"
        reading.error(node, "holidays", message)
        return BROKEN
    known: dict[str, list[str]] = library.list_supported_countries(include_aliases=False)
    if country not in known:
        hint = did_you_mean(country, known) or "; write a country such as PT, or a part of one such as DE-BY"
        reading.error(node, "holidays", f"no holidays are known of a country '{country}'{hint}")
        return BROKEN
    if part is not None and part not in known[country]:
        parts = ", ".join(known[country]) or "none; write the country alone"
        reading.error(node, "holidays", f"no holidays are known of a part '{part}' of {country}; there are: {parts}")
        return BROKEN
    found = library.country_holidays(country, subdiv=part, years=YEARS)
    return _in_order(tuple(day.isoformat() for day in found))


# --------------------------------------------------------------------------------------------- files


def _of_file(node: Scalar, reading: Reading) -> tuple[str, ...] | Nothing:
    path = reading.folders.get(node.at.file, Path()) / node.text
    text = _text_of(path, node, reading)
    if isinstance(text, ValueError):
        return _without(node, reading, str(text))
    dates, mistakes = [], 0
    for where, written in _lines(path, text):
        try:
            dates.append(scalars.calendar_date(written))
        except ValueError as mistake:
            mistakes += 1
            if mistakes <= MOST_MISTAKES:
                reading.note("error", where, "holidays", f"holidays: {mistake}, then what day it is, if you like")
    return BROKEN if mistakes else _in_order(tuple(dates))


def _text_of(path: Path, node: Scalar, reading: Reading) -> str | ValueError:
    try:
        found = read_whole(path, LONGEST)
        others = who_else_writes(found.about, path, reading.owners)
        if others:
            reading.error(node, "permission", others)
        if len(found.raw) > LONGEST:
            return ValueError(f"{path} has more than {LONGEST // 1024} KiB; it should have dates, one a line")
        return found.raw.decode("utf-8-sig")
    except Unreadable as wrong:
        capitals = re.fullmatch("[a-z]{2}", path.name) is not None and not os.path.lexists(path)
        hint = f"; write a country in capitals, '{path.name.upper()}'" if capitals else ""
        there = "\0" in str(path) or os.path.lexists(path)
        return ValueError(wrong.of(path) if there else f"there is no file {path}{hint}")
    except ValueError:
        return ValueError(f"{path} is not text in UTF-8; it should have dates, one a line")


def _lines(path: Path, text: str) -> Iterator[tuple[Where, str]]:
    """Yield each date as written, and where: the first word of a line; `#` begins a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        told = line.partition("#")[0]
        if told.strip():
            yield Where(str(path), number, len(told) - len(told.lstrip()) + 1), told.split()[0]


def _without(node: Scalar, reading: Reading, because: str) -> tuple[str, ...] | Nothing:
    """An error; after a bad start the holidays are worked days instead, since that pages rather more than less."""
    if reading.lenient_secrets:
        reading.warn(node, "holidays", f"{because}; no day is a holiday until it can be read")
        return ()
    reading.error(node, "holidays", because)
    return BROKEN

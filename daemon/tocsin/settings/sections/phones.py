"""Phone numbers: validity and the written form, E.164, by the tables of `phonenumbers`.

What no country has (too short, too long, no such country code) is an error. What its country has not given out, as
far as the installed tables know, is a warning: tables age, and a new range must not keep a configuration out of force.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.shapes import BROKEN, Nothing, Shape, Word, wrong_kind

WANTED = "a phone number with + and country code"
_WORD = Word(scalars.phone, WANTED, "^\\+", "+351912345678")
WITHOUT_SMS = {
    PhoneNumberType.FIXED_LINE: "a landline", PhoneNumberType.TOLL_FREE: "a toll-free number",
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number", PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.UAN: "a company's service number", PhoneNumberType.VOICEMAIL: "a voicemail's number",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PhoneShape(Shape[str]):
    """A phone number; a national one is refused with its E.164 form, where the zone in force tells the country."""

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        if not isinstance(node, Scalar) or node.empty:
            return wrong_kind(node, reading, WANTED)
        try:
            number = scalars.phone(node.text)
        except ValueError as mistake:
            zone = reading.zone or getattr(reading.values.get("defaults"), "timezone", "")
            meant = in_e164(node.text, region_of(zone))
            reading.error(node, "bad-address", f"{mistake}; write {meant}" if meant else str(mistake))
            return BROKEN
        if not phonenumbers.is_valid_number(phonenumbers.parse(number)):
            message = f"{number}: no such number was given out, as far as is known here; is a digit wrong?"
            reading.warn(node, "unknown-number", message)
        return number

    def schema(self) -> dict[str, Any]:
        return _WORD.schema()


PHONE = PhoneShape()


def in_e164(text: str, region: str) -> str:
    """A national number of that country as E.164; "" where it is none, or no country is known."""
    if not region or text.strip().startswith("+"):
        return ""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return ""
    valid = phonenumbers.is_valid_number(number)
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164)) if valid else ""


def without_sms(number: str) -> str:
    """The kind of a number that surely takes no SMS; "" where it may take some."""
    return WITHOUT_SMS.get(phonenumbers.number_type(phonenumbers.parse(number)), "")


def region_of(zone: str) -> str:
    """The country (ISO 3166) a zone lies in; "" where it lies in none, as UTC."""
    return _regions().get(zone, "")


@lru_cache(maxsize=1)
def _regions() -> dict[str, str]:
    """zone.tab of the zone database (one country a zone), from where zoneinfo finds its zones too."""
    found: dict[str, str] = {}
    for line in _zone_tab().splitlines():
        if fields := re.match(r"([A-Z]{2})\t\S+\t(\S+)", line):
            found[fields[2]] = fields[1]
    return found


def _zone_tab() -> str:
    for folder in TZPATH:
        path = Path(folder) / "zone.tab"
        if path.is_file():
            return path.read_text("utf-8")
    packaged = files("tzdata") / "zoneinfo" / "zone.tab" if find_spec("tzdata") else None
    return packaged.read_text("utf-8") if packaged is not None and packaged.is_file() else ""

"""docs/configuration.md names exactly the sections and keys that exist, and so does the JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tocsin.settings import json_schema
from tocsin.settings.catalogue import SECTIONS
from tocsin.settings.document.shapes import Either, Key, Many, Never, Record, Shape, Table
from tocsin.settings.plugins import COMING, INSTALLED, BrokenKind
from tocsin.settings.sections.plugin_options import Kinded, shape_of

MANUAL = Path(__file__).parent.parent.parent / "docs" / "configuration.md"


def rows(shape: Shape[Any], path: str = "") -> Iterator[tuple[str, Key]]:
    """Every key below a shape as a path: `NAME.contacts.NAME.channel`, lists without a mark."""
    match shape:
        case Record(keys=keys):
            for name, key in keys.items():
                here = f"{path}.{name}".removeprefix(".")
                yield here, key
                yield from rows(key.shape, here)
        case Table(item=item):
            yield from rows(item, f"{path}.NAME".removeprefix("."))
        case Many(item=item) | Never(other=item):
            yield from rows(item, path)
        case Either(listed=listed, mapped=mapped):
            yield from dict(pair for part in (listed, mapped) if part is not None for pair in rows(part, path)).items()
        case Kinded(group=group, common=common):
            for name, key in common(INSTALLED.kind(group, INSTALLED.types(group)[0])).items():
                yield f"{path}.{name}", key
                yield from rows(key.shape, f"{path}.{name}")
            yield f"{path}.type", Key(shape, "which kind it is", required=True)
        case _:
            named = getattr(shape, "named", None)
            if named is not None:
                yield from rows(named, path)


def written(heading: str) -> set[str]:
    """The keys in the first column of the tables under a heading of the manual."""
    text = MANUAL.read_text(encoding="utf-8")
    parts = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)
    assert len(parts) == 2, f"docs/configuration.md lacks the heading {heading}"
    body = re.split(r"^#", parts[1], maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `([^`]+)` \|", body, flags=re.MULTILINE))


def test_the_manual_names_every_section_and_key_and_no_other() -> None:
    for name, section in SECTIONS.items():
        assert written(f"`{name}`") == {path for path, _ in rows(section.shape)}, name


def test_the_manual_names_every_option_of_every_kind_and_no_other() -> None:
    for group in ("sources", "channels"):
        for type in INSTALLED.types(group):
            kind = INSTALLED.kind(group, type)
            assert not isinstance(kind, BrokenKind)
            options = COMING[group][type] if kind is None else kind.options
            word = "Integration" if group == "sources" else "Channel"
            below = {
                f"{name}.{path}" for name, option in options.items() for path, _ in rows(shape_of(type, name, option))
            }
            assert written(f"{word} type `{type}`") == set(options) | below, type


def test_the_schema_is_json_and_knows_every_section() -> None:
    schema = json.loads(json.dumps(json_schema()))

    assert set(schema["properties"]) == set(SECTIONS)
    assert schema["properties"]["users"]["additionalProperties"]["properties"].keys() >= {"name", "contacts", "notify"}


def test_the_schema_knows_the_options_of_each_kind() -> None:
    channels = json_schema()["properties"]["channels"]["additionalProperties"]

    options = {rule["if"]["properties"]["type"]["const"]: set(rule["then"]["properties"]) for rule in channels["allOf"]}

    assert options["smtp"] >= {"type", "host", "port", "from", "to"}
    assert options["twilio_sms"] >= {"account_sid", "auth_token", "from"}

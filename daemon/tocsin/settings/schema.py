"""The configuration as JSON Schema, for editors (yaml-language-server) and for the manual's own test."""

from __future__ import annotations

from typing import Any

from tocsin.settings.catalogue import SECTIONS, Section


def json_schema() -> dict[str, Any]:
    """Draft 2020-12. Plain YAML words such as `5m`, `+351…` and `no` are text to Tocsin; numbers and
    true/false are written plainly where the schema says integer or boolean."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tocsin configuration",
        "description": "Any file may hold any section; see docs/configuration.md.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _described(section) for name, section in SECTIONS.items()},
    }


def _described(section: Section) -> dict[str, Any]:
    about = section.shape.schema()
    about["description"] = f"{section.help} (no effect yet)" if section.later else section.help
    return about

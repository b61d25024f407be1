"""The sample bodies and what the tests of sources share."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import orjson

from tocsin.model import EMPTY, Instant, IntegrationConfig, Secret
from tocsin_integrations.common.json_fields import instant_of

SAMPLES = Path(__file__).parent.parent / "samples"
ROUTING_KEY = "0f3a9c1d5e7b4a2c8d6e0b1f2a3c4d5e"


def cases(sources: Container[str]) -> list[dict[str, Any]]:
    """The contract's entries for bodies that somebody posts to one of these sources."""
    entries = orjson.loads((SAMPLES / "expected.json").read_bytes())
    return [e for e in entries if e["method"] == "POST" and e["file"].split("/")[0] in sources]


def config(kind: str, **options: Any) -> IntegrationConfig:
    """An integration of this kind as the contract's tables assume it."""
    if kind == "pagerduty":
        options.setdefault("routing_key", Secret((ROUTING_KEY,)))
    return IntegrationConfig(name="it", type=kind, options=options or EMPTY)


def instant(text: str) -> Instant:
    """The instant of an RFC 3339 text."""
    at = instant_of(text)
    assert at is not None
    return at

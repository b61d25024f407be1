"""Where something stands in a list that is shown in parts."""

from __future__ import annotations

from typing import NamedTuple

from tocsin.model import (
    Instant,
)


class Stand(NamedTuple):
    """Where a silence, override or swap stands in a list: by an instant of it, then by its id."""

    at: Instant
    id: str

"""Positions in lists that are shown in parts."""

from __future__ import annotations

from typing import NamedTuple

from tocsin.model import Instant


class Stand(NamedTuple):
    """Position of a silence, override or swap in a list: by an instant of it, then by its id."""

    at: Instant
    id: str

"""Terms on which an alert counts and is over, as rules said it and as it is kept with the alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.model import EMPTY, Flap, Millis, Threshold


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that rules set; None: no rule says so. A verdict has no Terms at all where no rule says any of it."""

    threshold: Threshold | None = None
    flap: Flap | None = None
    resolve_after: Millis | None = None

    def kept(self) -> Mapping[str, Any]:
        """As it stands with the alert, for its resolve: rules are not run for that, and may be others by then."""
        terms: dict[str, Any] = {}
        if self.resolve_after:
            terms["resolve_after"] = self.resolve_after
        if self.flap is not None:
            terms["flap"] = [self.flap.changes, self.flap.within, self.flap.settle, self.flap.rule]
        return terms or EMPTY


PASSING = "passing"
"""Stands in the terms of an alert that waits for a threshold: the end it has is ours, and goes when it joins."""

NO_TERMS = Terms()


def terms_of(kept: Mapping[str, Any]) -> Terms:
    """Terms as `kept` said them."""
    if not kept:
        return NO_TERMS
    flap = kept.get("flap")
    return Terms(None, Flap(*flap) if flap else None, kept.get("resolve_after"))

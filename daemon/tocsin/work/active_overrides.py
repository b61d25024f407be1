"""Overrides made at run time, as this process knows them, ready for the resolver."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.decide.oncall.overrides import Extra, extra_of
from tocsin.model import EMPTY, HOUR, Instant, MadeOverride, Millis, Settings

BACK = Millis(HOUR)
"""How far back they are kept: a step that runs late asks for the time it was planned for."""


class ActiveOverrides:
    """Refreshed from the store, changed with each override made or taken back here."""

    def __init__(self) -> None:
        self._made: dict[str, MadeOverride] = {}
        self._extra: Extra = EMPTY
        self._for: Settings | None = None

    def replace(self, made: Iterable[MadeOverride]) -> None:
        self._made = {override.id: override for override in made}
        self._for = None

    def set(self, made: Iterable[MadeOverride], now: Instant) -> None:
        """Take these overrides as they are now; those that ended long ago are forgotten."""
        changed = {**self._made, **{override.id: override for override in made}}
        self.replace(override for override in changed.values() if override.ends_at > now - BACK)

    def by_schedule(self, settings: Settings) -> Extra:
        """In the order they were made, as the store has them too."""
        if self._for is not settings:
            made = sorted(self._made.values(), key=lambda override: (override.created_at, override.id))
            self._extra, self._for = extra_of(made, settings), settings
        return self._extra

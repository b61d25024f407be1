"""Heartbeats, as the store keeps them."""

from __future__ import annotations

from typing import Protocol

from tocsin.model import Beat


class HeartbeatChanges(Protocol):
    """The part of `Tx` that is about heartbeats."""

    async def beats(self) -> dict[str, Beat]:
        """Every heartbeat by name, locked where others write too."""

    def save_beat(self, beat: Beat) -> None: ...

    def forget_beat(self, name: str) -> None: ...


class HeartbeatReads(Protocol):
    """The part of `Store` that is about heartbeats: a recent committed state, without a lock."""

    async def beats(self) -> list[Beat]: ...

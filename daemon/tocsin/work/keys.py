"""Keys for links: made at first start, two valid at once, rotated by hand."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tocsin.contracts import Chance, Store

META = "link_keys"


class Keys:
    """The signing keys, newest first."""

    def __init__(self, store: Store, chance: Chance) -> None:
        self._store, self._chance = store, chance
        self._keys: list[str] = []

    async def load(self) -> None:
        """Read the keys; make the first one where there is none."""
        kept = await self._store.meta(META)
        self._keys = orjson.loads(kept) if kept else []
        if not self._keys:
            await self.rotate()

    async def rotate(self) -> None:
        """A new key signs from now on; what the one before signed stays valid until the next rotation."""
        self._keys = [self._chance.token() + self._chance.token(), *self._keys[:1]]
        await self._store.set_meta(META, orjson.dumps(self._keys).decode())

    @property
    def newest(self) -> str:
        return self._keys[0]

    @property
    def valid(self) -> Sequence[str]:
        return tuple(self._keys)

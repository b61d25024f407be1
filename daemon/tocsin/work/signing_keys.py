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
        """Read the keys; make the first one where there is none. Two that begin at once have the same."""
        kept = await self._store.meta(META)
        if not kept:
            await self._store.add_meta(META, orjson.dumps([self._new()]).decode())
            kept = await self._store.meta(META)
        self._keys = orjson.loads(kept or "[]")

    async def rotate(self) -> None:
        """A new key signs from now on; what the one before signed stays valid until the next rotation."""
        await self.load()  # another replica may have rotated since
        keys = [self._new(), *self._keys[:1]]
        await self._store.set_meta(META, orjson.dumps(keys).decode())
        self._keys = keys

    def _new(self) -> str:
        return self._chance.token() + self._chance.token()

    @property
    def newest(self) -> str:
        return self._keys[0]

    @property
    def valid(self) -> Sequence[str]:
        return tuple(self._keys)

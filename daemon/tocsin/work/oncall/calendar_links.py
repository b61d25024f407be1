"""Links for calendar programs: each opens one calendar for reading, does nothing else, and can be taken back.

They have a key of their own: the keys of pages' links are rotated, and a subscription must outlive that.
"""

from __future__ import annotations

from typing import Literal

from itsdangerous import BadData, URLSafeSerializer

from tocsin.contracts import Chance, Store

KEY, TURN = "calendar_key", "calendar_turn"
SALT = "tocsin.calendar.v1"
LONGEST = 512

Kind = Literal["schedule", "user"]


class Subscriptions:
    """A link is signed over (kind, name, turn, API token that asked for it); taking it back begins another turn of that
    calendar, and it dies with that token. (Links made before tokens were named in them live until they are taken back.)

    Each calendar's turn is a value of its own and never counted on: of two that are taken back at once none comes back.
    """

    def __init__(self, store: Store, chance: Chance) -> None:
        self._store, self._chance = store, chance

    async def token(self, kind: Kind, name: str, by: str) -> str:
        """The token that opens this calendar now, for whoever holds the API token of this id; the same until it is
        taken back."""
        serializer = URLSafeSerializer(await self._key(), salt=SALT)
        text = serializer.dumps([kind, name, await self._turn(kind, name), by])
        return text if isinstance(text, str) else text.decode()

    async def opens(self, token: str, kind: Kind, name: str) -> str | None:
        """The id of the API token it was made for, where it is this calendar's and was not taken back; "" of an old
        one; None: it does not open."""
        key = await self._store.meta(KEY)
        if not key or len(token) > LONGEST:
            return None
        try:
            said = URLSafeSerializer(key, salt=SALT).loads(token)
        except (BadData, ValueError, TypeError):
            return None
        if not isinstance(said, list) or said[:3] != [kind, name, await self._turn(kind, name)]:
            return None
        return str(said[3]) if len(said) == 4 else "" if len(said) == 3 else None

    async def take_back(self, kind: Kind, name: str) -> None:
        """Revoke all links to this calendar from now on, on every replica."""
        await self._store.set_meta(_turn_of(kind, name), self._chance.token())

    async def _turn(self, kind: Kind, name: str) -> str:
        return await self._store.meta(_turn_of(kind, name)) or ""

    async def _key(self) -> str:
        """Made for the first link, and read each time: it is every replica's."""
        key = await self._store.meta(KEY)
        if not key:
            await self._store.add_meta(KEY, self._chance.token() + self._chance.token())
            key = await self._store.meta(KEY)
        return key or ""


def _turn_of(kind: Kind, name: str) -> str:
    return f"{TURN}/{kind}:{name}"

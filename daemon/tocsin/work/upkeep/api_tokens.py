"""API tokens: shown once, kept as hashes, revocable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from tocsin.contracts import Chance, Clock, Store, Tx
from tocsin.errors import Refused, StoreUnavailable
from tocsin.model import Instant, Millis, Role, Token
from tocsin.work.signing_keys import Keys

PREFIX = "tocsin_"
SIGNED_OUT = "signed_out"  # the meta values of sessions that were ended, by their marks
FRESH = Millis(2_000)  # with a shared database a token revoked elsewhere dies within this


class Access:
    """Tokens by the SHA-256 of their 256 random bits: nothing slower is needed for what cannot be guessed."""

    def __init__(
        self, store: Store, clock: Clock, chance: Chance, keys: Keys, user_exists: Callable[[str], bool]
    ) -> None:
        self._store, self._clock, self._chance, self._keys = store, clock, chance, keys
        self._user_exists = user_exists
        self._by_hash: dict[str, Token] = {}
        self._read_at: Instant | None = None
        self._used: dict[str, Instant] = {}  # by id: not yet written

    async def check(self, bearer: str) -> Token | None:
        """The token, unless it is unknown, revoked, or of a user who is no longer configured."""
        await self._refresh()
        return self._alive(self._by_hash.get(hashed(bearer)) if bearer.startswith(PREFIX) else None)

    async def by_id(self, id: str) -> Token | None:
        """Holder of a token that was shown before, and whose id is known since."""
        await self._refresh()
        return self._alive(next((token for token in self._by_hash.values() if token.id == id), None))

    def _alive(self, token: Token | None) -> Token | None:
        if token is None or token.revoked_at is not None:
            return None
        if token.user is not None and not self._user_exists(token.user):
            return None
        self._used[token.id] = self._clock.now()
        return token

    async def sign_out(self, mark: str, until: Instant) -> None:
        """The session of this mark is over, on every replica; it is remembered until it would have ended by itself."""
        await self._store.set_meta(f"{SIGNED_OUT}/{mark}", str(until))

    async def signed_out(self, mark: str) -> bool:
        return await self._store.meta(f"{SIGNED_OUT}/{mark}") is not None

    async def create(self, name: str, role: Role, user: str | None) -> tuple[Token, str]:
        """A new token and its text, which is never shown again. Raises Refused for an unknown user or a taken name."""
        if user is not None and not self._user_exists(user):
            raise Refused(f"there is no user '{user}' in the configuration", status=422)
        if not name.strip() or len(name) > 100:
            raise Refused("a token needs a name of at most 100 characters", status=422)
        if any(token.name == name and token.revoked_at is None for token in await self._store.tokens()):
            raise Refused(f"there is a token named '{name}' already; revoke it or choose another name")
        bearer = PREFIX + self._chance.token() + self._chance.token()
        token = Token(self._chance.token()[:12], name, role, user, hashed(bearer), self._clock.now())

        async def work(tx: Tx) -> None:
            tx.add_token(token)

        await self._store.write(work)
        self._read_at = None
        return token, bearer

    async def revoke(self, name: str) -> Token:
        """By id or name; at once. Raises Refused when there is none."""
        found = [one for one in await self._store.tokens() if name in (one.id, one.name) and one.revoked_at is None]
        if not found:
            raise Refused(f"there is no token '{name}'", status=404)
        revoked = replace(found[0], revoked_at=self._clock.now())

        async def work(tx: Tx) -> None:
            tx.save_token(revoked)

        await self._store.write(work)
        self._read_at = None
        return revoked

    async def all(self) -> list[Token]:
        await self.flush_uses()
        return await self._store.tokens()

    async def flush_uses(self) -> None:
        """Write down when tokens were last used: all at once, now and then, so that no request waits for it."""
        used, self._used = self._used, {}
        if not used:
            return

        async def work(tx: Tx) -> None:
            for id, at in sorted(used.items()):
                tx.touch_token(id, at)

        try:
            await self._store.write(work)
        except StoreUnavailable:
            self._used = used | self._used
            raise

    async def learn_keys(self) -> None:
        """Another replica may have rotated the keys: what it signs is to open here too."""
        await self._keys.load()

    async def rotate_keys(self) -> None:
        """Links signed before the last rotation die now."""
        await self._keys.rotate()

    async def _refresh(self) -> None:
        now = self._clock.now()
        if self._read_at is not None and (self._store.exclusive or now - self._read_at < FRESH):
            return
        self._by_hash = {token.hash: token for token in await self._store.tokens()}
        self._read_at = now


def hashed(bearer: str) -> str:
    return hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).hexdigest()

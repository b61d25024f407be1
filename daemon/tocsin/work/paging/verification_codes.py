"""The codes that prove a contact: six digits that follow from the page that carries them. No code is kept anywhere."""

from __future__ import annotations

import hashlib
import hmac

from tocsin.work.signing_keys import Keys

DIGITS = 6


class VerificationCodes:
    """Codes of pages, one each, by the keys that sign links too."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def of(self, page: str) -> str:
        return _code(self._keys.newest, page)

    def fits(self, given: str, page: str) -> bool:
        """Whether this is the page's code, in the same time whichever it is; by the key before the newest too."""
        right = False
        for key in self._keys.valid:
            right |= hmac.compare_digest(given.encode("utf-8", "surrogatepass"), _code(key, page).encode())
        return right and bool(page)


def _code(key: str, page: str) -> str:
    digest = hmac.digest(key.encode(), f"tocsin.code.v1/{page}".encode(), hashlib.sha256)
    return str(int.from_bytes(digest[:8]) % 10**DIGITS).zfill(DIGITS)

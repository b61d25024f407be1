"""Actors, tokens and secrets: who acts, and by what Tocsin knows them."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Literal

from tocsin.model.words import Instant, Role


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, integration or Tocsin itself, as the one who acts."""

    kind: Literal["user", "integration", "tocsin"]
    name: str

    def __str__(self) -> str:
        return "tocsin" if self.kind == "tocsin" else f"{self.kind}:{self.name}"

    @property
    def shown(self) -> str:
        """As `acknowledged_by` has it: the user's key, or "integration:NAME"."""
        return self.name if self.kind == "user" else str(self)


TOCSIN = Actor("tocsin", "tocsin")


@dataclass(frozen=True, slots=True)
class Token:
    """An API token; only its argon2/sha hash is kept. `user` None: may read and post alerts only."""

    id: str
    name: str
    role: Role
    user: str | None
    hash: str
    created_at: Instant
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of one or more accepted values; the first is used outbound. Never shown."""

    values: tuple[str, ...] = field(repr=False)

    @property
    def first(self) -> str:
        return self.values[0]

    def __str__(self) -> str:
        return "•••"


def secret_matches(given: str, secret: Secret) -> bool:
    """Whether `given` is one of the accepted values, in the same time whichever it is."""
    offered = given.encode("utf-8", "surrogatepass")
    found = False
    for value in secret.values:
        found |= hmac.compare_digest(offered, value.encode("utf-8"))
    return found

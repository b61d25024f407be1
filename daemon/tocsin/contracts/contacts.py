"""Addresses of people and what is known of them, and answers that came in, as the store keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tocsin.model import ContactState, Instant, Verification


@dataclass(frozen=True, slots=True)
class Door:
    """A provider's message, so that a second delivery of it changes nothing."""

    door: str
    message_id: str


class ContactChanges(Protocol):
    """The part of `Tx` that is about contacts."""

    async def contact_state(self, kind: str, address: str) -> ContactState | None: ...

    async def verification(self, user: str, kind: str, address: str) -> Verification | None:
        """The verification of this person's address; locked where others write too."""

    async def answers_to(self, door: Door) -> str | None:
        """The answer that this provider message got before; None: it is new."""

    async def replies_since(self, address: str, since: Instant) -> int:
        """The number of automatic replies that went to this address since then."""

    def add_answer(self, door: Door, address: str, answer: str, at: Instant) -> None: ...

    def save_contact_state(self, state: ContactState) -> None: ...

    def save_verification(self, verification: Verification) -> None: ...


class ContactReads(Protocol):
    """The part of `Store` that is about contacts: a recent committed state, without a lock."""

    async def contact_states(self) -> list[ContactState]:
        """The state of every address that something was learnt of."""

    async def verifications(self) -> list[Verification]:
        """The verification of every person and address that a code was ever sent to."""

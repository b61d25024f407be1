"""Contacts: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from tocsin.contracts import Door
from tocsin.model import ContactState, Instant, Verification
from tocsin.store.asking import ReaderBase, TransactionBase, first, only
from tocsin.store.rows import CONTACT_STATE, VERIFICATION


class ContactTransaction(TransactionBase):
    """`contracts.contacts.ContactChanges`."""

    async def contact_state(self, kind: str, address: str) -> ContactState | None:
        return first(CONTACT_STATE.values(await self.ask("contact_state", kind, address)))

    async def verification(self, user: str, kind: str, address: str) -> Verification | None:
        return first(VERIFICATION.values(await self.ask("verification", user, kind, address)))

    async def answers_to(self, door: Door) -> str | None:
        return only(await self.ask("answers_to", door.door, door.message_id), str)

    async def replies_since(self, address: str, since: Instant) -> int:
        return only(await self.ask("replies_since", address, since), int) or 0

    def add_answer(self, door: Door, address: str, answer: str, at: Instant) -> None:
        self.changes.insert("inbound", "add_answer", [(door.door, door.message_id, address, answer, at)])

    def save_contact_state(self, state: ContactState) -> None:
        self.changes.insert("contacts_state", "save_contact_state", [state])

    def save_verification(self, verification: Verification) -> None:
        self.changes.insert("contacts_verified", "save_verification", [verification])


class ContactReader(ReaderBase):
    """`contracts.contacts.ContactReads`."""

    async def contact_states(self) -> list[ContactState]:
        return CONTACT_STATE.values(await self._look("contact_states"))

    async def verifications(self) -> list[Verification]:
        return VERIFICATION.values(await self._look("verifications"))

"""Contacts that the database knows as unproven or unusable. Read beside the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from tocsin.clock import SystemClock
from tocsin.errors import StoreError
from tocsin.model import ContactState, Millis, Settings, Verification
from tocsin.store import open_reader

PATIENCE = Millis(3_000)
UNVERIFIED = "is not verified"


def known_doubts(settings: Settings) -> Mapping[tuple[str, str], str]:
    """(user, contact's name) → why pages may not arrive there, for the lint.

    Empty where there is no database, or it does not answer. Creates nothing. A terminal has no address that
    could be wrong.
    """
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> Mapping[tuple[str, str], str]:
    clock = SystemClock()
    try:
        async with clock.timeout(PATIENCE):
            reader = await open_reader(settings.database, clock)
            try:
                states, proofs = await reader.contact_states(), await reader.verifications()
            finally:
                await reader.close()
    except (StoreError, TimeoutError):
        return {}
    return dict(_doubts(settings, states, proofs))


def _doubts(
    settings: Settings, states: list[ContactState], proofs: list[Verification]
) -> Iterator[tuple[tuple[str, str], str]]:
    dead = {(one.channel_kind, one.address): one.because for one in states if not one.usable}
    proven = {(one.user, one.channel_kind, one.address) for one in proofs if one.verified_at is not None}
    for user in settings.users.values():
        for contact in user.contacts.values():
            kind = settings.channels[contact.channel].type
            if (kind, contact.to) in dead:
                yield (user.key, contact.name), f"cannot be used: {dead[kind, contact.to]}"
            elif kind != "console" and (user.key, kind, contact.to) not in proven:
                yield (user.key, contact.name), UNVERIFIED

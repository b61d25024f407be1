"""A work may read beside its own transaction, however many works are under way."""

from __future__ import annotations

import asyncio

from tocsin.contracts import Store, Tx


async def test_many_works_that_read_beside_their_transactions_do_not_wait_for_each_other(store: Store) -> None:
    """As the acks of a whole team at once do, when each looks up the policy its incident was opened under."""
    inside = 0

    async def look_it_up(tx: Tx) -> str | None:
        nonlocal inside
        await tx.next_numbers(1)
        inside += 1
        return await store.policy_version("unknown")

    async with asyncio.timeout(20):
        found = await asyncio.gather(*(store.write(look_it_up) for _ in range(60)))

    assert (found, inside) == ([None] * 60, 60)

"""Who counts as alive: a name that is held, until its process ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tocsin.contracts import Store


async def test_a_name_is_alive_while_it_is_held_and_not_after(open_it: Callable[..., Awaitable[Store]]) -> None:
    one = await open_it()
    assert await one.alive({"a", "b"}) == set()

    await one.hold("a")
    await one.hold("a")
    assert await one.alive({"a", "b"}) == {"a"}

    await one.close()
    other = await open_it()
    assert await other.alive({"a", "b"}) == set()
    await other.hold("b")
    assert await other.alive({"a", "b"}) == {"b"}

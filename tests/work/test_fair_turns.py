"""Turns are shared between askers, whatever one of them asks, and none is lost where an asker has gone."""

from __future__ import annotations

import asyncio
import random

import pytest

from tocsin.work.fair_queue import Crowded, FairTurns


class Crowd:
    """Askers whose turns end when they are told to; `had` is the order in which they began."""

    def __init__(self, at_once: int, waiting: int | None) -> None:
        self.turns, self.had, self.refused = FairTurns(at_once, waiting), list[str](), list[str]()
        self.under_way: list[asyncio.Event] = []
        self.asked: list[asyncio.Task[None]] = []

    async def ask(self, *askers: str) -> None:
        for one in askers:
            self.asked.append(asyncio.create_task(self._have(one)))
        await settle()

    async def _have(self, asker: str) -> None:
        try:
            async with self.turns.turn(asker):
                self.had.append(asker)
                over = asyncio.Event()
                self.under_way.append(over)
                try:
                    await over.wait()
                finally:
                    self.under_way.remove(over)
        except Crowded:
            self.refused.append(asker)

    async def end_all(self) -> None:
        while self.under_way:
            self.under_way[0].set()
            await settle()
        await asyncio.gather(*self.asked, return_exceptions=True)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_each_asker_has_its_turn_before_anybody_has_a_second_one() -> None:
    crowd = Crowd(1, None)
    await crowd.ask(*"aaaa", "b", *"cc", "d")
    await crowd.end_all()
    assert "".join(crowd.had) == "aabcdaca"


async def test_one_who_asks_much_gives_its_newest_place_to_another_and_no_more_than_its_share() -> None:
    crowd = Crowd(1, 7)
    await crowd.ask(*"a" * 8)
    await crowd.ask("b")
    assert crowd.refused == ["a"]
    await crowd.ask("b", "b", "b")
    assert sorted(crowd.refused) == ["a", "a", "a", "b"], (
        "a has four places by now, b three: neither has less than its share"
    )
    await crowd.ask("a")
    assert crowd.refused[-1] == "a"
    await crowd.ask("c")
    assert len(crowd.refused) == 6
    await crowd.end_all()
    assert (crowd.had.count("a"), crowd.had.count("b"), crowd.had.count("c")) == (4, 3, 1)


@pytest.mark.parametrize("seed", range(20))
async def test_no_turn_is_lost_and_never_are_more_under_way(seed: int) -> None:
    chance, crowd = random.Random(seed), Crowd(2, 6)
    for _ in range(120):
        roll = chance.random()
        if roll < 0.5:
            await crowd.ask(*chance.choices("abc", k=chance.randint(1, 4)))
        elif roll < 0.7 and crowd.asked:
            chance.choice(crowd.asked).cancel()
        elif crowd.under_way:
            chance.choice(crowd.under_way).set()
            if chance.random() < 0.3 and crowd.asked:
                chance.choice(crowd.asked).cancel()  # as its turn may be given
        if chance.random() < 0.8:
            await settle()
        assert len(crowd.under_way) <= 2
    await crowd.end_all()
    crowd.had.clear()
    await crowd.ask("x", "y")
    assert crowd.had == ["x", "y"], "both turns are free again"
    await crowd.end_all()

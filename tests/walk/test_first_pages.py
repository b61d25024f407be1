"""First pages of one transaction: storms look at them before it is written; where nobody asks the storms, they page."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.test_storms import SMALL
from tests.walk.town import Town
from tocsin.contracts import Tx
from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.opening import opened
from tocsin.decide.routing.priority import Assessment
from tocsin.model import HOUR, Actor, Millis
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger


async def open_many(town: Town, count: int, *, storms: bool, answered: bool = False) -> None:
    """So many incidents that begin to page in one transaction, as alerts of one service open them."""
    runtime = town.daemon.runtime
    policy = runtime.settings.policies["default"]

    async def work(tx: Tx) -> Effects:
        now = town.clock.now()
        ledger = Ledger(runtime, tx, now)
        for number in await tx.next_numbers(count):
            found = Assessment("medium", "high", "P2", "")
            incident = opened(
                number, f"apps/{number}", f"trouble {number}", "shop", "error", found, "default", "integration:apps", now,
                integration="apps", alert=number,
            )  # fmt: skip
            ledger.begin(ledger.open(incident, policy), policy, "Trouble")
            if answered:
                ledger.take(lifecycle.acknowledge(incident, Actor("user", "ana"), "api", now, Millis(HOUR)))
        if storms:
            await town.daemon.storms.page(ledger)
        return await ledger.close()

    (await town.daemon.store.write(work)).apply(runtime)
    await town.pass_time(seconds=2)


@pytest.mark.parametrize(("storms", "pages"), [(True, 11), (False, 30)])
async def test_first_pages_that_no_storm_was_asked_about_go_out(build: Build, storms: bool, pages: int) -> None:
    town = await build(SMALL)
    await open_many(town, 30, storms=storms)
    assert len(town.pages) == pages


@pytest.mark.parametrize("storms", [True, False])
async def test_first_pages_of_what_was_answered_meanwhile_do_not_go_out(build: Build, storms: bool) -> None:
    town = await build(SMALL)
    await open_many(town, 3, storms=storms, answered=True)
    assert town.pages == []

"""The last check before a call, with the connection in hand: the page must still be wanted, and the call still be
ours."""

from __future__ import annotations

from tocsin.contracts import Gate
from tocsin.decide.incidents.escalation import is_first
from tocsin.decide.paging.still_wanted import why_page_unwanted
from tocsin.errors import GateClosed, NotSent, StoreUnavailable
from tocsin.work.paging.delivery import Delivery
from tocsin.work.runtime import Runtime

FRESH = 0.1  # seconds: an intent younger than this needs no second look at the store
LOOKED = 0.15  # seconds: what a look told is good for so long, counted from its question
LOOKS = 20  # at a store this slow, a call that may come too late is better than none


def last_check(runtime: Runtime, delivery: Delivery) -> Gate:
    """The gate of one delivery, which its channel's transport passes before the first byte leaves.

    Raises GateClosed when the page is not wanted any more, NotSent when nobody can tell.
    """

    async def gate() -> None:
        _refuse_stopped(runtime, delivery)
        _observe_first_attempt(runtime, delivery)
        looked, fresh = delivery.intent_at, FRESH
        for _ in range(LOOKS):
            if runtime.clock.monotonic() - looked <= fresh:
                break
            fresh = LOOKED
            # of the question: its answer may have waited with a stopped process
            looked = runtime.clock.monotonic()
            try:
                await _ask_store(runtime, delivery)
            except StoreUnavailable as error:
                raise NotSent(f"nobody can tell whether it is still wanted: {error}") from error
        _refuse_stopped(runtime, delivery)

    return gate


def _observe_first_attempt(runtime: Runtime, delivery: Delivery) -> None:
    if is_first(delivery.page) and delivery.attempt.number == 1 and delivery.incident is not None:
        waited = (runtime.clock.now() - delivery.incident.created_at) / 1000
        runtime.metrics.ingest_to_first_attempt_seconds.observe(max(0.0, waited))


def _refuse_stopped(runtime: Runtime, delivery: Delivery) -> None:
    """Refuse what was answered in this very process."""
    for page in (delivery.page, *delivery.carried):
        if page.kind == "page" and page.rule > 0 and runtime.stops.has(page.incident or 0, page.cycle):
            raise GateClosed("it was answered meanwhile")


async def _ask_store(runtime: Runtime, delivery: Delivery) -> None:
    attempt = await runtime.store.attempt(delivery.attempt.id)
    if attempt is None or attempt.state != "open":
        raise GateClosed("the intent is no longer ours")
    for page in (delivery.page, *delivery.carried):
        if page.kind == "page" and page.incident is not None:
            refused = why_page_unwanted(page, await runtime.store.standing(page.incident))
            if refused:
                raise GateClosed(refused)

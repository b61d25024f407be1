"""Recovery of the counts of repeats that a crash kept from being written: the posts are kept, so count them again.

Counts of pure repeats are written once a second, together with the number of the last post they include.
At a start the posts behind that one are read again. Where several daemons write, repeats are counted in
their own transactions and nothing is left to count.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tocsin.contracts import Tx
from tocsin.decide.routing.alert_texts import content_of, fit_key
from tocsin.decide.routing.sender_times import on_the_line
from tocsin.model import Alert, Instant, Post, StoredAlert
from tocsin.model.civil import unix
from tocsin.work.ingest.evaluation import bytes_of
from tocsin.work.ingest.intake import COUNTED, Intake
from tocsin.work.runtime import Runtime

AT_ONCE = 100  # posts
Pair = tuple[str, str]
log = structlog.stdlib.get_logger("tocsin.recount")


async def recount(runtime: Runtime, intake: Intake) -> None:
    """Count what was not written before the last end. To be called before any alert is taken."""
    if not runtime.store.exclusive:
        return
    after = int(await runtime.store.meta(COUNTED) or 0)
    while posts := await runtime.store.repeated_posts(after, AT_ONCE):
        for post in posts:
            for alert, read in await _repeated(runtime, post):
                expires = read.expires_at
                later = expires is not None and expires > runtime.clock.now()  # else it was evaluated anew already
                intake.repeats.count(alert.id, post.received_at, expires if later else None, read.started_at)
        after = posts[-1].id
    intake.repeats.counted = after


async def _repeated(runtime: Runtime, post: Post) -> list[tuple[StoredAlert, Alert]]:
    """The open alerts that this post only repeated, each as often as it is there."""

    async def work(tx: Tx) -> list[tuple[StoredAlert, Alert]]:
        read = [(await _pair(tx, post, raw, alert), alert) for alert in alerts]
        found = await tx.open_alerts([pair for pair, _ in read])
        known = [(found[pair], alert) for pair, alert in read if pair in found]
        return [(kept, alert) for kept, alert in known if kept.content == content_of(alert) and kept.post != post.id]

    raw, alerts = _read(runtime, post)
    return await runtime.store.write(work) if alerts else []


def _read(runtime: Runtime, post: Post) -> tuple[bytes, Sequence[Alert]]:
    """The firing alerts of a kept body. What cannot be read any more is not counted."""
    config = runtime.settings.integrations.get(post.integration)
    source = runtime.live.sources.get(config.type) if config is not None else None
    if config is None or source is None:
        return b"", ()
    try:
        parsed = on_the_line(source.parse(post.body, {}, config, Instant(unix(post.received_at))))
        alerts = runtime.live.heartbeat_matcher.hear(config.name, parsed)[0].alerts
    except Exception as error:  # noqa: BLE001  # a count is not worth a start that fails
        log.warning("not_recounted", post=post.id, error=repr(error))
        return b"", ()
    return post.body, [alert for alert in alerts if alert.status in ("firing", "heartbeat")]


async def _pair(tx: Tx, post: Post, raw: bytes, alert: Alert) -> Pair:
    if alert.source_key:
        return post.integration, fit_key(alert.source_key)
    minted = await tx.minted(post.integration, bytes_of(raw, alert), post.received_at)
    return post.integration, minted or ""

"""Senders' timestamps on Tocsin's own line: their clocks show civil time, and sources read it as it is written."""

from __future__ import annotations

from dataclasses import replace

from tocsin.model import Instant, Parsed
from tocsin.model.civil import ahead, on_line


def on_the_line(parsed: Parsed) -> Parsed:
    """A post as a source read it in civil time, its times on the line. The same while both are one."""
    if not ahead():
        return parsed
    alerts = tuple(
        replace(
            one, started_at=_moved(one.started_at), ended_at=_moved(one.ended_at), expires_at=_moved(one.expires_at)
        )
        for one in parsed.alerts
    )
    return replace(parsed, alerts=alerts)


def _moved(at: Instant | None) -> Instant | None:
    return None if at is None else on_line(at)

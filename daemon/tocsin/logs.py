"""Structured logs: one line an event, JSON for machines or columns for people, never a secret.

Modules log through `log = structlog.stdlib.get_logger("tocsin.<part>")` with the ids as fields
(`incident=42, alert=7`), so that one incident's story can be filtered out of a day's lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

HIDDEN = ("token", "secret", "password", "authorization", "auth_token", "signature")


def hide_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace the values of fields that by their name hold a secret."""
    for name in event:
        if any(word in name.lower() for word in HIDDEN) and isinstance(event[name], str):
            event[name] = "•••"
    return event


def one_line(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep text from outside on one line, and its length bounded."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = value[:2000].replace("\n", "\\n").replace("\r", "\\r")
    return event


COUNTED = frozenset({
    "refused", "not HTTP", "sign_in_refused", "link refused", "code_refused", "sms_from_stranger", "sms_replies_capped",
    "post_poisoned", "batch_halved", "rule_error", "connections_refused", "connections_closed",
})  # fmt: skip
"""Events that somebody outside can cause as often as they like."""
TOLD_BY = ("status", "method", "integration", "rule", "account")  # fields that make two of one event different
LINES = 10  # of one kind in one window
WINDOW = 60.0  # seconds
KINDS = 64  # that are counted apart


@dataclass(slots=True)
class LineWindow:
    """The lines of one kind within one minute: how many were kept back, and one of them."""

    ends: float
    lines: int = 0
    more: int = 0
    last: dict[str, Any] = field(default_factory=dict)


class LineCounting:
    """Keep refusals from filling a disk: the first lines of a kind in a minute, and then their number."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._windows: dict[tuple[str, ...], LineWindow] = {}

    def __call__(self, _: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Count an event, as a processor of structlog. Raises DropEvent for what is only counted."""
        name = event.get("event")
        if name not in COUNTED:
            return event
        now, kind = self._monotonic(), (str(name), *(str(event.get(part, ""))[:80] for part in TOLD_BY))
        window = self._windows.get(kind)
        if window is None and len(self._windows) >= KINDS:
            kind = (str(name),)
            window = self._windows.get(kind)
        if window is None:
            window = self._windows[kind] = LineWindow(now + WINDOW)
        if window.lines < LINES:
            window.lines += 1
            return event
        window.more += 1
        window.last = {part: str(event[part])[:200] for part in (*TOLD_BY, "path", "because", "peer") if part in event}
        raise structlog.DropEvent

    def over(self) -> list[dict[str, Any]]:
        """Summaries of the windows that have ended: the last event of each with the count of those kept back."""
        now = self._monotonic()
        ended = [(kind, window) for kind, window in self._windows.items() if window.ends <= now]
        for kind, _ in ended:
            del self._windows[kind]
        return [{"of": kind[0], "count": window.more, **window.last} for kind, window in ended if window.more]


_counting: list[LineCounting] = []  # where `configure` was given a clock


async def tell_counted() -> None:
    """Log how many lines were kept back in windows that have ended; to be called every second."""
    for counting in _counting:
        for kept_back in counting.over():
            structlog.stdlib.get_logger("tocsin.logs").warning("and_more", window=f"{WINDOW:g}s", **kept_back)


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    hide_secrets,
    structlog.processors.format_exc_info,
    one_line,
]


def configure(*, level: str = "info", style: str = "auto", monotonic: Callable[[], float] | None = None) -> None:
    """Send all logging to stderr. `style`: "json", "plain" or "auto" (plain on a terminal).

    With a clock, lines that anybody can cause are counted beyond the first ten a minute of each kind.
    """
    _counting[:] = [] if monotonic is None else [LineCounting(monotonic)]
    plain = style == "plain" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if plain else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_counting,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiosqlite", "asyncio", "twilio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence all logging meanwhile, for what is played and not lived."""
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)

"""Structured logs: one line an event, JSON for machines or columns for people, never a secret.

Modules log through `log = structlog.stdlib.get_logger("tocsin.<part>")` with the ids as fields
(`incident=42, alert=7`), so that one incident's story can be filtered out of a day's lines.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    hide_secrets,
    structlog.processors.format_exc_info,
    one_line,
]


def configure(*, level: str = "info", style: str = "auto") -> None:
    """Send all logging to stderr. `style`: "json", "plain" or "auto" (plain on a terminal)."""
    plain = style == "plain" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if plain else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
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
    """Nothing is logged meanwhile: for what is played and not lived."""
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)

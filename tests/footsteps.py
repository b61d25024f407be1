"""Which files of the project a piece of work runs through, in the order in which it enters them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCES = tuple(f"{ROOT / folder}/" for folder in ("daemon/tocsin", "integrations"))


@contextmanager
def footsteps() -> Iterator[list[str]]:
    """The files entered by a call, on any thread that begins meanwhile and on this one; that a file is imported is no call."""
    seen: dict[str, str | None] = {}
    order: list[str] = []

    def step(frame: FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_name == "<module>":
            return
        if code.co_filename not in seen:
            short = next((code.co_filename[len(top) :] for top in SOURCES if code.co_filename.startswith(top)), None)
            seen[code.co_filename] = short
            if short is not None:
                order.append(short)

    sys.setprofile(step)
    threading.setprofile(step)
    try:
        yield order
    finally:
        sys.setprofile(None)
        threading.setprofile(None)

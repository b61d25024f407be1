"""Lines that anybody can cause: the first of a kind are told, the rest are counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from tocsin import logs
from tocsin.clock import VirtualClock
from tocsin.model import Instant


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield VirtualClock(Instant(0))
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logs._counting.clear()


def lines(capsys: pytest.CaptureFixture[str], *, of: str) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if of in line]


async def test_what_is_refused_too_often_is_counted_and_told_once_a_minute(
    clock: VirtualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(style="json", monotonic=clock.monotonic)
    log = structlog.stdlib.get_logger("tocsin.web")

    for number in range(25_000):
        log.info("refused", status=401, method="POST", path=f"/v1/webhooks/{number}", because="no token")
    log.info("refused", status=404, method="POST", path="/nowhere")
    said = capsys.readouterr().err.splitlines()
    clock.advance_to(Instant(61_000))
    await logs.tell_counted()
    await logs.tell_counted()

    assert len([line for line in said if '"status": 401' in line]) == logs.LINES
    assert len([line for line in said if '"status": 404' in line]) == 1
    [counted] = lines(capsys, of="and_more")
    assert f'"count": {25_000 - logs.LINES}' in counted
    assert '"because": "no token"' in counted


async def test_senders_cannot_make_up_ever_more_kinds(clock: VirtualClock, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", monotonic=clock.monotonic)
    log = structlog.stdlib.get_logger("tocsin.web")

    for number in range(5_000):
        log.info("refused", status=405, method=f"M{number}")

    assert len(lines(capsys, of="refused")) <= logs.KINDS + logs.LINES


def test_what_only_we_cause_is_never_held_back(clock: VirtualClock, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", monotonic=clock.monotonic)

    for _ in range(100):
        structlog.stdlib.get_logger("tocsin.pager").info("attempt", outcome="accepted")

    assert len(lines(capsys, of="attempt")) == 100

"""Which incidents does a reply about several mean?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.decide.test_escalation import INCIDENT
from tocsin.decide.paging.many_replies import ANEW, NEW, UNSURE, Paged, choose
from tocsin.decide.paging.replies import Command
from tocsin.model import Instant

NOW = Instant(1_767_614_400_000)
LONG_AGO, JUST_NOW = Instant(NOW - 3_600_000), Instant(NOW - 2_000)
ALL = Command("acknowledge", everything=True)
ONE = replace(INCIDENT, number=1, status="triggered")


@pytest.mark.parametrize(
    ("pages", "left"),
    [
        ([(LONG_AGO, True)], None),
        ([(JUST_NOW, True)], NEW),
        ([(None, True)], UNSURE),
        ([(LONG_AGO, True), (JUST_NOW, True)], None),
        ([(LONG_AGO, False)], ANEW),
        ([(LONG_AGO, False), (JUST_NOW, True)], NEW),
        ([(LONG_AGO, False), (None, True)], UNSURE),
        ([(LONG_AGO, True), (LONG_AGO, False)], None),
    ],
)
def test_all_means_what_the_present_pages_of_can_have_been_read(
    pages: list[tuple[Instant | None, bool]], left: str | None
) -> None:
    found = choose([Paged(ONE, 1, at, current) for at, current in pages], ALL, "ana", NOW)

    assert found.left == (() if left is None else ((1, left),))
    assert [one.number for one in found.incidents] == ([1] if left is None else [])


def test_a_span_of_any_length_costs_what_was_paged_and_no_more() -> None:
    paged = [Paged(replace(ONE, number=number), number, LONG_AGO) for number in (1, 2, 7)]

    found = choose(paged, Command("resolve", several=((2, 999_999_999), (7, 7))), "ana", NOW)

    assert [one.number for one in found.incidents] == [2, 7]

"""Forecast of two pages at one instant: told apart where nobody can know which the pager takes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tocsin.decide.oncall.reach import People
from tocsin.decide.whatif.delivery_forecast import Limits, Sending
from tocsin.model import HOUR, MINUTE, Instant, Limit, Page, Settings

NOW = Instant(1_767_614_400_000)
EARLIER, LATER = Instant(NOW - MINUTE), Instant(NOW + MINUTE)
WAITED = Page("1", "1/1/1/1/user:ana/0/voice", "page", 1, 1, 1, 1, 0, "user:ana", "ana", "voice", "voice", NOW, EARLIER)
FRESH = replace(WAITED, id="2", key="2/1/1/1/user:ana/0/voice", incident=2, created_at=NOW)


@pytest.mark.parametrize(
    ("waited", "fresh", "meets"),
    [
        (WAITED, FRESH, True),
        (replace(WAITED, created_at=NOW), FRESH, False),  # decided together: they are claimed together
        (replace(WAITED, due_at=LATER), FRESH, False),
        (WAITED, replace(FRESH, due_at=LATER), False),
        (replace(WAITED, user="bo"), FRESH, False),
        (replace(WAITED, channel="sms"), FRESH, False),
        (replace(WAITED, channel="hook"), replace(FRESH, channel="hook"), False),  # without limits each goes alone
    ],
)
def test_a_page_meets_an_older_one_whose_time_is_the_same_instant(waited: Page, fresh: Page, *, meets: bool) -> None:
    limits = Limits({"voice": (Limit(2, HOUR),), "sms": (Limit(2, HOUR),)})
    sending = Sending(Settings(), People(), limits, waiting=[waited])

    assert sending.meets(fresh, NOW) is meets

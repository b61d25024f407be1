"""When must a heartbeat be heard next, after Tocsin itself was away?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.heartbeats.crontab import next_after, parse
from tocsin.decide.heartbeats.heartbeats import EARLY, anew, awaited, due_after, expects
from tocsin.model import HOUR, MINUTE, SECOND, Beat, Heartbeat, Instant, Millis

NOON = Instant(1_767_614_400_000)  # 2026-01-05T12:00:00Z

graces = st.integers(0, 6 * 60).map(lambda minutes: Millis(minutes * MINUTE))
heartbeats = st.one_of(
    st.builds(
        lambda every, grace: Heartbeat("x", every=Millis(every * SECOND), grace=grace), st.integers(60, 90_000), graces
    ),
    st.builds(
        lambda cron, zone, grace: Heartbeat("x", cron=cron, timezone=zone, grace=grace),
        st.sampled_from(["*/3 * * * *", "0 3 * * *", "30 * * * *", "0 0 1 * *", "15 9 * * mon-fri"]),
        st.sampled_from(["UTC", "Europe/Paris", "Australia/Sydney"]),
        graces,
    ),
)
moments = st.integers(0, 400 * 24 * 3600).map(lambda seconds: Instant(NOON + seconds * SECOND))
lengths = st.integers(31, 3 * 24 * 3600).map(lambda seconds: Millis(seconds * SECOND))


def runs_of(heartbeat: Heartbeat, start: Instant, end: Instant) -> list[Instant]:
    """The first times of `cron` from `start` (not included) to `end`."""
    found: list[Instant] = []
    at = start
    while (at := next_after(parse(heartbeat.cron), heartbeat.timezone, at)) <= end and len(found) < 5:
        found.append(at)
    return found


@settings(deadline=None)
@given(heartbeats, moments, lengths)
def test_a_deadline_that_is_still_ahead_after_a_downtime_stands(
    heartbeat: Heartbeat, last: Instant, down: Millis
) -> None:
    beat = Beat("x", expects(heartbeat), due_after(heartbeat, last), last)
    now = Instant(min(last + down, beat.due_at - 1))

    assert anew(beat, heartbeat, now, was_down=True) == beat


@settings(deadline=None)
@given(heartbeats, moments, lengths)
def test_what_is_expected_by_the_end_of_a_downtime_is_missed_a_grace_later_at_the_latest(
    heartbeat: Heartbeat, last: Instant, down: Millis
) -> None:
    beat = Beat("x", expects(heartbeat), due_after(heartbeat, last), last)
    now = Instant(last + down)

    after = anew(beat, heartbeat, now, was_down=True)

    if heartbeat.every is not None:
        assert after.due_at <= max(beat.due_at, now + heartbeat.every + heartbeat.grace)
    else:
        ahead = runs_of(heartbeat, Instant(max(last + EARLY, now - heartbeat.grace)), Instant(now + HOUR))
        assert all(after.due_at <= run + heartbeat.grace for run in ahead)
        assert after.due_at > now


def test_one_that_was_never_heard_is_not_forgiven_either() -> None:
    heartbeat = Heartbeat("x", cron="0 3 * * *", grace=Millis(30 * MINUTE))
    beat = awaited(heartbeat, NOON)
    at_three = Instant(NOON + 15 * HOUR)

    assert anew(beat, heartbeat, Instant(at_three + 10 * MINUTE), was_down=True).due_at == at_three + 30 * MINUTE

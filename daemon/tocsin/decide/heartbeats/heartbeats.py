"""Heartbeats: on time, late or silent, and when each must be heard next.

A clock starts at the first check-in, or when the daemon starts; what was due while Tocsin itself was down is
judged anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from tocsin.decide.heartbeats.crontab import next_after, parse
from tocsin.decide.routing.matchers import Matcher, hit_all
from tocsin.decide.routing.matchers import parse as matcher
from tocsin.decide.routing.rules import meaning
from tocsin.decide.views import in_words, when
from tocsin.model import Alert, Beat, Heartbeat, Instant, Millis, Parsed, rfc3339

State = Literal["waiting", "ok", "late", "silent"]

EARLY = Millis(30_000)
"""A check-in that comes so little before a time of `cron` is the one for it: clocks differ."""


def due_after(heartbeat: Heartbeat, at: Instant) -> Instant:
    """Heard at `at`: by when it must be heard again, grace included."""
    if heartbeat.every is not None:
        return Instant(at + heartbeat.every + heartbeat.grace)
    return Instant(next_after(parse(heartbeat.cron), heartbeat.timezone, Instant(at + EARLY)) + heartbeat.grace)


def awaited(heartbeat: Heartbeat, now: Instant) -> Beat:
    """A heartbeat nothing was ever heard of: the clock starts now."""
    return Beat(heartbeat.name, expects(heartbeat), due_after(heartbeat, now))


def checked_in(beat: Beat, heartbeat: Heartbeat, by: str, now: Instant) -> Beat:
    """Heard. `silent_since` stays until the end of the silence is stored too."""
    return replace(beat, expects=expects(heartbeat), due_at=due_after(heartbeat, now), last_at=now, last_by=by)


def missed(beat: Beat, heartbeat: Heartbeat, now: Instant) -> Beat:
    """Mark a heartbeat silent from when it fell due, and set its next deadline: somebody may resolve by hand."""
    if heartbeat.every is not None:
        behind = Instant(beat.due_at + heartbeat.every)
        following = behind if behind > now else Instant(now + heartbeat.every)
    else:
        after = max(Instant(beat.due_at - heartbeat.grace), Instant(now - heartbeat.grace))
        following = Instant(next_after(parse(heartbeat.cron), heartbeat.timezone, after) + heartbeat.grace)
    since = beat.due_at if beat.silent_since is None or is_heard(beat) else beat.silent_since
    return replace(beat, due_at=following, silent_since=since, told=False)


def anew(beat: Beat, heartbeat: Heartbeat, now: Instant, *, was_down: bool) -> Beat:
    """Heartbeat after a start or reload: judged anew when its deadline fell into our downtime, or if changed.

    A deadline that is still ahead stands, also where the check-in was expected meanwhile: what is silent must not be
    forgiven until its next run, which may be tomorrow.
    """
    if beat.expects != expects(heartbeat):
        return replace(beat, expects=expects(heartbeat), due_at=due_after(heartbeat, now))
    if was_down and beat.due_at <= now:
        return replace(beat, due_at=due_after_downtime(heartbeat, now))
    return beat


LOOKED_AGAIN = Millis(60_000)
"""A crontab's deadline that a step of the clock jumped over stands so long (`shift_beats`), until it is judged anew."""


def after_step(beat: Beat, heartbeat: Heartbeat, now: Instant) -> Beat:
    """As it is after a step of the clock: a job whose time the clock jumped over has its grace, as after a downtime."""
    if heartbeat.every is None and now < beat.due_at <= now + LOOKED_AGAIN:
        return replace(beat, due_at=due_after_downtime(heartbeat, now))
    return beat


def due_after_downtime(heartbeat: Heartbeat, now: Instant) -> Instant:
    """The first deadline after `now`. Of `every` all of it and the grace; of `cron` the grace counts from the run, so a
    run that was expected just before `now` is missed at `now` and its grace at the latest."""
    if heartbeat.every is not None:
        return Instant(now + heartbeat.every + heartbeat.grace)
    passed = Instant(now - heartbeat.grace)
    return Instant(next_after(parse(heartbeat.cron), heartbeat.timezone, passed) + heartbeat.grace)


def is_heard(beat: Beat) -> bool:
    """Whether a check-in came since it fell silent."""
    return beat.silent_since is not None and beat.last_at is not None and beat.last_at >= beat.silent_since


def is_unsettled(beat: Beat) -> bool:
    """Whether its silence, or the end of it, is not stored as an alert yet."""
    return beat.silent_since is not None and (is_heard(beat) or not beat.told)


def settled(beat: Beat, *, over: bool) -> Beat:
    """The alert of its silence is stored; or, when that is `over`, its end."""
    return replace(beat, silent_since=None, told=False) if over else replace(beat, told=True)


def state_of(beat: Beat, heartbeat: Heartbeat, now: Instant) -> State:
    if beat.silent_since is not None and not is_heard(beat):
        return "silent"
    if now >= beat.due_at - heartbeat.grace and beat.last_at is not None:
        return "late"
    return "waiting" if beat.last_at is None else "ok"


def expects(heartbeat: Heartbeat) -> str:
    """Expectation of a heartbeat, in words: it also tells whether the configuration changed it."""
    often = (
        f"every {in_words(heartbeat.every)}"
        if heartbeat.every is not None
        else f"at {heartbeat.cron} ({heartbeat.timezone})"
    )
    return f"{often}, at most {in_words(heartbeat.grace)} late" if heartbeat.grace else often


# ------------------------------------------------------------------------------ silence as an alert


def silence_alert(beat: Beat, heartbeat: Heartbeat, missed_at: Instant) -> Alert:
    """Alert of a silent heartbeat, in the words of every other alert; repeated while the silence lasts."""
    last = "never" if beat.last_at is None else f"at {rfc3339(beat.last_at)}"
    return Alert(
        "firing",
        heartbeat.name,
        heartbeat.severity,
        f"heartbeat {heartbeat.name} is silent",
        f"It was heard {last}. Expected {expects(heartbeat)}.",
        heartbeat.service or None,
        labels={"heartbeat": heartbeat.name},
        started_at=missed_at,
    )


def heard_alert(name: str) -> Alert:
    return Alert("resolved", name)


def beat_view(beat: Beat, heartbeat: Heartbeat, now: Instant) -> dict[str, Any]:
    """Element of GET /v1/heartbeats."""
    return {
        "name": heartbeat.name,
        "state": state_of(beat, heartbeat, now),
        "expects": expects(heartbeat),
        "service": heartbeat.service or None,
        "severity": heartbeat.severity,
        "last_check_in": when(beat.last_at),
        "last_by": beat.last_by or None,
        "next_due": rfc3339(beat.due_at),
        "silent_since": when(beat.silent_since),
        "incident_key": f"heartbeat/{heartbeat.name}",
    }


# ------------------------------------------------------------------------- alerts that are check-ins


class HeartbeatMatcher:
    """Matcher of the alerts that are check-ins of heartbeats: `match`, on labels and fields as the source sent them."""

    def __init__(self, heartbeats: Iterable[Heartbeat]) -> None:
        self._matchers: Mapping[str, tuple[Matcher, ...]] = {
            one.name: tuple(matcher(text) for text in one.match) for one in heartbeats if one.match
        }

    def __bool__(self) -> bool:
        return bool(self._matchers)

    def hear(self, integration: str, parsed: Parsed) -> tuple[Parsed, Sequence[str]]:
        """The post with its check-ins marked as heartbeats, which open nothing; and which heartbeats were heard."""
        heard: dict[str, None] = {}
        alerts = list(parsed.alerts)
        for index, alert in enumerate(alerts):
            if alert.status in ("firing", "heartbeat"):
                names = self._names(integration, alert)
                heard.update(dict.fromkeys(names))
                if names and alert.status == "firing":
                    alerts[index] = replace(alert, status="heartbeat")
        return (replace(parsed, alerts=tuple(alerts)), list(heard)) if heard else (parsed, ())

    def _names(self, integration: str, alert: Alert) -> list[str]:
        fields = {
            "integration": integration,
            "service": alert.service or "",
            "severity": alert.severity or "",
            "title": alert.title,
            "description": alert.description,
            "source": alert.source,
        }

        def value(name: str) -> str:
            return meaning(name, fields, alert.labels, ())

        return [name for name, matchers in self._matchers.items() if hit_all(matchers, value)]

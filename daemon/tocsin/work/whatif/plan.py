"""Plan of a change: compares another configuration with the one in force, and asks the database what it means.

Reads only: posts of the last days are judged by both, and for every open incident both are asked whom it pages next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tocsin.contracts import Clock, IncidentFilter, Source
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.sender_times import on_the_line
from tocsin.decide.whatif.escalation_forecast import Incidents, Planned
from tocsin.decide.whatif.explain import Facts
from tocsin.decide.whatif.forecast import next_pages
from tocsin.decide.whatif.replay import Replay, Tally
from tocsin.errors import BadBody
from tocsin.model import OPEN, Incident, Instant, Page, Policy, Post, Settings
from tocsin.model.civil import unix
from tocsin.work.incidents.self_alerts import OWN
from tocsin.work.whatif.explain import Looks, around, with_what_mutes

AT_ONCE = 25  # bodies, each up to 4 MiB
INCIDENTS_AT_ONCE = 100
MOST_INCIDENTS = 5_000


class History(Looks, Protocol):
    async def posts(self, since: Instant, until: Instant, limit: int, after: int) -> list[Post]: ...


@dataclass(frozen=True, slots=True)
class Sides:
    """The configuration in force and the one that might be, with the people each of them knows."""

    before: Settings
    after: Settings
    people_before: People
    people_after: People


@dataclass(frozen=True, slots=True)
class Affected:
    """An open incident that would page otherwise. `frozen`: it keeps its policy until its next cycle."""

    incident: Incident
    before: tuple[Planned, ...]
    after: tuple[Planned, ...]
    frozen: bool


async def replayed(
    history: History,
    sides: Sides,
    sources: Mapping[str, Source],
    since: Instant,
    until: Instant,
    clock: Clock,
    progress: Callable[[Tally], None],
) -> Tally:
    """Every body received in the window, read and judged by both sides. `progress` is told after each slice."""
    replay = Replay(sides.before, sides.after)
    async for post in _posts(history, since, until):
        replay.tally.posts += 1
        _judge(replay, post, sources)
        if replay.tally.posts % AT_ONCE == 0:
            progress(replay.tally)
            await clock.turn()
    progress(replay.tally)
    return replay.tally


async def _posts(history: History, since: Instant, until: Instant) -> AsyncIterator[Post]:
    """Read all posts but those of Tocsin about itself: they are no bodies that a source could read."""
    after = 0
    while found := await history.posts(since, until, AT_ONCE, after):
        for post in found:
            if post.integration != OWN.name:
                yield post
        after = found[-1].id


def _judge(replay: Replay, post: Post, sources: Mapping[str, Source]) -> None:
    """A post by each side's own integration; where both read it alike, once."""
    before = replay.before.settings.integrations.get(post.integration)
    after = replay.after.settings.integrations.get(post.integration)
    reader = before or after
    source = sources.get(reader.type) if reader is not None else None
    if reader is None or source is None:
        replay.tally.unread += 1
        return
    try:
        at = Instant(unix(post.received_at))
        parsed = on_the_line(source.parse(post.body, {"content-type": "application/json"}, reader, at))
    except BadBody:
        replay.tally.unread += 1
        return
    for alert in parsed.alerts:
        if alert.status == "firing":
            replay.add(alert, before, after, post.received_at)


async def affected(looks: Looks, sides: Sides, now: Instant) -> tuple[list[Affected], int]:
    """(open incidents that would page otherwise, how many are open), newest first."""
    found: list[Affected] = []
    seen, before = 0, None
    while seen < MOST_INCIDENTS:
        some = await looks.incidents(IncidentFilter(status=tuple(sorted(OPEN))), INCIDENTS_AT_ONCE, before)
        if not some:
            break
        seen, before = seen + len(some), some[-1].number
        facts = await around(looks, {one.key: one for one in some}, {}, sides.people_before, now)
        facts = await with_what_mutes(looks, sides.before, facts)
        mutes = (mutes_of(sides.before, facts, now), mutes_of(sides.after, facts, now))
        for incident in some:
            one = _compared(incident, facts, sides, mutes, now)
            if one is not None:
                found.append(one)
    return found, seen


def mutes_of(settings: Settings, facts: Facts, now: Instant) -> Mutes:
    """Mutes under one of the two configurations."""
    mutes = Mutes(settings, facts.people)
    mutes.replace(one for one in facts.silences if one.ends_at > now)
    mutes.learn(facts.sources, facts.down, now)
    return mutes


def _compared(
    incident: Incident, facts: Facts, sides: Sides, mutes: tuple[Mutes, Mutes], now: Instant
) -> Affected | None:
    """Asked under the policy as frozen; people, contacts and schedules as each side has them."""
    was_policy, will_policy = (side.policies.get(incident.policy) for side in (sides.before, sides.after))
    policy = facts.policies.get(incident.policy_hash) or was_policy
    was = _next(incident, policy, facts, sides.before, sides.people_before, mutes[0], now)
    will = _next(incident, policy, facts, sides.after, sides.people_after, mutes[1], now)
    changed = was_policy != will_policy
    if not changed and _who(was) == _who(will):
        return None
    return Affected(incident, was, will, frozen=changed and incident.status == "triggered")


def _next(
    incident: Incident,
    policy: Policy | None,
    facts: Facts,
    settings: Settings,
    people: People,
    mutes: Mutes,
    now: Instant,
) -> tuple[Planned, ...]:
    incidents = Incidents(settings, people, mutes.fork(), now)
    pages = [page for page in facts.pages.get(incident.number, ()) if _has(settings, page)]
    course = incidents.know(incident, policy, facts.firing.get(incident.number, ()), pages)
    return next_pages(settings, incidents, course)


def _has(settings: Settings, page: Page) -> bool:
    """Whether a page has its person and contact: one whose are gone is never sent."""
    user = settings.users.get(page.user)
    return page.channel in settings.channels and (not page.user or (user is not None and page.contact in user.contacts))


def _who(pages: Sequence[Planned]) -> set[tuple[Instant, str | None, str | None]]:
    return {(page.at, page.user, page.channel) for page in pages}

"""Replies about several incidents: which are meant, and what is said of what was done and of what was left.

`ACK ALL` means what the person can have read: what was paged to that phone, is open, and had arrived ten seconds
before the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.decide.page_texts import headline
from tocsin.decide.paging.replies import SHORT, Command, Verb
from tocsin.decide.text import cut
from tocsin.decide.views import in_words
from tocsin.model import SECOND, Incident, Instant, Millis

READ_WITHIN = Millis(10 * SECOND)
NEW, UNSURE, ANEW = "paged just now", "its page may not have arrived", "it pages anew since"
LONGEST = 600  # characters: four segments
MOST_REPLIES = 5  # automatic replies to a number within an hour
LAST = " No more replies within this hour; what you send still acts."
PAST: dict[Verb, str] = {
    "acknowledge": "acknowledged by you. Paging stopped.", "resolve": "resolved by you.",
    "escalate": "escalated: the next step is paged.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Paged:
    """An incident that was paged to the phone which answers. `arrived_at`: when the page was surely accepted.

    `current`: the page is of the incident's present cycle; what an earlier one told may have been of a lesser matter.
    """

    incident: Incident
    named: int  # the number in the page: another one where the incident was merged since
    arrived_at: Instant | None
    current: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """Incidents to act on, and those left with the reason."""

    incidents: tuple[Incident, ...]
    left: tuple[tuple[int, str], ...] = ()


def choose(paged: Sequence[Paged], command: Command, user: str, now: Instant) -> Chosen:
    """Incidents that a reply about several means, of those paged to this phone within a day."""
    if command.verb == "status":
        spans = command.several or ((0, 10**9),)
        known = {one.incident.number: one.incident for one in paged
                 if (one.incident.open or command.several) and _named(one, spans)}  # fmt: skip
        return Chosen(tuple(known[number] for number in sorted(known)))
    return _of_all(paged, user, now) if command.everything else _of_several(paged, command.several)


def _of_all(paged: Sequence[Paged], user: str, now: Instant) -> Chosen:
    incidents = {one.incident.number: one.incident for one in paged if one.incident.open}
    arrivals: dict[int, Instant] = {}
    current = {one.incident.number for one in paged if one.current}
    for one in paged:
        if one.arrived_at is not None and one.current:
            number = one.incident.number
            arrivals[number] = min(one.arrived_at, arrivals.get(number, one.arrived_at))
    chosen, left = [], []
    for number, incident in sorted(incidents.items()):
        if incident.status != "triggered" and incident.acknowledged_by not in (None, user):
            left.append((number, state_of(incident)))
        elif number not in arrivals:
            left.append((number, UNSURE if number in current else ANEW))
        elif arrivals[number] > now - READ_WITHIN:
            left.append((number, NEW))
        else:
            chosen.append(incident)
    return Chosen(tuple(chosen), tuple(left))


def _of_several(paged: Sequence[Paged], spans: Iterable[tuple[int, int]]) -> Chosen:
    """The incidents of each number that was written, and of a range those that are open."""
    chosen: dict[int, Incident] = {}
    left: dict[int, str] = {}
    for first, last in spans:
        hits = [one.incident for one in paged if _named(one, ((first, last),))]
        if first == last and not hits:
            left[first] = "not paged to this phone"
        for incident in hits:
            if incident.open:
                chosen[incident.number] = incident
            elif first == last:
                left[incident.number] = state_of(incident)
    return Chosen(tuple(chosen[number] for number in sorted(chosen)), tuple(sorted(left.items())))


def _named(one: Paged, spans: Iterable[tuple[int, int]]) -> bool:
    """Whether it is of these numbers, by its own or by the one that its page named."""
    return any(first <= number <= last for first, last in spans for number in (one.incident.number, one.named))


def state_of(incident: Incident) -> str:
    """State of an incident in words: triggered, acknowledged by bo, resolved ..."""
    by = incident.acknowledged_by if incident.status == "acknowledged" else None
    return f"{incident.status} by {by}" if by else incident.status


def told_of_many(command: Command, done: Sequence[tuple[int, str]], left: Sequence[tuple[int, str]]) -> str:
    """Reply that tells what was done and what was left. `done`: each number with what is said of it alone; `left`:
    with the reason."""
    if len(done) == 1 and not left:
        return done[0][1]
    if not done and not left:
        return "No open incident of these was paged to this phone in the last 24 hours."
    numbers = spans_of([number for number, _ in done])
    past = _past(command)
    first = f"INC {numbers} {past}" if done else f"No incident was {past.partition(' ')[0].rstrip(':')}."
    return cut(" ".join(filter(None, (first, _left(left, command)))), LONGEST)


def _past(command: Command) -> str:
    if command.verb == "snooze":
        return f"snoozed for {in_words(command.length or 0)}. Then they page again."
    return PAST[command.verb]


def _left(left: Sequence[tuple[int, str]], command: Command) -> str:
    """Left: INC 14 (paged just now), INC 15, 16 (resolved)."""
    reasons: dict[str, list[int]] = {}
    for number, reason in left:
        reasons.setdefault(reason, []).append(number)
    told = ", ".join(f"INC {spans_of(numbers)} ({reason})" for reason, numbers in reasons.items())
    more = f" Reply {SHORT[command.verb]} and a number for these." if {NEW, UNSURE, ANEW} & reasons.keys() else ""
    return f"Left: {told}.{more}" if told else ""


def spans_of(numbers: Iterable[int]) -> str:
    """11-13, 15"""
    return ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in _runs(sorted(set(numbers))))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for index, number in enumerate(numbers):
        if index + 1 == len(numbers) or numbers[index + 1] != number + 1:
            if index - start < 2:  # two neighbours read better one by one
                yield from ((one, one) for one in numbers[start : index + 1])
            else:
                yield numbers[start], number
            start = index + 1


def in_short(incidents: Sequence[Incident]) -> str:
    """State of several incidents, a line each."""
    lines = [f"{cut(headline(one), 80)}: {state_of(one)}" for one in incidents]
    return cut("; ".join(lines), LONGEST) or "Nothing that is open was paged to this phone in the last 24 hours."


def last_word(answer: str, replies: int, *, about_incidents: bool) -> str | None:
    """The answer as it goes out after so many replies within the hour; None: nothing is said.

    A number gets at most five automatic replies an hour, so that two machines never talk for ever. The last is kept for
    answers about incidents, and says that it is the last.
    """
    left = MOST_REPLIES - replies
    if left <= (0 if about_incidents else 1):
        return None
    return answer + LAST if left == 1 else answer

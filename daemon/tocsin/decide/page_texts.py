"""Texts of pages: what an SMS, a mail and a voice say of one incident, of several, and of what is over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from tocsin.decide.text import cut
from tocsin.decide.views import incident_url
from tocsin.model import TOCSIN, Incident, Settings, StoredAlert, rfc3339

SAME_BEGINNING = 8  # characters that titles begin alike with: so many and more are left out of a list
AFFECTED = 60  # characters for the names of services that need the one it is about
SMS = 300  # characters: two GSM-7 segments, or close to it, with the link


def headline(incident: Incident) -> str:
    service = f"[{incident.service}] " if incident.service else ""
    return f"INC {incident.number} {incident.priority} {service}{incident.title}"


def affected_text(services: Sequence[str]) -> str:
    """Services that this is about as well, in so few characters that an SMS has room for it; "" for none."""
    shown = [name for name in services if len(name) <= AFFECTED]
    while shown and len(", ".join(shown)) > AFFECTED:
        shown.pop()
    more = len(services) - len(shown)
    if not shown:
        return f"{more} services need it" if services else ""
    return f"Affects {', '.join(shown)}" + (f" and {more} more" if more else "")


def short_text(incident: Incident, ack_url: str, code: str, *, interactive: bool, affected: Sequence[str] = ()) -> str:
    """SMS about an incident: its headline, cut so that the ways to answer always fit.

    `affected`: the services that need its own.
    """
    ways = []
    if interactive:
        ways.append(f"Reply ACK {incident.number}{' ' + code if code else ''}")
    if ack_url:
        ways.append(ack_url)
    tail = " ".join(ways)
    more = f" (+{incident.firing - 1} alerts)" if incident.firing > 1 else ""
    more += f". {affected_text(affected)}" if affected else ""
    head = cut(headline(incident), max(60, SMS - len(tail) - len(more) - 2))
    return f"{head}{more}. {tail}".strip() if tail else head + more


def long_text(
    incident: Incident,
    alerts: Sequence[StoredAlert],
    settings: Settings,
    zone: str,
    ack_url: str,
    affected: Sequence[str] = (),
) -> str:
    """Mail about an incident: the incident, its first alerts, the runbook, how to answer."""
    lines = [headline(incident), ""]
    lines.append(f"Severity {incident.severity}, impact {incident.impact}, urgency {incident.urgency}.")
    lines.append(f"Since {rfc3339(incident.created_at, ZoneInfo(zone))}.")
    if affected:
        lines.append(f"Services that need it: {', '.join(affected)}.")
    for alert in alerts[:5]:
        lines += ["", f"* {alert.title}"]
        lines += [f"  {line}" for line in alert.description.splitlines()[:6]]
        lines += [f"  {link.text or 'link'}: {link.href}" for link in alert.links[:3]]
    if len(alerts) > 5:
        lines += ["", f"... and {incident.firing - 5} more alerts."]
    service = settings.services.get(incident.service)
    if service is not None and service.runbook:
        lines += ["", f"Runbook: {service.runbook}"]
    if ack_url:
        lines += ["", f"Acknowledge: {ack_url}"]
    return "\n".join([*lines, "", f"On the command line: tocsin ack {incident.number}"])


def spoken_text(incident: Incident, affected: Sequence[str] = ()) -> str:
    """Words a voice says before the menu."""
    service = f" Service {incident.service}." if incident.service else ""
    title = "".join(char if char.isalnum() or char in " .,:%-" else " " for char in incident.title[:300])
    needed = f" {affected_text(affected)}." if affected else ""
    return f"Tocsin. Incident {incident.number}, priority {incident.priority[1:]}.{service} {title}.{needed}"


def over_text(incident: Incident) -> str:
    """Text that an incident is over, and how it ended."""
    by = f" by {incident.resolved_by}" if incident.resolved_by else ""
    title = cut(incident.title, 120)
    if incident.merged_into is not None:
        return f"INC {incident.number} is part of INC {incident.merged_into} from now on: {title}"
    if is_calm(incident):
        said = "the storm is calm. What it took in and still fires pages by itself from now on"
        return f"INC {incident.number}: {said}: {title.removeprefix('storm: ')}"
    return f"INC {incident.number} {'canceled' if incident.status == 'canceled' else 'resolved'}{by}: {title}"


def is_storm(incident: Incident) -> bool:
    """Whether it stands for many others."""
    return incident.key.startswith("storm/")


def is_calm(incident: Incident) -> bool:
    """Whether it was a storm that ended by itself: what it took in may fire on."""
    return is_storm(incident) and incident.status == "resolved" and incident.resolved_by == TOCSIN.shown


def all_resolved_text(incidents: Sequence[Incident]) -> str:
    """Text that several incidents are over, in one message that fits an SMS."""
    return _each_named(f"{len(incidents)} incidents are {_ended(incidents)}: ", incidents, "")


def all_resolved_body(incidents: Sequence[Incident]) -> str:
    """Mail that several incidents are over, one a line."""
    lines = [f"* {cut(over_text(one), 200)}" for one in sorted(incidents, key=_most_urgent)]
    return "\n".join([f"{len(incidents)} incidents are {_ended(incidents)}:", "", *lines])


def _ended(incidents: Sequence[Incident]) -> str:
    return "resolved" if all(one.status == "resolved" and not is_calm(one) for one in incidents) else "over"


def summary_text(incidents: Sequence[Incident], more: int = 0, code: str = "") -> str:
    """Several pages in one message that fits an SMS: each incident is named, the most urgent ones with enough of their
    titles to tell them apart.

    `more`: so many besides these. `code`: four letters that the answer must have.
    """
    head = f"{len(incidents) + more} incidents wait for you: "
    proof = f", with {code}" if code else ""
    return _each_named(head, incidents, f". Reply ACK and a number, or ACK ALL{proof}.", more)


def _each_named(head: str, incidents: Sequence[Incident], tail: str, more: int = 0) -> str:
    incidents = sorted(incidents, key=_most_urgent)
    room = SMS - len(head) - len(tail)
    for names in _ways_to_name(incidents, more):
        if len(names) <= room:
            return head + names + tail
    return head + _numbers(incidents, room, more) + tail


def _ways_to_name(incidents: Sequence[Incident], more: int) -> Iterator[str]:
    """Forms of a summary, fullest first: each with its title, one title for all, titles for the most urgent only."""
    if not more:
        yield "; ".join(_named(one, one.title, 40) for one in incidents)
    titles = {one.title for one in incidents}
    if len(titles) == 1 and len(incidents) > 1:
        numbers = [f"{one.number} {one.priority}" for one in incidents]
        yield f"{cut(titles.pop(), 80)}: {_and_more(numbers, len(numbers), more)}"
        return
    same = _beginning([one.title for one in incidents])
    lead = f"{cut(same, 40)}…: " if same else ""

    def named(one: Incident, width: int) -> str:
        return _named(one, f"…{one.title[len(same) :]}" if same else one.title, width)

    if not more:
        yield lead + "; ".join(named(one, 40) for one in incidents)
        yield lead + "; ".join(named(one, 24) for one in incidents)
    for width in (40, 24):
        for shown in range(len(incidents) - 1, 1, -1):
            names = "; ".join(named(one, width) for one in incidents[:shown])
            rest = [str(one.number) for one in incidents[shown:]]
            yield f"{lead}{names}; {_and_more(rest, len(rest), more)}"


def _named(incident: Incident, title: str, width: int) -> str:
    return f"INC {incident.number} {incident.priority} {cut(title, width)}"


def _beginning(titles: Sequence[str]) -> str:
    """The words that all of them begin with, to be said once; "" where they are few."""
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(min(titles), max(titles), strict=False))
    same = "".join(one for one, _ in alike)
    same = same[: max(same.rfind(end) for end in " /-_.:") + 1]
    return same if len(same) >= SAME_BEGINNING and all(len(title) > len(same) for title in titles) else ""


def summary_body(incidents: Sequence[Incident], more: int, settings: Settings, links: Mapping[int, str]) -> str:
    """Mail for a summary, which has room for all: one a line, each with its own link. `links`: to acknowledge, by
    number."""
    lines = [f"{len(incidents) + more} incidents wait for you:", ""]
    base = settings.server.public_url
    for one in sorted(incidents, key=_most_urgent):
        lines.append(f"* {cut(headline(one), 200)}")
        if links.get(one.number):
            lines.append(f"  Acknowledge: {links[one.number]}")
        if base:
            lines.append(f"  {incident_url(one.number, settings)}")
    if base:
        lines += ["", f"All that is open: {base}/"]
    return "\n".join([*lines, "", "On the command line: tocsin ack NUMBER…"])


def _most_urgent(incident: Incident) -> tuple[bool, str, int]:
    """Storms first, since each stands for many; then by priority."""
    return not is_storm(incident), incident.priority, incident.number


def _numbers(incidents: Sequence[Incident], room: int, more: int) -> str:
    """Numbers of incidents alone, in order; and how many there was no room for."""
    numbers = [str(one.number) for one in incidents]
    shown = len(numbers)
    while shown and len(text := _and_more(numbers, shown, more)) > room:
        shown -= 1
    return text


def _and_more(numbers: Sequence[str], shown: int, more: int) -> str:
    more += len(numbers) - shown
    return f"INC {', '.join(numbers[:shown])}" + (f" and {more} more" if more else "")

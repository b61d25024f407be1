"""How incidents, pages and alerts look from outside: JSON shapes of the API, texts of pages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from tocsin.decide.text import cut, without_addresses
from tocsin.model import TOCSIN, Attempt, Entry, Incident, Instant, Page, Settings, StoredAlert, rfc3339

SAME_BEGINNING = 8  # characters that titles begin alike with: so many and more are left out of a list
AFFECTED = 60  # characters for the names of services that need the one it is about
SMS = 300  # characters: two GSM-7 segments, or close to it, with the link


def when(at: Instant | None) -> str | None:
    return None if at is None else rfc3339(at)


def incident_url(number: int, settings: Settings) -> str:
    """The page of one incident; relative where no public_url is configured."""
    return f"{settings.server.public_url or ''}/incidents/{number}"


def incident_view(incident: Incident, settings: Settings) -> dict[str, Any]:
    """The Incident JSON of the HTTP API."""
    paging = incident.status == "triggered" and incident.due_kind in ("step", "again")
    return {
        "number": incident.number,
        "key": incident.key,
        "status": incident.status,
        "title": incident.title,
        "service": incident.service or None,
        "severity": incident.severity,
        "impact": incident.impact,
        "urgency": incident.urgency,
        "priority": incident.priority,
        "category": incident.category or None,
        "policy": incident.policy or None,
        "step": incident.step,
        "cycle": incident.cycle,
        "acknowledged_by": incident.acknowledged_by,
        "alerts": {"firing": incident.firing, "resolved": incident.resolved, "total": incident.total},
        "created_at": when(incident.created_at),
        "acknowledged_at": when(incident.acknowledged_at),
        "resolved_at": when(incident.resolved_at),
        "closed_at": when(incident.closed_at),
        "snoozed_until": when(incident.snoozed_until),
        "next_page_at": when(incident.due_at) if paging else None,
        "muted_by": incident.muted_by,
        "storm": incident.storm,
        "merged_into": incident.merged_into,
        "previous": incident.previous,
        "url": incident_url(incident.number, settings),
    }


NAMED_BY_ID = ("page", "attempt")  # details of a line of the timeline
OF_PROVIDERS = frozenset({"pager", "callback", "sms", "voice"})  # the doors whose lines quote what providers said
SHOWN_OF_AN_ID = 8  # its end: what tells two apart, and proves nothing
_SID = re.compile(r"\b[A-Z]{2}[0-9a-f]{32}\b")


def for_viewers(text: str) -> str:
    """What is told without what a provider's callback could be made of: addresses, ids of messages and calls."""
    return _without_sids(without_addresses(text))


def _without_sids(text: str) -> str:
    return _SID.sub("…", text)


def shortened(id_: object) -> str:
    """The end of a random id: enough to tell two apart, too little to answer in its name."""
    return str(id_)[-SHOWN_OF_AN_ID:]


def entry_view(entry: Entry, *, whole: bool = True) -> dict[str, Any]:
    """One line of `…/timeline`; `whole` False: for viewers, who need no ids and addresses."""
    shown = _entry_view(entry)
    if whole:
        return shown
    shown |= {name: shortened(shown[name]) for name in NAMED_BY_ID if shown.get(name)}
    hide = for_viewers if entry.via in OF_PROVIDERS else _without_sids
    return {name: hide(value) if isinstance(value, str) and name not in ("at", "kind") else value
            for name, value in shown.items()}  # fmt: skip


def _entry_view(entry: Entry) -> dict[str, Any]:
    shown = {
        "at": rfc3339(entry.at),
        "kind": entry.kind,
        "actor": entry.actor,
        "via": entry.via,
        "channel": entry.channel,
        "because": entry.because,
    }
    return {**{name: value for name, value in entry.detail.items() if name not in shown}, **shown}


def opening(incident: Incident) -> Entry:
    """The first line of a timeline; kept in the incident itself."""
    detail = {"alert": incident.alert, "key": incident.key, "previous": incident.previous}
    return Entry(
        incident.number, incident.created_at, "opened", incident.opened_by, "alert", incident.title, "", detail
    )


def attempt_view(attempt: Attempt, kind: str, *, whole: bool = True, several: Collection[str] = ()) -> dict[str, Any]:
    return {
        "attempt": attempt.id if whole else shortened(attempt.id),
        "number": attempt.number,
        "message": "summary" if kind == "page" and attempt.id in several else kind,
        "channel": attempt.channel,
        "to": attempt.address if whole else "…",
        "started_at": rfc3339(attempt.started_at),
        "ended_at": when(attempt.ended_at),
        "outcome": attempt.state,
        "ref": (attempt.ref or None) if whole else None,
        "because": attempt.because if whole else for_viewers(attempt.because),
        "delivery": attempt.delivery or None,
    }


def page_view(
    page: Page, attempts: Sequence[Attempt], *, whole: bool = True, several: Collection[str] = ()
) -> dict[str, Any]:
    """One element of `…/pages`. `outcome` is the page's fate in one word; `whole` False: for viewers; `several`: the
    attempts that went out in one message with pages of other incidents."""
    return {
        "page": page.id if whole else shortened(page.id),
        "key": page.key,
        "kind": page.kind,
        "cycle": page.cycle,
        "round": page.round,
        "step": page.step,
        "rule": page.rule,
        "user": page.user or None,
        "target": page.target,
        "contact": page.contact or None,
        "channel": page.channel,
        "due_at": rfc3339(page.due_at),
        "outcome": page_outcome(page, attempts),
        "because": page.because,
        "delayed": page.delayed or None,
        "attempts": [attempt_view(attempt, page.kind, whole=whole, several=several) for attempt in attempts],
    }


def page_outcome(page: Page, attempts: Sequence[Attempt]) -> str:
    """planned, calling, accepted, failed, unknown, cancelled or bundled."""
    if page.status == "waiting":
        return "unknown"
    if page.status != "done":
        return page.status
    states = [attempt.state for attempt in attempts]
    return "accepted" if "accepted" in states else "unknown" if "unknown" in states else "failed"


def alert_view(alert: StoredAlert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "integration": alert.integration,
        "dedup_key": alert.source_key,
        "status": alert.status,
        "incident": alert.incident,
        "severity": alert.severity,
        "title": alert.title,
        "description": alert.description,
        "service": alert.service or None,
        "source": alert.source or None,
        "labels": dict(alert.labels),
        "links": [{"href": link.href, "text": link.text} for link in alert.links],
        "rules": list(alert.rules),
        "count": alert.count,
        "started_at": rfc3339(alert.started_at),
        "received_at": rfc3339(alert.received_at),
        "last_seen_at": rfc3339(alert.last_seen_at),
        "ended_at": when(alert.ended_at),
        "held_until": when(alert.hold_until),
        "cleared_at": when(alert.cleared_at),
        "ends_at": when(alert.expires_at),
        "waits_until": when(alert.waits_until),
        "muted_by": alert.muted_by,
        "truncated": alert.truncated,
    }


# ------------------------------------------------------------------------------------ page texts


def headline(incident: Incident) -> str:
    service = f"[{incident.service}] " if incident.service else ""
    return f"INC {incident.number} {incident.priority} {service}{incident.title}"


def affected_text(services: Sequence[str]) -> str:
    """Which services this is about as well, in so few characters that an SMS has room for it; "" for none."""
    shown = [name for name in services if len(name) <= AFFECTED]
    while shown and len(", ".join(shown)) > AFFECTED:
        shown.pop()
    more = len(services) - len(shown)
    if not shown:
        return f"{more} services need it" if services else ""
    return f"Affects {', '.join(shown)}" + (f" and {more} more" if more else "")


def short_text(incident: Incident, ack_url: str, code: str, *, interactive: bool, affected: Sequence[str] = ()) -> str:
    """What an SMS says: the headline, cut so that the ways to answer always fit. `affected`: the services that need
    its own."""
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
    """What a mail says: the incident, its first alerts, the runbook, how to answer."""
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
    """What a voice says before the menu."""
    service = f" Service {incident.service}." if incident.service else ""
    title = "".join(char if char.isalnum() or char in " .,:%-" else " " for char in incident.title[:300])
    needed = f" {affected_text(affected)}." if affected else ""
    return f"Tocsin. Incident {incident.number}, priority {incident.priority[1:]}.{service} {title}.{needed}"


def over_text(incident: Incident) -> str:
    """That it is over, and how it ended."""
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
    """The same of several, in one message that fits an SMS."""
    return _each_named(f"{len(incidents)} incidents are {_ended(incidents)}: ", incidents, "")


def all_resolved_body(incidents: Sequence[Incident]) -> str:
    """The same for a mail, one a line."""
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
    """All of them, the fullest first: each with its title, one title for all, titles for the most urgent ones only."""
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
    """The same for a mail, which has room for all: one a line, each with its own link. `links`: to acknowledge, by
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
    """Their numbers alone, in order; and how many there was no room for."""
    numbers = [str(one.number) for one in incidents]
    shown = len(numbers)
    while shown and len(text := _and_more(numbers, shown, more)) > room:
        shown -= 1
    return text


def _and_more(numbers: Sequence[str], shown: int, more: int) -> str:
    more += len(numbers) - shown
    return f"INC {', '.join(numbers[:shown])}" + (f" and {more} more" if more else "")


def in_words(length: int) -> str:
    """A length in milliseconds for people: 30m, 1h30m, 45s."""
    seconds = max(0, round(length / 1000))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    shown = [f"{count}{unit}" for count, unit in parts if count]
    return "".join(shown[:2]) or "0s"


def facts_of(incident: Incident, settings: Settings) -> Mapping[str, Any]:
    """The incident as it stands in a webhook channel's body."""
    return incident_view(incident, settings)

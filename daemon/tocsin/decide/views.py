"""JSON shapes of incidents, pages, attempts, alerts and timeline entries, as the API and webhooks show them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tocsin.decide.text import without_addresses
from tocsin.model import Attempt, Entry, Incident, Instant, Page, Settings, StoredAlert, rfc3339


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
    """View without what a provider's callback could be made of: addresses, ids of messages and calls."""
    return _without_sids(without_addresses(text))


def _without_sids(text: str) -> str:
    return _SID.sub("…", text)


def shortened(id_: object) -> str:
    """The end of a random id: enough to tell two apart, too little to answer in its name."""
    return str(id_)[-SHOWN_OF_AN_ID:]


def entry_view(entry: Entry, *, whole: bool = True) -> dict[str, Any]:
    """Entry of `…/timeline`; `whole` False: for viewers, who need no ids and addresses."""
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
    """Element of `…/pages`. `outcome` is the page's fate in one word; `whole` False: for viewers; `several`: the
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


def facts_of(incident: Incident, settings: Settings) -> Mapping[str, Any]:
    """The incident as it stands in a webhook channel's body."""
    return incident_view(incident, settings)


def in_words(length: int) -> str:
    """A length in milliseconds for people: 30m, 1h30m, 45s."""
    seconds = max(0, round(length / 1000))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    shown = [f"{count}{unit}" for count, unit in parts if count]
    return "".join(shown[:2]) or "0s"

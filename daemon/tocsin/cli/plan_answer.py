"""The answer of `tocsin plan` as JSON: exact, and what the tables are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tocsin.cli.turnover import compared as shifts_compared
from tocsin.decide.oncall.overrides import Extra
from tocsin.decide.oncall.resolver import zone_of
from tocsin.decide.oncall.turn_changes import in_words, turn_changes
from tocsin.decide.whatif import config_diff
from tocsin.decide.whatif.escalation_forecast import Planned
from tocsin.decide.whatif.replay import Group, Tally
from tocsin.model import EMPTY, Instant, Millis, Settings, rfc3339
from tocsin.settings import ReloadDifference, difference
from tocsin.settings.reload_diff import PLAIN
from tocsin.work.whatif.plan import Affected

TOLD_GROUPS = 200


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Facts from the database that the change touches; empty where there is no database."""

    tally: Tally | None = None
    incidents: tuple[list[Affected], int] | None = None
    made_before: Extra = EMPTY  # overrides made at run time, as each side knows their people
    made_after: Extra = EMPTY


@dataclass(frozen=True, slots=True)
class Compared:
    """Facts that `tocsin plan` found out: two configurations, a stretch of time and what the database knows."""

    before: Settings
    after: Settings
    now: Instant
    ahead: Millis
    since: Instant
    known: DatabaseFacts


def as_json(found: Compared, origin: str, new: str) -> dict[str, Any]:
    """Times of shifts by their schedule's clock, others by `defaults.timezone`."""
    changed = difference(found.before, found.after)
    return {
        "before": origin,
        "after": new,
        "changes": bool(changed),
        "sections": _sections(changed),
        "other": [name for name in PLAIN if name in changed.counts],
        "needs_restart": list(changed.needs_restart),
        "removes_most": list(changed.removes_most),
        "empties": list(changed.empties),
        **_now(found),
        "shifts": list(_shifts(found)),
        "policies": [_lines(one) for one in config_diff.policies(found.before, found.after)],
        "users": [
            {"user": one.user, "changes": list(one.changes)} for one in config_diff.people(found.before, found.after)
        ],
        "rules": [_lines(one) for one in config_diff.rules(found.before, found.after)],
        "rules_moved": changed.moved,
        "alerts": _alerts(found),
        "incidents": _incidents(found),
    }


def _sections(changed: ReloadDifference) -> dict[str, Any]:
    return {
        name: {"added": list(names.added), "removed": list(names.removed), "changed": list(names.changed)}
        for name, names in changed.names.items()
    }


def _now(found: Compared) -> dict[str, Any]:
    """The people on call and the turns at this moment, where the change alters them."""
    changes = turn_changes(found.before, found.after, found.now, found.known.made_before, found.known.made_after)
    return {
        "on_call_now": [
            {"schedule": name, "before": list(was), "after": list(will)} for name, was, will in changes.on_call
        ],
        "turns": [
            {
                "schedule": one.schedule, "layer": one.layer, "before": list(one.was), "after": list(one.will),
                "keeps": list(one.keeps), "start": one.start, "order": [list(entry) for entry in one.order],
            }
            for one in changes.moved
        ],
        "in_words": list(in_words(changes, done=False)),
    }  # fmt: skip


def _shifts(found: Compared) -> Iterable[dict[str, Any]]:
    """Schedules whose people change within the time ahead."""
    end = Instant(found.now + found.ahead)
    for name in dict.fromkeys([*found.before.schedules, *found.after.schedules]):
        was, will = found.before.schedules.get(name), found.after.schedules.get(name)
        made = found.known.made_before.get(name, ()), found.known.made_after.get(name, ())
        if was != will or made[0] != made[1]:
            one = shifts_compared(was, will, found.now, end, *made)
            if one["changes"]:
                yield one


def _lines(one: config_diff.Lines) -> dict[str, Any]:
    return {"name": one.name, "before": list(one.before), "after": list(one.after)}


def _alerts(found: Compared) -> dict[str, Any] | None:
    tally = found.known.tally
    if tally is None:
        return None
    zone = zone_of(found.before.defaults.timezone)
    return {
        "since": rfc3339(found.since, zone),
        "until": rfc3339(found.now, zone),
        "posts": tally.posts,
        "unread": tally.unread,
        "alerts": tally.alerts,
        "differ": tally.differ,
        "beyond": tally.beyond,
        "incident_keys": {"before": len(tally.keys_before), "after": len(tally.keys_after)},
        "rules": [{"name": name, "before": was, "after": will} for name, was, will in tally.rules],
        "groups": [_group(one, found) for one in tally.by_count[:TOLD_GROUPS]],
    }


def _group(one: Group, found: Compared) -> dict[str, Any]:
    example = one.example
    return {
        "count": one.count,
        "before": dict(one.before),
        "after": dict(one.after),
        "example": {
            "at": rfc3339(example.at, zone_of(found.before.defaults.timezone)),
            "integration": example.integration,
            "dedup_key": example.dedup_key,
            "title": example.title,
            "incident_key": {"before": example.key_before or None, "after": example.key_after or None},
        },
    }


def _incidents(found: Compared) -> dict[str, Any] | None:
    if found.known.incidents is None:
        return None
    affected, looked_at = found.known.incidents
    return {"open": looked_at, "affected": [_incident(one, found) for one in affected]}


def _incident(one: Affected, found: Compared) -> dict[str, Any]:
    incident = one.incident
    return {
        "number": incident.number,
        "title": incident.title,
        "status": incident.status,
        "priority": incident.priority,
        "policy": incident.policy or None,
        "policy_frozen": one.frozen,
        "next_before": [_page(page, found) for page in one.before],
        "next_after": [_page(page, found) for page in one.after],
    }


def _page(page: Planned, found: Compared) -> dict[str, Any]:
    zone = zone_of(found.before.defaults.timezone)
    return {"at": rfc3339(page.at, zone), "user": page.user, "channel": page.channel, "because": page.because}

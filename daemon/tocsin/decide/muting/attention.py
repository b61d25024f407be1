"""Attention to an incident, for which others may wait: a reachable person is paged, or a person acknowledged it."""

from __future__ import annotations

from tocsin.decide.oncall.reach import People, reach, usable_contacts
from tocsin.model import Incident, Instant, Settings


def is_attended(incident: Incident, settings: Settings, people: People, now: Instant) -> bool:
    """Whether a person works on it or is being called to.

    Not while it is held, muted, snoozed, on hold, at rest or taken in by a storm; not when its policy is exhausted or
    reaches no person, nor when only an integration acknowledged it. The catch-all and fixed channels do not count:
    they are asked where nobody else could be. A step that is due at this very instant is taken for one that reaches
    somebody; what came of it is known behind it.
    """
    return _is_answered(incident, settings) or (
        _pages(incident, now)
        and (_is_due(incident, now) or any(_can_be_reached(user, settings, people) for user in incident.paged.split()))
    )


def is_told(incident: Incident, settings: Settings, people: People, now: Instant) -> bool:
    """Whether somebody hears of it: it is attended, or the catch-all is paged since nobody else is."""
    return is_attended(incident, settings, people, now) or (
        _pages(incident, now) and _catch_all_is_reached(settings, people, now)
    )


def rings(incident: Incident) -> bool:
    """Whether it is a P1 that somebody is being paged for: what begins elsewhere never cancels that."""
    return incident.priority == "P1" and incident.muted_by is None and (incident.round, incident.step) != (1, 1)


def _is_answered(incident: Incident, settings: Settings) -> bool:
    """By a person, who has not put it off."""
    by_a_person = incident.acknowledged_by in settings.users
    return incident.status == "acknowledged" and incident.snoozed_until is None and by_a_person


def _pages(incident: Incident, now: Instant) -> bool:
    """Whether its escalation runs."""
    held = incident.held_until is not None and incident.held_until > now
    return incident.status == "triggered" and incident.muted_by is None and not incident.resting and not held


def _is_due(incident: Incident, now: Instant) -> bool:
    return incident.due_kind == "step" and incident.due_at is not None and incident.due_at <= now


def _can_be_reached(key: str, settings: Settings, people: People) -> bool:
    user = settings.users.get(key)
    return user is not None and bool(usable_contacts(user, settings, people))


def _catch_all_is_reached(settings: Settings, people: People, now: Instant) -> bool:
    found = reach(settings.catch_all, settings, people, now)
    return any(one.user is None or usable_contacts(one.user, settings, people, one.contact) for one in found)

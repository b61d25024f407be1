"""Telling somebody that a swap was asked of them: over which contact, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from tocsin.decide.escalation import People, personal_rules, usable_contacts
from tocsin.decide.text import clean
from tocsin.model import Contact, Instant, Settings, Swap, User
from tocsin.model.civil import civil

PREFIX = "swap/"


def key_of(swap: Swap) -> str:
    """Unique for ever, and says until when the notice is worth sending."""
    return f"{PREFIX}{swap.id}/{swap.dies_at}"


def past_due(key: str, now: Instant) -> str:
    """Why the notice of this key is no news any more; "" while it is."""
    return "a shift of the swap has begun" if now >= int(key.rpartition("/")[2]) else ""


def silent_contact(user: User, settings: Settings, people: People, calls: Callable[[Contact], bool]) -> Contact | None:
    """Over what a person is asked: as their rules for low urgency say, but never by a call. None: by nothing."""
    usable = {contact.name: contact for contact in usable_contacts(user, settings, people)}
    low = [name for rule in personal_rules(user, "low", settings) for name in rule.by]
    ordered = [usable[name] for name in dict.fromkeys([*low, *usable]) if name in usable]
    return next((contact for contact in ordered if not calls(contact)), None)


def text_of(swap: Swap, asked: User, settings: Settings) -> str:
    """The first line says it all; times are those of the person who is asked."""
    asker = settings.users.get(swap.asker)
    name = f"{asker.name} ({swap.asker})" if asker is not None and asker.name != swap.asker else swap.asker
    zone = ZoneInfo(asked.timezone)
    when = f"{_window(swap.starts_at, swap.ends_at, zone)} ({asked.timezone})"
    lines = [f"{name} asks you to take over {swap.schedule}: {when}."]
    if swap.back_from is not None and swap.back_to is not None:
        lines.append(f"In return {swap.asker} takes yours: {_window(swap.back_from, swap.back_to, zone)}.")
    if swap.reason:
        lines.append(f"Reason: {clean(swap.reason, 200)}")
    lines.append(f"Answer before {_clock(swap.dies_at, zone)}: tocsin swap accept {swap.id} (or: decline)")
    return "\n".join(lines)


def _window(start: Instant, end: Instant, zone: ZoneInfo) -> str:
    return f"{_clock(start, zone)} until {_clock(end, zone)}"


def _clock(at: Instant, zone: ZoneInfo) -> str:
    then = civil(at, zone)
    return f"{then:%a} {then.day} {then:%b %H:%M}"

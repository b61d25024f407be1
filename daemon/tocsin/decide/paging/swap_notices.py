"""Telling somebody that a swap was asked of them, and the one who asked what came of it: over which contact, and in
which words."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from tocsin.decide.oncall.reach import People, personal_rules, usable_contacts
from tocsin.decide.text import clean
from tocsin.model import Contact, Instant, Settings, Swap, User
from tocsin.model.civil import civil

PREFIX = "swap/"


def key_of(swap: Swap) -> str:
    """Unique for ever, and says until when the notice is worth sending: of an answer, until the shift is over."""
    if swap.status == "asked":
        return f"{PREFIX}{swap.id}/{swap.dies_at}"
    return f"{PREFIX}{swap.id}/{swap.ends_at}/{swap.status}"


def past_due(key: str, now: Instant) -> str:
    """Reason why the notice of this key is no news any more; "" while it is."""
    _, _, until, *answer = key.split("/")
    if now < int(until):
        return ""
    return "the shift of the swap is over" if answer else "a shift of the swap has begun"


def asks(key: str) -> str:
    """The id of the swap that a notice of this key asks for; "" for every other."""
    _, _, rest = key.partition(PREFIX)
    return rest.partition("/")[0] if key.startswith(PREFIX) and rest.count("/") == 1 else ""


def overtaken(swap: Swap | None) -> str:
    """Reason why nobody is to be asked for this swap any more; "" while there is no answer."""
    if swap is None:
        return "the swap is gone"
    return "" if swap.status == "asked" else f"the swap is {swap.status} already"


def silent_contact(user: User, settings: Settings, people: People, calls: Callable[[Contact], bool]) -> Contact | None:
    """Over what a person is told: as their rules for low urgency say, but never by a call. None: by nothing."""
    usable = {contact.name: contact for contact in usable_contacts(user, settings, people)}
    low = [name for rule in personal_rules(user, "low", settings) for name in rule.by]
    ordered = [usable[name] for name in dict.fromkeys([*low, *usable]) if name in usable]
    return next((contact for contact in ordered if not calls(contact)), None)


def text_of(swap: Swap, asked: User, settings: Settings) -> str:
    """For the one who is asked. The first line says it all; times are that person's."""
    zone = ZoneInfo(asked.timezone)
    when = f"{_window(swap.starts_at, swap.ends_at, zone)} ({asked.timezone})"
    lines = [f"{_named(swap.asker, settings)} asks you to take over {swap.schedule}: {when}."]
    if swap.back_from is not None and swap.back_to is not None:
        lines.append(f"In return {swap.asker} takes yours: {_window(swap.back_from, swap.back_to, zone)}.")
    if swap.reason:
        lines.append(f"Reason: {clean(swap.reason, 200)}")
    lines.append(f"Answer before {_clock(swap.dies_at, zone)}: tocsin swap accept {swap.id} (or: decline)")
    return "\n".join(lines)


def answer_of(swap: Swap, asker: User, settings: Settings) -> str:
    """For the one who asked: what came of it, and whose the shifts are now; times are that person's."""
    zone, name = ZoneInfo(asker.timezone), _named(swap.asked, settings)
    given = f"{swap.schedule}: {_window(swap.starts_at, swap.ends_at, zone)} ({asker.timezone})"
    if swap.status != "accepted":
        return f"{name} declined your swap. Still yours is {given}."
    lines = [f"{name} accepted your swap and takes over {given}."]
    if swap.back_from is not None and swap.back_to is not None:
        lines.append(f"In return you take: {_window(swap.back_from, swap.back_to, zone)}.")
    return "\n".join(lines)


def _named(key: str, settings: Settings) -> str:
    user = settings.users.get(key)
    return f"{user.name} ({key})" if user is not None and user.name != key else key


def _window(start: Instant, end: Instant, zone: ZoneInfo) -> str:
    return f"{_clock(start, zone)} until {_clock(end, zone)}"


def _clock(at: Instant, zone: ZoneInfo) -> str:
    then = civil(at, zone)
    return f"{then:%a} {then.day} {then:%b %H:%M}"

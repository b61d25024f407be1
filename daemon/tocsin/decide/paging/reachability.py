"""Reachability: whether this person's phone will ring, judged by the contacts of their rules for high urgency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.decide.oncall.reach import personal_rules
from tocsin.model import Contact, Settings, User


@dataclass(frozen=True, slots=True)
class ContactFacts:
    """Facts about contacts beyond the configuration; "" = nothing against it."""

    unusable: Callable[[Contact], str]  # why the address cannot be used
    failing: Callable[[Contact], str]  # why its channel, and whatever stands in for it, does not work now
    verified: Callable[[str, Contact], bool]  # by the user's key


@dataclass(frozen=True, slots=True)
class Rings:
    """The phone would ring: a contact that wakes them is usable, works, and was proven."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """The phone would be tried, and nobody knows whether it is the right address."""

    because: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No contact that wakes them works."""

    because: str


Reachability = Rings | Unproven | Unreachable


def will_ring(user: User, settings: Settings, facts: ContactFacts) -> Reachability:
    """Whether a page of high urgency would reach this person now."""
    if not user.contacts:
        return Unreachable("no contact is configured")
    waking = _waking(user, settings)
    troubles = {contact.name: facts.unusable(contact) or facts.failing(contact) for contact in waking}
    working = [contact for contact in waking if not troubles[contact.name]]
    if not working:
        return Unreachable("; ".join(f"{name}: {trouble}" for name, trouble in troubles.items()))
    if not any(facts.verified(user.key, contact) for contact in working):
        names = [contact.name for contact in working]
        return Unproven(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not verified")
    return Rings()


def _waking(user: User, settings: Settings) -> list[Contact]:
    """The contacts of the rules for high urgency, each once, in order."""
    names = dict.fromkeys(name for rule in personal_rules(user, "high", settings) for name in rule.by)
    return [user.contacts[name] for name in names if name in user.contacts]

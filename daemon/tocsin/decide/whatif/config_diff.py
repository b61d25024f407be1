"""Differences of two configurations in a policy, a person, a rule, in the words of the manual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.decide.views import in_words
from tocsin.model import Contact, NotifyRule, Only, Policy, Rule, RuleSet, Settings, Step, User


@dataclass(frozen=True, slots=True)
class Lines:
    """A thing as it is and as it would be, line by line; () where it is not there."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """Differences in how one person would be reached, a line each."""

    user: str
    changes: tuple[str, ...]


def policies(before: Settings, after: Settings) -> tuple[Lines, ...]:
    """Every policy that is added, removed or says something else."""
    found = []
    for name in dict.fromkeys([*before.policies, *after.policies]):
        was, will = before.policies.get(name), after.policies.get(name)
        if was != will:
            found.append(Lines(name, policy_lines(was), policy_lines(will)))
    return tuple(found)


def policy_lines(policy: Policy | None) -> tuple[str, ...]:
    if policy is None:
        return ()
    steps = [f"step {number}: {_step(step)}" for number, step in enumerate(policy.steps, start=1)]
    repeat = "forever" if policy.repeat is None else str(policy.repeat)
    timeout = "never" if policy.ack_timeout is None else in_words(policy.ack_timeout)
    return (*steps, f"repeat: {repeat}", f"ack_timeout: {timeout}")


def _step(step: Step) -> str:
    said = f"{', '.join(map(str, step.notify))}, wait {in_words(step.wait)}"
    said += f", only {_only(step.only)}" if step.only != Only() else ""
    return said + (", pick one" if step.pick == "one" else "")


def _only(only: Only) -> str:
    parts = [*only.priority, *(f"urgency {word}" for word in only.urgency)]
    return " ".join([*parts, *([f"{only.hours} hours"] if only.hours else [])])


def people(before: Settings, after: Settings) -> tuple[Person, ...]:
    """People who come, go, or would be reached in another way."""
    found = []
    for key in dict.fromkeys([*before.users, *after.users]):
        changes = tuple(_person(before.users.get(key), after.users.get(key)))
        if changes:
            found.append(Person(key, changes))
    return tuple(found)


def _person(was: User | None, will: User | None) -> Iterator[str]:
    if was is None or will is None:
        yield "is new" if was is None else "is gone"
        return
    yield from _contacts(was.contacts, will.contacts)
    if list(was.contacts) != list(will.contacts) and set(was.contacts) == set(will.contacts):
        yield f"contacts are tried in another order: {', '.join(will.contacts)}"
    for urgency in dict.fromkeys([*was.notify, *will.notify]):
        old, new = was.notify.get(urgency), will.notify.get(urgency)
        if old != new:
            yield f"notify {urgency}: {_ways(old)} → {_ways(new)}"
    for name in ("name", "timezone", "role"):
        if getattr(was, name) != getattr(will, name):
            yield f"{name}: {getattr(was, name)} → {getattr(will, name)}"


def _contacts(was: Mapping[str, Contact], will: Mapping[str, Contact]) -> Iterator[str]:
    for name in dict.fromkeys([*was, *will]):
        old, new = was.get(name), will.get(name)
        if old != new:
            yield f"contact {name}: {_contact(old)} → {_contact(new)}"


def _contact(contact: Contact | None) -> str:
    return "none" if contact is None else f"{contact.to} by {contact.channel}"


def _ways(rules: tuple[NotifyRule, ...] | None) -> str:
    if not rules:
        return "as nothing is written"
    return ", ".join(
        f"{'+'.join(rule.by)} {f'after {in_words(rule.after)}' if rule.after else 'at once'}" for rule in rules
    )


def rules(before: Settings, after: Settings) -> tuple[Lines, ...]:
    """Every rule that is added, removed or says something else: the keys that differ."""
    was, will = ({rule.name: rule for rule in side.rules} for side in (before, after))
    found = []
    for name in dict.fromkeys([*was, *will]):
        old, new = _rule(was.get(name)), _rule(will.get(name))
        if old != new:
            keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
            found.append(Lines(name, _said(old, keys), _said(new, keys)))
    return tuple(found)


def _said(rule: Mapping[str, str], keys: list[str]) -> tuple[str, ...]:
    return tuple(f"{key}: {rule[key]}" for key in keys if key in rule)


def _rule(rule: Rule | None) -> dict[str, str]:
    """Text that is written in it, by key."""
    if rule is None:
        return {}
    empty = Rule(rule.name)
    written = {key: getattr(rule, key) for key in Rule.__slots__ if getattr(rule, key) != getattr(empty, key)}
    return {"name": rule.name} | {key: _value(key, value) for key, value in written.items() if key != "where"}


def _value(key: str, value: Any) -> str:
    match value:
        case RuleSet():
            return "; ".join(f"{name}: {_value(name, each)}" for name, each in _set(value))
        case bool():
            return "true" if value else "false"
        case int() if key in ("join_within", "hold", "auto_resolve"):
            return in_words(value)
        case tuple():
            return ", ".join(map(str, value))
        case Mapping():
            return ", ".join(f"{name}={each}" for name, each in value.items())
        case _:
            return str(value)


def _set(written: RuleSet) -> Iterator[tuple[str, Any]]:
    for name in RuleSet.__slots__:
        if getattr(written, name):
            yield name, getattr(written, name)

"""Findings on people who may be paged and cannot be reached, or not in time."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.model import Millis, Policy, Problem, User
from tocsin.settings.document.scalars import spell
from tocsin.settings.lint.facts import LintFacts


def findings(facts: LintFacts) -> Iterator[Problem]:
    paged = {key for target in facts.targets() for key in facts.people_of(target)}
    for key, user in facts.settings.users.items():
        if key in paged and facts.sound("users", key):
            yield from _contacts(user, facts)
            yield from _late_rules(user, facts)


def _contacts(user: User, facts: LintFacts) -> Iterator[Problem]:
    if not user.contacts:
        message = f"{user.key}: may be paged and has no usable contact"
        fix = 'write contacts: {sms: "+351…"}, with a channel that exists'
        yield facts.warn(facts.at("users", user.key), "no-contact", message, fix)
    for name in user.contacts:
        because = facts.doubts.get((user.key, name))
        if because:
            where = facts.at("users", user.key, "contacts", name)
            command = f"`tocsin contact verify {user.key} --by {name}`"
            message = f"user {user.key}: contact {name} {because}; run {command}"
            yield facts.warn(where, "unverified-contact", message)


def _late_rules(user: User, facts: LintFacts) -> Iterator[Problem]:
    """Personal rules that begin when every policy that pages this person is over."""
    lengths = [_length(policy) for policy in facts.policies() if _pages(policy, user, facts)]
    if not lengths or None in lengths:
        return
    longest = max(length for length in lengths if length is not None)
    for urgency, rules in user.notify.items():
        for place, rule in enumerate(rules):
            if rule.after >= longest and rule.after > 0:
                where = facts.at("users", user.key, "notify", urgency, place, "after")
                message = (
                    f"{user.key}: {', '.join(rule.by)} comes {spell(rule.after)} after the page, when every policy "
                    f"that pages {user.key} is over (all rounds last {spell(Millis(longest))})"
                )
                fix = "write a shorter after, or a longer repeat in the policy"
                yield facts.warn(where, "late-notify", message, fix)


def _pages(policy: Policy, user: User, facts: LintFacts) -> bool:
    return any(user.key in facts.people_of(target) for step in policy.steps for target in step.notify)


def _length(policy: Policy) -> int | None:
    """The time that all rounds take; None: for ever."""
    return None if policy.repeat is None else sum(step.wait for step in policy.steps) * (policy.repeat + 1)

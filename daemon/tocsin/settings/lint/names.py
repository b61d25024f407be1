"""Findings on names that nobody uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.model import Problem
from tocsin.settings.document.nodes import Scalar, walk
from tocsin.settings.document.reading import SINGULAR
from tocsin.settings.lint.facts import LintFacts, people_of_schedule
from tocsin.settings.sections.shared import is_template


def findings(facts: LintFacts) -> Iterator[Problem]:
    """Services and integrations are used from outside, so nothing is said about them."""
    if facts.draft.incomplete:
        return
    mentioned = _mentioned(facts) if facts.draft.damaged else set()
    uses = {
        "users": _used_users(facts),
        "teams": _used_teams(facts),
        "schedules": {target.name for target in facts.targets() if target.kind == "schedule"},
        "policies": _used_policies(facts),
        "channels": _used_channels(facts),
        "calendars": _words_of("services", facts),
        "lookups": _words_of("rules", facts),
    }
    for section, used in uses.items():
        for name in facts.written.sections[section].entries:
            if name not in used and name not in mentioned and facts.sound(section, name):
                message = f"{section}: nothing uses '{name}'"
                fix = f"remove this {SINGULAR[section]}, or name it where it is meant"
                yield facts.warn(facts.at(section, name), "unused", message, fix)


def _mentioned(facts: LintFacts) -> set[str]:
    """Beside errors: every word anywhere, so that a name in a broken entry is no unused one; nor is one that an
    unknown name was probably meant to be."""
    written = {word for text in facts.written.mentions() for word in (text, *re.split("[:/@]", text)[1:])}
    meant = {name for problem in facts.problems for name in re.findall(r"did you mean '([^']+)'", problem.message)}
    return written | meant


def _used_users(facts: LintFacts) -> set[str]:
    settings = facts.settings
    on_call = {user for schedule in settings.schedules.values() for user in people_of_schedule(schedule)}
    in_teams = {user for team in settings.teams.values() for user in (*team.members, *team.managers)}
    office = {key for key, user in settings.users.items() if user.role != "responder"}  # they need not be paged
    return on_call | in_teams | office | {target.name for target in facts.targets() if target.kind == "user"}


def _used_teams(facts: LintFacts) -> set[str]:
    owners = {service.owner for service in facts.settings.services.values() if service.owner}
    return owners | {target.name for target in facts.targets() if target.kind in ("team", "managers")}


def _used_policies(facts: LintFacts) -> set[str]:
    """The policies in use; all of them where a template may name any."""
    settings = facts.settings
    by_rule = {rule.set.policy for rule in settings.rules if rule.set.policy}
    if any(is_template(policy) for policy in by_rule):
        return set(settings.policies)
    by_service = {service.policy for service in settings.services.values() if service.policy}
    fills = [filled for each in settings.integrations.values() for filled in (each.defaults, each.overrides)]
    by_integration = {filled["policy"] for filled in fills if "policy" in filled}
    heartbeats = _words_of("heartbeats", facts)
    return by_rule | by_service | by_integration | heartbeats | {settings.defaults.policy or ""}


def _used_channels(facts: LintFacts) -> set[str]:
    """A contact names its channel, left out or not."""
    users = facts.written.sections["users"].entries.values()
    contacts = {word for user in users for node in walk(user) for word in (node.key, getattr(node, "text", ""))}
    fallbacks = {name for names in facts.settings.fallbacks.values() for name in names}
    fixed = _words_of("fallbacks", facts) | fallbacks
    written = {name for node in facts.written.sections["fallbacks"].nodes for name in getattr(node, "entries", {})}
    targets = {word.partition(":")[2] for section in ("policies", "catch_all") for word in _words_of(section, facts)}
    return contacts | fixed | written | targets


def _words_of(section: str, facts: LintFacts) -> set[str]:
    part = facts.written.sections[section]
    nodes = [node for entry in (*part.nodes, *part.entries.values()) for node in walk(entry)]
    return {node.text for node in nodes if isinstance(node, Scalar)}

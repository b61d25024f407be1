"""What is valid and still worth a second look: gaps, silence, people nobody can reach, names nobody uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tocsin.decide.matchers import Matcher, parse
from tocsin.decide.oncall import shifts
from tocsin.model import (
    DAY,
    PRIORITIES,
    SEVERITIES,
    Instant,
    Policy,
    Problem,
    Rule,
    Schedule,
    Settings,
    Step,
    Target,
    Where,
    rfc3339,
)
from tocsin.settings.scalars import is_loopback
from tocsin.settings.words import is_template

AHEAD = 30 * DAY
VOLATILE = frozenset(
    {"value", "timestamp", "time", "date", "description", "message", "summary", "pid", "uuid", "pod", "pod_name",
     "container_id", "started_at", "startsAt", "duration"}
)  # fmt: skip

Places = Mapping[tuple[str, str], Where]
NOWHERE: Places = MappingProxyType({})
Finding = tuple[tuple[str, str], str, str]  # (section, name), code, message


def lint(settings: Settings, now: Instant, places: Places = NOWHERE) -> tuple[Problem, ...]:
    """Findings of level warning, at their places where `places` (Loaded.places) knows them."""
    top = Where(settings.source, 1, 1)
    found = [Problem(places.get(at, top), "warning", code, message) for at, code, message in _findings(settings, now)]
    return (*found, *_rule_findings(settings.rules, top))


def _findings(settings: Settings, now: Instant) -> Iterator[Finding]:
    yield from _open_doors(settings)
    yield from _gaps(settings, now)
    yield from _unreachable_people(settings)
    yield from _silent_policies(settings)
    yield from _unused(settings)
    yield from _no_policy(settings)


# ------------------------------------------------------------------------------------- the server


def _open_doors(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if not is_loopback(server.host) and server.admin_host is None:
        message = (
            f"server: listens on {server.host} and has no admin_listen, so everyone who reaches it reads /metrics; "
            "write admin_listen: 127.0.0.1:8421"
        )
        yield ("server", ""), "open-admin", message
    if server.public_url is None and any(channel.type != "console" for channel in settings.channels.values()):
        yield ("server", ""), "no-public-url", "server: without public_url pages carry no link to answer by"


# ------------------------------------------------------------------------------------------- gaps


def _gaps(settings: Settings, now: Instant) -> Iterator[Finding]:
    for name in sorted(_used_schedules(settings)):
        schedule = settings.schedules.get(name)
        known = schedule is not None and bool(schedule.layers or schedule.feed)
        gaps = shifts(schedule, now, Instant(now + AHEAD)).gaps if schedule is not None and known else ()
        if gaps:
            first = gaps[0]
            more = f" (and {len(gaps) - 1} more gaps)" if len(gaps) > 1 else ""
            span = f"from {rfc3339(first.start)} to {rfc3339(first.end)}"
            yield ("schedules", name), "gap", f"{name}: nobody is on call {span}{more} within 30 days"
        elif schedule and not known and schedule.ical is None:
            yield ("schedules", name), "gap", f"{name}: has no layers that act, so nobody is on call"


def _used_schedules(settings: Settings) -> set[str]:
    return {target.name for target in _targets(settings) if target.kind == "schedule"}


def _targets(settings: Settings) -> Iterator[Target]:
    yield from settings.catch_all
    for policy in settings.policies.values():
        for step in policy.steps:
            yield from step.notify


# ----------------------------------------------------------------------------------------- people


def _unreachable_people(settings: Settings) -> Iterator[Finding]:
    for key in sorted(_people_to_page(settings)):
        user = settings.users.get(key)
        if user is not None and not user.contacts:
            yield ("users", key), "no-contact", f"{key}: may be paged and has no usable contact"


def _people_to_page(settings: Settings) -> set[str]:
    people: set[str] = set()
    for target in _targets(settings):
        people |= _people_of(target, settings)
    return people


def _people_of(target: Target, settings: Settings) -> set[str]:
    match target.kind:
        case "user":
            return {target.name}
        case "schedule" if target.name in settings.schedules:
            return set(_people_of_schedule(settings.schedules[target.name]))
        case "team" if target.name in settings.teams:
            return set(settings.teams[target.name].members)
        case "managers" if target.name in settings.teams:
            return set(settings.teams[target.name].managers)
        case _:
            return set()


def _people_of_schedule(schedule: Schedule) -> Iterator[str]:
    for layer in schedule.layers:
        for turn in layer.users:
            yield from turn
    for override in schedule.overrides:
        yield from override.users
    for shift in schedule.feed:
        yield from shift.users


# --------------------------------------------------------------------------------------- policies


def _silent_policies(settings: Settings) -> Iterator[Finding]:
    """Incidents for which no step of a policy applies reach the catch-all alone, if there is one."""
    for name, policy in settings.policies.items():
        silent = list(_silent_for(policy))
        if silent:
            then = "only the catch-all is paged" if settings.catch_all else "nobody is paged at all"
            yield ("policies", name), "silent-policy", f"{name}: no step applies to {', '.join(silent)}; {then}"
        if not settings.catch_all and policy.repeat is not None and not silent:
            message = f"{name}: ends in silence after its last round; write catch_all: [user:…], or repeat: forever"
            yield ("policies", name), "silent-policy", message
        for number, step in enumerate(policy.steps, 1):
            if not any(_may_reach(target, settings) for target in step.notify):
                yield ("policies", name), "empty-step", f"{name}: step {number} can reach nobody"


def _silent_for(policy: Policy) -> Iterator[str]:
    for priority in PRIORITIES:
        missing = [
            hours for hours in ("support", "off") if not any(_applies(step, priority, hours) for step in policy.steps)
        ]
        if len(missing) == 2:
            yield priority
        elif missing:
            yield f"{priority} {'during support hours' if missing[0] == 'support' else 'outside support hours'}"


def _applies(step: Step, priority: str, hours: str) -> bool:
    only = step.only
    return (not only.priority or priority in only.priority) and only.hours in ("", hours)


def _may_reach(target: Target, settings: Settings) -> bool:
    if target.kind == "channel" or _is_fed(settings.schedules.get(target.name), target):
        return True
    return any(key in settings.users and settings.users[key].contacts for key in _people_of(target, settings))


def _is_fed(schedule: Schedule | None, target: Target) -> bool:
    """Whom a calendar feed names is not known here."""
    return target.kind == "schedule" and schedule is not None and schedule.ical is not None


def _no_policy(settings: Settings) -> Iterator[Finding]:
    if settings.integrations and settings.defaults.policy is None and not settings.catch_all:
        message = "defaults: there is neither defaults.policy nor catch_all, so an unknown service pages nobody"
        yield ("defaults", ""), "silent-policy", message


# ----------------------------------------------------------------------------------- unused names


def _unused(settings: Settings) -> Iterator[Finding]:
    uses = {
        "users": _used_users(settings),
        "teams": _used_teams(settings),
        "schedules": _used_schedules(settings),
        "policies": _used_policies(settings),
        "channels": _used_channels(settings),
    }
    for section, used in uses.items():
        for name in getattr(settings, section):
            if name not in used:
                yield (section, name), "unused", f"{section}: nothing uses '{name}'"


def _used_users(settings: Settings) -> set[str]:
    if any(schedule.ical is not None for schedule in settings.schedules.values()):
        return set(settings.users)  # a calendar feed may name any of them
    on_call = {user for schedule in settings.schedules.values() for user in _people_of_schedule(schedule)}
    in_teams = {user for team in settings.teams.values() for user in (*team.members, *team.managers)}
    office = {key for key, user in settings.users.items() if user.role != "responder"}  # they need not be paged
    return on_call | in_teams | office | {target.name for target in _targets(settings) if target.kind == "user"}


def _used_teams(settings: Settings) -> set[str]:
    owners = {service.owner for service in settings.services.values() if service.owner}
    return owners | {target.name for target in _targets(settings) if target.kind in ("team", "managers")}


def _used_policies(settings: Settings) -> set[str]:
    """All of them where a template may name any."""
    by_rule = {rule.set.policy for rule in settings.rules if rule.set.policy}
    if any(is_template(policy) for policy in by_rule):
        return set(settings.policies)
    by_service = {service.policy for service in settings.services.values() if service.policy}
    fills = [filled for each in settings.integrations.values() for filled in (each.defaults, each.overrides)]
    by_integration = {filled["policy"] for filled in fills if "policy" in filled}
    return by_rule | by_service | by_integration | {settings.defaults.policy or ""}


def _used_channels(settings: Settings) -> set[str]:
    contacts = {contact.channel for user in settings.users.values() for contact in user.contacts.values()}
    spare = {name for names in settings.fallbacks.values() for name in names}
    return contacts | spare | {target.name for target in _targets(settings) if target.kind == "channel"}


# ------------------------------------------------------------------------------------------ rules


def _rule_findings(rules: Iterable[Rule], top: Where) -> Iterator[Problem]:
    earlier: list[tuple[Rule, frozenset[str]]] = []
    for rule in rules:
        where = rule.where or top
        for code, message in (*_reach(rule, earlier), *_volatile(rule), *_bare_names(rule)):
            yield Problem(where, "warning", code, f"{rule.name}: {message}")
        earlier.append((rule, frozenset(rule.match)))


def _reach(rule: Rule, earlier: list[tuple[Rule, frozenset[str]]]) -> Iterator[tuple[str, str]]:
    """A rule is out of reach when an earlier one ends the walk for everything that it could match."""
    mine = frozenset(rule.match)
    for place, (before, theirs) in enumerate(earlier):
        between = earlier[place:]
        if (before.stop or before.drop) and theirs <= mine and not _changes(theirs, between):
            yield "unreachable", f"is never reached: '{before.name}' ends the walk before it"
            return


def _changes(matchers: frozenset[str], between: list[tuple[Rule, frozenset[str]]]) -> bool:
    """Whether a rule in between sets a name that these matchers look at."""
    names = {parse(matcher).name.removeprefix("label.").removeprefix("field.") for matcher in matchers}
    return any(names & _sets(rule) for rule, _ in between)


def _sets(rule: Rule) -> set[str]:
    fields = ("service", "severity", "title")
    return {name for name in fields if getattr(rule.set, name) is not None} | set(rule.set.labels)


def _volatile(rule: Rule) -> Iterator[tuple[str, str]]:
    read = " ".join(re.findall(r"\{[{%](.*?)[}%]\}", rule.set.dedup_key or ""))
    named = set(rule.group_by or ()) | set(re.findall(r"\w+", read))
    volatile = sorted(named & VOLATILE)
    if volatile:
        yield "volatile-key", f"'{volatile[0]}' changes from post to post, so each would open an incident of its own"


def _bare_names(rule: Rule) -> Iterator[tuple[str, str]]:
    """A bare `severity` means the label where there is one; a word that only a label can have may surprise."""
    for matcher in map(parse, rule.match):
        if matcher.name == "severity" and matcher.op in ("=", "!=") and not _may_be_severity(matcher):
            words = ", ".join(SEVERITIES)
            message = f"{matcher.text}: only a label can have this value; write label.severity, or one of {words}"
            yield "bare-name", message


def _may_be_severity(matcher: Matcher) -> bool:
    return matcher.value in SEVERITIES

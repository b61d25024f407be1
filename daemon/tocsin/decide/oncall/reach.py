"""People that a target leads to at an instant, and their contacts: targets, schedules, teams, personal rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.decide.oncall.resolver import next_on_call, on_call
from tocsin.model import EMPTY, MINUTE, Contact, Instant, Millis, NotifyRule, Override, Settings, Target, User

APART = MINUTE  # between contacts of a person without `notify`
WRITTEN = frozenset({"smtp", "slack", "telegram", "teams", "ntfy", "pushover", "console", "webhook"})


@dataclass(frozen=True, slots=True)
class People:
    """Facts about people beyond the configuration: overrides made at run time, dead contacts."""

    overrides: Mapping[str, tuple[Override, ...]] = EMPTY
    unusable: Callable[[Contact], bool] = field(default=lambda _contact: False)


@dataclass(frozen=True, slots=True)
class Reached:
    """Person or fixed channel that a target led to."""

    target: Target
    user: User | None
    contact: str  # asked for by name ("user:ana/mail"); "" = by the personal rules
    because: str


def reach(targets: tuple[Target, ...], settings: Settings, people: People, at: Instant) -> Iterator[Reached]:
    """People and channels the targets lead to at `at`, in order, each person and channel once."""
    seen: set[str] = set()
    for target in targets:
        for one in _reach_one(target, settings, people, at):
            name = one.user.key if one.user else str(one.target)
            if name not in seen:
                seen.add(name)
                yield one


def _reach_one(target: Target, settings: Settings, people: People, at: Instant) -> Iterator[Reached]:
    if target.kind == "channel":
        if target.name in settings.channels:
            yield Reached(target, None, "", f"{target} is a target of the step")
        return
    for key, because in whom(target, settings, people, at):
        user = settings.users.get(key)
        if user is not None:
            yield Reached(target, user, target.suffix if target.kind == "user" else "", because)


def whom(target: Target, settings: Settings, people: People, at: Instant) -> Iterator[tuple[str, str]]:
    """(user key, reason) of everybody a target other than a channel names at `at`."""
    match target.kind:
        case "user":
            yield target.name, f"{target} is a target of the step"
        case "schedule":
            yield from _of_schedule(target, settings, people, at)
        case "team":
            yield from _of_team(target, settings, people, at)
        case "managers":
            team = settings.teams.get(target.name)
            for key in team.managers if team else ():
                yield key, f"manages team {target.name}"
        case "channel":
            return


def _of_schedule(target: Target, settings: Settings, people: People, at: Instant) -> Iterator[tuple[str, str]]:
    schedule = settings.schedules.get(target.name)
    if schedule is None:
        return
    extra = people.overrides.get(target.name, ())
    answer = next_on_call(schedule, at, extra) if target.suffix == "next" else on_call(schedule, at, extra)
    words = "next on call" if target.suffix == "next" else "on call"
    for key in answer.users:
        yield key, f"{words} in {target.name}: {answer.because}"


def _of_team(target: Target, settings: Settings, people: People, at: Instant) -> Iterator[tuple[str, str]]:
    team = settings.teams.get(target.name)
    if team is None:
        return
    if target.suffix != "oncall":
        for key in team.members:
            yield key, f"member of team {target.name}"
        return
    on_duty = {
        key for schedule in settings.schedules.values()
        for key in on_call(schedule, at, people.overrides.get(schedule.name, ())).users
    }  # fmt: skip
    for key in team.members:
        if key in on_duty:
            yield key, f"member of team {target.name}, on call"


def usable_contacts(user: User, settings: Settings, people: People, only: str = "") -> list[Contact]:
    """The contacts a page can use now, in written order: channel configured, address not dead."""
    return [
        contact
        for contact in user.contacts.values()
        if contact.channel in settings.channels and (not only or contact.name == only) and not people.unusable(contact)
    ]


def personal_rules(user: User, urgency: str, settings: Settings) -> tuple[NotifyRule, ...]:
    """The person's `notify` for this urgency, or what holds when nothing is written.

    high (and medium): all contacts in written order, a minute apart; low: the first mail or chat
    contact, else the first.
    """
    written = user.notify.get(urgency) or (user.notify.get("high") if urgency == "medium" else None)
    if written:
        return written
    names = list(user.contacts)
    if urgency == "low" and names:
        quiet = [name for name in names if _is_written(user.contacts[name], settings)]
        return (NotifyRule(by=((quiet or names)[0],)),)
    return tuple(NotifyRule(by=(name,), after=Millis(APART * index)) for index, name in enumerate(names))


def _is_written(contact: Contact, settings: Settings) -> bool:
    channel = settings.channels.get(contact.channel)
    return channel is not None and channel.type in WRITTEN

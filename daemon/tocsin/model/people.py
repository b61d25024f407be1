"""People and how they are reached: users and their contacts, teams, policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tocsin.model.values import EMPTY
from tocsin.model.words import Instant, Millis, Priority, Role, Urgency


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact: an address of a person. `name` is the key it stands under."""

    name: str
    channel: str
    to: str


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """After this time, over these contacts."""

    by: tuple[str, ...]  # contact names
    after: Millis = Millis(0)


@dataclass(frozen=True, slots=True)
class User:
    """A person who may be paged, and answer."""

    key: str
    name: str
    timezone: str
    role: Role = "responder"
    contacts: Mapping[str, Contact] = EMPTY
    notify: Mapping[str, tuple[NotifyRule, ...]] = EMPTY  # by urgency, as written


@dataclass(frozen=True, slots=True)
class Team:
    """People who may be paged together; `managers` are a target of their own."""

    name: str
    members: tuple[str, ...]
    managers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContactState:
    """The state of an address, learnt at run time."""

    channel_kind: str
    address: str
    usable: bool
    because: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a person's address was proven by a code, and the code that is under way. Another address is another row.

    The code itself is kept nowhere: it follows from the page that carries it and a key of the daemon's.
    """

    user: str
    channel_kind: str
    address: str
    verified_at: Instant | None = None
    verified_by: str = ""  # "user:ana"
    page: str = ""  # carries the code that counts; "" = none does
    expires_at: Instant | None = None  # of that code
    tries: int = 0  # wrong ones for that code
    asked_at: Instant = Instant(0)  # when the last code was asked for
    asked_by: str = ""
    asked: int = 0  # how many codes since `asked_since`
    asked_since: Instant = Instant(0)
    readmits: bool = False  # asked for by an admin: makes an unusable contact usable again


@dataclass(frozen=True, slots=True)
class Target:
    """A target that a step names: "user:ana", "user:ana/mail", "schedule:primary@next", "team:x@oncall",
    "channel:ops".
    """

    kind: Literal["user", "schedule", "team", "managers", "channel"]
    name: str
    suffix: str = ""  # "next", "oncall", or a contact's name for users

    def __str__(self) -> str:
        sep = "/" if self.kind == "user" else "@"
        return f"{self.kind}:{self.name}" + (f"{sep}{self.suffix}" if self.suffix else "")


@dataclass(frozen=True, slots=True)
class Only:
    """A condition under which a step applies; empty = always."""

    priority: tuple[Priority, ...] = ()
    urgency: tuple[Urgency, ...] = ()
    hours: Literal["", "support", "off"] = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a policy: whom to page, and how long to wait for an answer before the next step."""

    notify: tuple[Target, ...]
    wait: Millis = Millis(300_000)
    only: Only = Only()
    pick: Literal["all", "one"] = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy. `repeat` is how often the steps are repeated after the first pass
    (None: forever); `ack_timeout` None: never."""

    name: str
    steps: tuple[Step, ...]
    repeat: int | None = 2
    ack_timeout: Millis | None = Millis(1_800_000)

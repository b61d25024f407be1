"""Pages, attempts to deliver them, and their outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tocsin.model.values import record
from tocsin.model.words import Instant, Millis, Urgency

PageKind = Literal["page", "update", "test", "summary", "notice", "code"]
PageStatus = Literal["planned", "calling", "waiting", "done", "failed", "cancelled", "bundled"]
AttemptState = Literal["open", "accepted", "failed", "unknown", "cancelled", "bundled"]


@record(frozen=True, slots=True)
class Page:
    """An intended notification of a person (or fixed target) over a contact.

    `key` is unique: "incident/cycle/round/step/target/rule/contact" for pages; other kinds have
    their own. `due_at` is when it may first be claimed. `rank` orders claims: lower goes first.
    """

    id: str  # random, 128 bit, hex
    key: str
    kind: PageKind
    incident: int | None
    cycle: int
    round: int
    step: int
    rule: int
    target: str  # "user:ana" or "channel:ops-mail"
    user: str  # "" for a channel target
    contact: str  # the contact's name; "" for a channel target
    channel: str  # channel name
    due_at: Instant
    created_at: Instant
    status: PageStatus = "planned"
    tries: int = 0  # attempts that may have been delivered
    failures: int = 0  # attempts that surely were not
    rank: int = 50
    because: str = ""  # why this person, this contact, now
    config: str = ""  # hash of the configuration that decided it
    text: str = ""  # fixed text of kinds other than "page"
    updated_at: Instant | None = None
    delayed: str = ""  # why it did not go out when it was due: a limit, a summary


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call to a provider for a page. The row is the lease: written before the first byte leaves."""

    id: str  # random, 128 bit, hex; travels in the status callback's URL
    page: str
    incident: int | None
    channel: str
    address: str
    number: int  # 1.. within the page, all attempts
    owner: str  # the replica and process that holds it
    started_at: Instant
    state: AttemptState = "open"
    ref: str = ""  # the provider's id
    because: str = ""
    ended_at: Instant | None = None
    confirm_by: Instant | None = None  # an unknown one waits until then for a callback or look-up
    delivery: str = ""  # last monotone delivery state: "sent", "delivered", "undelivered" ...
    delivery_rank: int = 0
    permanent: bool = False  # failed for good: this contact cannot be reached this way


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it; `ref` is its id for it."""

    ref: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome where the page surely did not go out. `permanent`: this contact cannot be reached this way at all."""

    because: str
    permanent: bool = False
    retry_after: Millis | None = None
    account: bool = False  # our own account or set-up is broken, not the contact


@dataclass(frozen=True, slots=True)
class Unknown:
    """The outcome where the page may or may not have gone out: time-out or reset after bytes left, 5xx, a crash."""

    because: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The gate refused: surely not sent, and not wanted any more."""

    because: str


Outcome = Accepted | Failed | Unknown | Cancelled


@dataclass(frozen=True, slots=True)
class Message:
    """The message by which a channel carries a page to an address."""

    page: str
    attempt: str
    kind: PageKind  # "summary": several pages in one message
    channel: str
    to: str
    user: str  # key; "" for a channel target
    name: str  # the person's written name
    urgency: Urgency
    title: str  # one line
    text: str  # short plain text, ready for SMS
    body: str  # longer plain text, for mail
    spoken: str  # for a voice call
    ack_url: str  # "" where no public_url is configured
    status_url: str  # carries the attempt id; "" where no public_url
    voice_url: str
    incident: Mapping[str, Any]  # the incident's JSON of the HTTP API; {} for tests and notices
    cycle: int
    round: int
    step: int
    rule: int
    try_number: int
    expires_in: Millis  # after this the message is stale
    now: Instant
    incidents: tuple[int, ...] = ()  # the numbers of all that it is about: several in a summary

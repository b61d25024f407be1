"""The bodies the API reads and answers with, as pydantic models: they validate, and OpenAPI is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tocsin.decide.routing.matchers import written
from tocsin.decide.text import DESCRIPTION, TITLE, clean
from tocsin.model import Impact, Instant, PageKind, Priority, Rejected, Role, Severity, Status, Urgency, instant
from tocsin.settings.document.scalars import duration

# ------------------------------------------------------------------------------------------ words


def one_line(text: str) -> str:
    return required(clean(text, TITLE).strip())


def several_lines(text: str) -> str:
    return required(clean(text, DESCRIPTION, lines=True).strip())


def required(text: str) -> str:
    if not text:
        raise ValueError("nothing is left of it that can be shown; write some words")
    return text


def aware(text: str) -> str:
    """An RFC 3339 time, with its offset."""
    moment(text)
    return text


def moment(text: str) -> Instant:
    """`text` as an instant. Raises ValueError that says what to write."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a time; write for example 2026-01-05T09:00:00Z") from None
    if found.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no offset; write for example {text[:19]}Z")
    return bounded(found)


def bounded(found: datetime) -> Instant:
    """An aware datetime as an instant; the ends of the calendar are no times of ours."""
    if not 1970 <= found.year <= 9000:
        raise ValueError("the year must be between 1970 and 9000")
    return instant(found.astimezone(UTC))


def length(text: str) -> str:
    duration(text)
    return text


def matcher(text: str) -> str:
    """Written as a matcher; its pattern is compiled by who makes the silence, one at a time."""
    written(text)
    return text


Line = Annotated[str, StringConstraints(max_length=4 * TITLE), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(max_length=4 * DESCRIPTION), AfterValidator(several_lines)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Time = Annotated[str, StringConstraints(max_length=40), AfterValidator(aware), Field(examples=["2026-01-05T09:00:00Z"])]
Length = Annotated[str, StringConstraints(max_length=40), AfterValidator(length), Field(examples=["30m", "1h30m"])]
MatcherText = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(matcher), Field(examples=['env=~"stag.*"'])
]


class Body(BaseModel):
    """A request's body; an unknown key is a mistake that is named."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Shape(BaseModel):
    """An answer's body, for the OpenAPI document; answers may grow keys."""

    model_config = ConfigDict(extra="allow")


# ----------------------------------------------------------------------------------------- bodies


class Act(Body):
    """An action without more to say."""

    user: Name | None = Field(None, description="In whose name; an admin's token only.")


class Snooze(Act):
    """Quiet until a time, or for a length."""

    until: Time | None = Field(None, description="No pages before this time.")
    for_: Length | None = Field(None, alias="for", description="No pages for this long from now.")

    @model_validator(mode="after")
    def one_of_them(self) -> Snooze:
        if (self.until is None) == (self.for_ is None):
            raise ValueError('write one of them: {"for": "30m"} or {"until": "2026-01-05T09:00:00Z"}')
        return self


class Code(Act):
    """The code that came over the contact."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(examples=["123456"])


class TestPage(Act):
    """Over which contact; where absent, over what a page of high urgency uses first."""

    by: Name | None = Field(None, description="A contact's name, or `all`.", examples=["sms"])


class Note(Act):
    """A note in the timeline."""

    text: Text


class PageSomebody(Body):
    """A person, schedule or channel to page besides the policy."""

    user: Name | None = Field(None, description="A person, by key.")
    target: Name | None = Field(
        None, description="Whom, as in a policy's step.", examples=["user:bo", "schedule:primary", "channel:ops-mail"]
    )
    by: Name | None = Field(None, description="In whose name; an admin's token only.")

    @model_validator(mode="after")
    def one_of_them(self) -> PageSomebody:
        if (self.user is None) == (self.target is None):
            raise ValueError('write one of them: {"user": "bo"} or {"target": "schedule:primary"}')
        return self


class Trigger(Act):
    """An incident made by hand."""

    title: Line
    description: Text | None = None
    service: Name | None = None
    severity: Severity | None = None
    policy: Name | None = None


class NewSilence(Act):
    """Mutes the alerts that all matchers hit."""

    matchers: list[MatcherText] = Field(min_length=1, max_length=50)
    starts_at: Time | None = Field(None, description="Now, where absent.")
    ends_at: Time | None = None
    for_: Length | None = Field(None, alias="for", description="Instead of ends_at: this long from starts_at.")
    comment: Text

    @model_validator(mode="after")
    def one_end(self) -> NewSilence:
        if (self.ends_at is None) == (self.for_ is None):
            raise ValueError('write one of them: {"for": "2h"} or {"ends_at": "2026-01-05T09:00:00Z"}')
        return self


class Reload(Body):
    """Read the configuration again."""

    yes: bool = Field(False, description="Also when more than half of a section would go.")


# ---------------------------------------------------------------------------------------- answers

When = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""An instant as we tell it: RFC 3339, with its offset."""


class AlertCounts(Shape):
    firing: int
    resolved: int
    total: int


class IncidentShape(Shape):
    """An incident as the API shows it."""

    number: int
    key: str
    status: Status
    title: str
    service: str | None
    severity: Severity
    impact: Impact
    urgency: Urgency
    priority: Priority
    category: str | None
    policy: str | None
    step: int
    acknowledged_by: str | None = Field(description="The user's key, or integration:NAME.")
    alerts: AlertCounts
    created_at: When
    acknowledged_at: When | None
    resolved_at: When | None
    closed_at: When | None
    next_page_at: When | None
    muted_by: str | None = Field(description="What keeps it quiet: silence:ID, storm:NUMBER …")
    storm: int | None = Field(description="The storm that took it in, for good.")
    url: str


class Acted(IncidentShape):
    """The incident after an action, and what to tell the one who asked."""

    changed: bool
    said: str


class IncidentList(Shape):
    incidents: list[IncidentShape]
    next: str | None = Field(description="The `cursor` of the next request; null at the end.")


class TimelineEntry(Shape):
    at: When
    kind: str
    actor: str
    via: str
    channel: str
    because: str


class Timeline(Shape):
    entries: list[TimelineEntry]
    next: str | None


class AttemptShape(Shape):
    attempt: str
    message: PageKind = Field(description="What it was sent as: a page that travels with others is in a `summary`.")
    channel: str
    outcome: str


class PageShape(Shape):
    page: str
    kind: PageKind = Field(
        description="`page`: answer it. `update`: it has resolved. The others are about no incident."
    )
    cycle: int
    round: int
    step: int
    rule: int
    user: str | None
    channel: str
    outcome: str
    delayed: str | None = Field(description="Since when and why it waited, or went out with others in one message.")
    attempts: list[AttemptShape]


class PageList(Shape):
    pages: list[PageShape]
    next: str | None


class AlertShape(Shape):
    id: int
    integration: str
    dedup_key: str
    status: str
    incident: int | None
    severity: Severity
    title: str
    labels: dict[str, str]
    waits_until: When | None = Field(
        description="It fired right behind its end and may be an overtaken copy: it fires then, unless it is resolved."
    )
    because: str = Field(description="Why it was grouped, held, dropped, suppressed or kept quiet, or why it waits.")


class AlertList(Shape):
    alerts: list[AlertShape]
    next: str | None


class OnCallShape(Shape):
    schedule: str
    at: When
    users: list[str]
    layer: str | None
    because: str
    until: When | None = Field(description="When somebody else takes over; null: not within a month.")
    next: list[str]


class OnCallList(Shape):
    schedules: list[OnCallShape]


class ShiftShape(Shape):
    start: When
    end: When
    users: list[str]
    layer: str | None


class GapShape(Shape):
    start: When
    end: When


class ShiftList(Shape):
    schedule: str
    shifts: list[ShiftShape]
    gaps: list[GapShape]


class CalendarLink(Shape):
    calendar: str = Field(description="schedule:NAME or user:KEY")
    url: str = Field(description="opens this calendar for reading and nothing else, until it is taken back")


class SilenceShape(Shape):
    id: str
    matchers: list[str]
    starts_at: When
    ends_at: When
    author: str
    comment: str
    created_at: When
    state: str = Field(description="pending, active or expired")


class SilenceList(Shape):
    silences: list[SilenceShape]
    next: str | None


class HeartbeatShape(Shape):
    name: str
    state: str = Field(description="waiting (never heard), ok, late (within its grace) or silent")
    expects: str
    service: str | None
    severity: Severity
    last_check_in: When | None
    last_by: str | None = Field(description="integration:NAME, token:NAME, or `own token`.")
    next_due: When = Field(description="Heard by then, or an incident opens.")
    silent_since: When | None
    incident_key: str


class HeartbeatList(Shape):
    heartbeats: list[HeartbeatShape]


class ServiceShape(Shape):
    name: str
    owner: str | None
    policy: str | None
    impact: Impact
    depends_on: list[str]
    runbook: str | None


class ServiceList(Shape):
    services: list[ServiceShape]


class ContactShape(Shape):
    name: str
    channel: str
    verified: bool
    verified_at: When | None
    usable: bool
    because: str | None = Field(description="Why it cannot be used.")
    code_expires_at: When | None = Field(description="A code is under way until then.")


class UserShape(Shape):
    key: str
    name: str
    timezone: str
    role: Role
    contacts: list[ContactShape]


class UserList(Shape):
    users: list[UserShape]


class QuietPage(Shape):
    page: str
    user: str
    contact: str
    channel: str


class CodeSent(QuietPage):
    expires_at: When
    said: str


class Confirmed(Shape):
    user: str
    contact: str
    verified_at: When | None
    said: str


class TestPages(Shape):
    pages: list[QuietPage]


class QuietAttempt(Shape):
    attempt: str
    number: int
    channel: str
    started_at: When
    ended_at: When | None
    outcome: str
    because: str
    delivery: str | None


class SentShape(QuietPage):
    kind: str
    outcome: str
    delivery: str | None = Field(description="What the provider says of it, or `replied`.")
    because: str | None
    answered: bool = Field(description="The person answered the test.")
    arrived: bool
    settled: bool = Field(description="Nothing more is to be heard of it.")
    attempts: list[QuietAttempt]


class StepShape(Shape):
    notify: list[str]
    wait: str


class PolicyShape(Shape):
    name: str
    steps: list[StepShape]
    repeat: int | None = Field(description="How often after the first pass; null: forever.")
    ack_timeout: str | None


class PolicyList(Shape):
    policies: list[PolicyShape]


class Said(Shape):
    said: str


class RejectedShape(Shape):
    pointer: str
    detail: str


class PostTaken(Shape):
    accepted: int
    incidents: list[int]
    rejected: list[RejectedShape]


class ProblemShape(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[RejectedShape] = []


# ------------------------------------------------------------------------------- what went wrong


def culprits(error: ValidationError) -> tuple[Rejected, ...]:
    """The mistakes of a body, each with its JSON pointer; the first 50."""
    return tuple(Rejected(pointer(found["loc"]), in_words(found)) for found in error.errors(include_url=False)[:50])


def pointer(place: Sequence[int | str]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def in_words(found: Any) -> str:
    """pydantic's message; for our own checks, without its preamble."""
    return str(found["msg"]).removeprefix("Value error, ")[:500]

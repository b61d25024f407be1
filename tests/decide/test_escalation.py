"""Who is paged when a step runs, over what, and when the next one does."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.incidents.escalation import (
    CODE,
    NOBODY_AGAIN,
    NOTICE,
    TEST,
    UPDATE,
    StepRun,
    is_first,
    rank,
    run_step,
)
from tocsin.decide.oncall.reach import People, personal_rules, usable_contacts
from tocsin.model import (
    ChannelConfig,
    Contact,
    DueKind,
    Hours,
    Incident,
    Instant,
    Layer,
    Millis,
    NotifyRule,
    Only,
    Policy,
    Priority,
    Rotation,
    Schedule,
    Service,
    Settings,
    Step,
    Support,
    Target,
    Team,
    Urgency,
    User,
)

M = 60_000
NOW = Instant(1_767_614_400_000)  # Monday, 2026-01-05T12:00Z


def user(key: str, *contacts: str, **notify: tuple[NotifyRule, ...]) -> User:
    known = {name: Contact(name, name.partition("2")[0], f"{key}@{name}") for name in contacts or ("sms",)}
    return User(key, key.title(), "UTC", contacts=known, notify=notify)


SETTINGS = Settings(
    hash="h1",
    catch_all=(Target("user", "grace"),),
    channels={
        "sms": ChannelConfig("sms", "twilio_sms"), "voice": ChannelConfig("voice", "twilio_voice"),
        "mail": ChannelConfig("mail", "smtp"), "ops": ChannelConfig("ops", "smtp", to="ops@x"),
    },
    users={key: user(key) for key in ("ana", "bo", "grace")} | {"mute": User("mute", "Mute", "UTC")},
    teams={"platform": Team("platform", ("ana", "bo"), ("grace",))},
    schedules={
        "primary": Schedule("primary", "UTC", (Layer("l", (("ana",), ("bo",)), Rotation(1, "days", "2026-01-05T09:00")),)),
        "empty": Schedule("empty", "UTC", (Layer("l", (("ana",),), Rotation(1, "days", "2026-02-01T09:00")),)),
    },
    services={
        "office": Service("office", support_hours=Support("UTC", (Hours(frozenset(range(5)), 8 * 60, 18 * 60),))),
    },
)  # fmt: skip
ANA, BO = Target("user", "ana"), Target("user", "bo")
NOBODY = Target("schedule", "empty")
INCIDENT = Incident(
    number=7, key="k", status="triggered", title="t", service="", severity="critical", impact="medium", urgency="high",
    priority="P2", category="", integration="apps", policy="p", policy_hash="h", created_at=NOW, updated_at=NOW,
    due_at=NOW, due_kind="step", planned_at=NOW,
)  # fmt: skip


def policy(*steps: Step, repeat: int | None = 0) -> Policy:
    return Policy("p", steps, repeat)


ALWAYS = Only()


def step(*targets: Target, wait: int = 5, only: Only = ALWAYS, pick: Literal["all", "one"] = "all") -> Step:
    return Step(targets, Millis(wait * M), only, pick)


def run(
    incident: Incident, of: Policy | None, *, now: int = NOW, settings: Settings = SETTINGS, dead: tuple[str, ...] = ()
) -> StepRun:
    ids = (f"{number:032x}" for number in itertools.count(1))
    people = People(unusable=lambda contact: contact.to in dead)
    return run_step(incident, of, settings, people, Instant(now), lambda: next(ids))


def who(found: StepRun) -> list[str]:
    return [page.target.removeprefix("user:") for page in found.pages]


def waits(found: StepRun) -> tuple[int, int, str | None, float]:
    """(round, step, kind, minutes from noon) of what comes next."""
    after = found.incident
    assert after.due_at is not None
    return after.round, after.step, after.due_kind, (after.due_at - NOW) / M


# ------------------------------------------------------------------------------- whom, and what next

TWO = policy(step(ANA), step(BO, wait=10), repeat=1)


@pytest.mark.parametrize(
    ("round_", "number", "kind", "paged", "following"),
    [
        (1, 1, "step", ["ana"], (1, 2, "step", 5)),
        (1, 2, "step", ["bo"], (2, 1, "step", 10)),
        (2, 1, "step", ["ana"], (2, 2, "step", 5)),
        (2, 2, "step", ["bo"], (3, 0, "again", 10)),
        (3, 0, "again", ["grace"], (4, 0, "again", 30)),
        (9, 0, "again", ["grace"], (10, 0, "again", 30)),
    ],
)  # fmt: skip
def test_steps_rounds_and_the_catch_all(
    round_: int, number: int, kind: DueKind, paged: list[str], following: tuple[int, int, str, float]
) -> None:
    found = run(replace(INCIDENT, round=round_, step=number, due_kind=kind), TWO)

    assert who(found) == paged
    assert waits(found) == following
    assert found.incident.version == INCIDENT.version + 1


@pytest.mark.parametrize(("priority", "minutes"), [("P1", 30), ("P2", 30), ("P3", 240), ("P5", 240)])
def test_how_often_the_catch_all_is_reminded(priority: Priority, minutes: int) -> None:
    found = run(replace(INCIDENT, priority=priority, step=0, due_kind="again"), TWO)

    assert waits(found)[3] == minutes


def test_a_catch_all_that_reaches_nobody_is_asked_again_soon_and_it_is_told() -> None:
    found = run(replace(INCIDENT, step=0, due_kind="again"), TWO, dead=("grace@sms",))

    assert (found.pages, found.nobody, waits(found)[3]) == ((), 1, NOBODY_AGAIN / M)
    assert [entry.kind for entry in found.entries] == ["catch_all", "unreachable", "nobody"]


@pytest.mark.parametrize("none", [None, policy()])
def test_without_steps_the_catch_all_is_paged_at_once(none: Policy | None) -> None:
    found = run(INCIDENT, none)

    assert (who(found), waits(found)) == (["grace"], (2, 0, "again", 30))


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ((ANA,), ["ana"]),
        ((ANA, ANA, Target("team", "platform"), Target("schedule", "primary")), ["ana", "bo"]),
        ((Target("schedule", "primary"),), ["ana"]),
        ((Target("schedule", "primary", "next"),), ["bo"]),
        ((Target("team", "platform", "oncall"),), ["ana"]),
        ((Target("managers", "platform"),), ["grace"]),
        ((Target("channel", "ops"), ANA), ["channel:ops", "ana"]),
        ((Target("user", "gone"), Target("team", "gone"), Target("managers", "gone"), Target("schedule", "gone"),
          Target("channel", "gone"), BO), ["bo"]),
    ],
)  # fmt: skip
def test_whom_targets_lead_to(targets: tuple[Target, ...], expected: list[str]) -> None:
    assert who(run(INCIDENT, policy(step(*targets)))) == expected


def test_a_step_that_finds_nobody_hands_over_at_once() -> None:
    found = run(INCIDENT, policy(step(NOBODY), step(Target("user", "mute")), step(BO)))

    assert (who(found), found.nobody, waits(found)) == (["bo"], 2, (2, 0, "again", 5))
    assert found.pages[0].step == 3


def test_a_round_that_finds_nobody_pages_the_catch_all_and_goes_on_with_the_next() -> None:
    found = run(INCIDENT, policy(step(NOBODY), step(NOBODY, wait=7), repeat=1))

    assert (who(found), waits(found)) == (["grace"], (2, 1, "step", 7))
    assert found.pages[0].step == 0


P1_ONLY, OFFICE, OFF = Only(priority=("P1",)), Only(hours="support"), Only(hours="off")


@pytest.mark.parametrize(
    ("steps", "first", "repeat", "paged", "following"),
    [
        ((step(ANA, only=P1_ONLY), step(BO)), 1, 0, ["bo"], (2, 0, "again", 5)),
        ((step(ANA), step(BO, only=P1_ONLY)), 2, 1, ["ana"], (2, 2, "step", 5)),       # on to the next round
        ((step(ANA), step(BO, only=P1_ONLY)), 2, 0, ["grace"], (3, 0, "again", 30)),   # none is left
        ((step(ANA, only=P1_ONLY),), 1, 0, ["grace"], (2, 0, "again", 5)),             # none applies at all
        ((step(NOBODY), step(BO, only=P1_ONLY)), 1, 1, ["grace"], (2, 1, "step", 5)),  # somebody should have heard
        ((step(NOBODY), step(BO, only=P1_ONLY)), 2, 1, ["grace"], (3, 0, "again", 5)),
    ],
)  # fmt: skip
def test_steps_that_do_not_apply(
    steps: tuple[Step, ...], first: int, repeat: int, paged: list[str], following: tuple[int, int, str, float]
) -> None:
    found = run(replace(INCIDENT, step=first), policy(*steps, repeat=repeat))

    assert who(found) == paged
    assert waits(found) == following


@pytest.mark.parametrize(
    ("service", "hour", "only", "paged"),
    [
        ("office", 0, OFFICE, "ana"), ("office", 0, OFF, "grace"), ("office", 9, OFFICE, "grace"), ("office", 9, OFF, "ana"),
        ("", 9, OFFICE, "ana"), ("", 9, OFF, "ana"),  # a service without support hours: no restriction
    ],
)  # fmt: skip
def test_hours_of_a_step(service: str, hour: int, only: Only, paged: str) -> None:
    later = Instant(NOW + hour * 60 * M)
    incident = replace(INCIDENT, service=service, due_at=later, planned_at=later)

    assert who(run(incident, policy(step(ANA, only=only)), now=later)) == [paged]


@pytest.mark.parametrize(("number", "paged"), [(6, "ana"), (7, "bo"), (8, "ana")])
def test_pick_one_takes_turns(number: int, paged: str) -> None:
    assert who(run(replace(INCIDENT, number=number), policy(step(ANA, BO, pick="one")))) == [paged]


def test_pick_one_never_picks_whom_nobody_can_reach() -> None:
    assert who(run(INCIDENT, policy(step(ANA, BO, pick="one")), dead=("bo@sms",))) == ["ana"]


# ------------------------------------------------------------------------------- late


@pytest.mark.parametrize(
    ("late", "wait", "next_at"),
    [
        (0, 5, 5),
        (0.5, 5, 5),  # the plan is kept
        (4.5, 5, 5.5),  # but for a minute at least
        (60, 5, 61),
        (60, 0.5, 60.5),  # a wait shorter than a minute is a floor itself
    ],
)
def test_when_the_step_after_a_late_one_runs(late: float, wait: float, next_at: float) -> None:
    one = Step((ANA,), Millis(int(wait * M)))

    found = run(INCIDENT, policy(one, step(BO)), now=int(NOW + late * M))

    assert waits(found)[3] == next_at


def test_a_step_a_minute_late_pages_whom_it_was_planned_for_and_a_later_one_who_is_there_now() -> None:
    handoff = Instant(NOW + 21 * 3_600_000)  # at nine the next morning it is Bo
    due = Instant(handoff - 1_000)
    incident = replace(INCIDENT, due_at=due, planned_at=due)
    of = policy(step(Target("schedule", "primary")))

    assert who(run(incident, of, now=due + 60_000)) == ["ana"]
    assert who(run(incident, of, now=due + 60_001)) == ["bo"]


# ------------------------------------------------------------------------------- personal rules

MANY = user("ana", "sms", "voice", "mail")


@pytest.mark.parametrize(
    ("urgency", "rules"),
    [
        ("high", [(("sms",), 0), (("voice",), 1), (("mail",), 2)]),
        ("medium", [(("sms",), 0), (("voice",), 1), (("mail",), 2)]),
        ("low", [(("mail",), 0)]),
    ],
)
def test_what_holds_when_no_rules_are_written(urgency: str, rules: list[tuple[tuple[str, ...], int]]) -> None:
    assert personal_rules(MANY, urgency, SETTINGS) == tuple(NotifyRule(by, Millis(after * M)) for by, after in rules)


def test_low_without_anything_written_takes_the_first_contact() -> None:
    assert personal_rules(user("ana", "voice", "sms"), "low", SETTINGS) == (NotifyRule(("voice",)),)


def test_medium_follows_what_is_written_for_high() -> None:
    written = (NotifyRule(("voice",)),)
    person = replace(MANY, notify={"high": written})

    assert personal_rules(person, "medium", SETTINGS) == written
    assert personal_rules(person, "low", SETTINGS) == (NotifyRule(("mail",)),)


def plan(
    person: User, *, dead: tuple[str, ...] = (), target: Target = ANA, urgency: Urgency = "high"
) -> list[tuple[str, float, int]]:
    """(contact, minutes, rule) of each page."""
    settings = replace(SETTINGS, users={**SETTINGS.users, "ana": person})
    found = run(replace(INCIDENT, urgency=urgency), policy(step(target)), settings=settings, dead=dead)
    return [(page.contact, (page.due_at - NOW) / M, page.rule) for page in found.pages]


def test_pages_follow_the_rules() -> None:
    rules = (NotifyRule(("sms", "mail")), NotifyRule(("voice",), Millis(2 * M)), NotifyRule(("voice",), Millis(5 * M)))

    assert plan(replace(MANY, notify={"high": rules})) == [
        ("sms", 0, 1),
        ("mail", 0, 1),
        ("voice", 2, 2),
        ("voice", 5, 3),
    ]


def test_nobody_waits_for_a_contact_that_is_passed_over() -> None:
    assert plan(MANY, dead=("ana@sms",)) == [("voice", 0, 2), ("mail", 2, 3)]


def test_who_wants_to_be_paged_late_is_paged_late() -> None:
    assert plan(replace(MANY, notify={"high": (NotifyRule(("sms",), Millis(4 * M)),)})) == [("sms", 4, 1)]


def test_rules_that_name_only_dead_contacts_fall_back_to_any_that_works() -> None:
    assert plan(replace(MANY, notify={"high": (NotifyRule(("sms",)),)}), dead=("ana@sms",)) == [("voice", 0, 1)]


def test_a_contact_named_by_the_step_is_the_only_one() -> None:
    assert plan(MANY, target=Target("user", "ana", "mail")) == [("mail", 0, 1)]


def test_a_contact_whose_channel_is_gone_cannot_be_used() -> None:
    fewer = replace(SETTINGS, channels={"mail": SETTINGS.channels["mail"]})

    assert [contact.name for contact in usable_contacts(MANY, fewer, People())] == ["mail"]


# ------------------------------------------------------------------------------- pages


def test_a_page_says_where_it_comes_from() -> None:
    (page,) = run(replace(INCIDENT, cycle=3, round=2), policy(step(Target("schedule", "primary")), repeat=5)).pages

    assert page.key == "7/3/2/1/user:ana/1/sms"
    assert (page.config, page.target, page.user, page.channel) == ("h1", "user:ana", "ana", "sms")
    assert page.because.startswith("on call in primary")


def test_first_pages_go_first_and_those_of_p1_before_all() -> None:
    urgent = replace(INCIDENT, priority="P1")

    order = [rank(urgent, 1, 1, 1), rank(INCIDENT, 1, 1, 1), rank(urgent, 1, 2, 1), rank(urgent, 1, 1, 2),
             rank(INCIDENT, 2, 1, 1), rank(INCIDENT, 1, 1, 2), CODE, TEST, UPDATE, NOTICE]  # fmt: skip

    assert order == sorted(set(order))
    assert is_first(run(INCIDENT, TWO).pages[0])


TARGETS = st.sampled_from(
    [ANA, BO, NOBODY, Target("team", "platform"), Target("user", "gone"), Target("channel", "ops")]
)
ONLIES = st.sampled_from([Only(), P1_ONLY, Only(urgency=("high",)), OFFICE, OFF])
STEPS = st.builds(
    lambda targets, wait, only, pick: step(*targets, wait=wait, only=only, pick=pick),
    st.lists(TARGETS, min_size=1, max_size=3), st.integers(0, 30), ONLIES, st.sampled_from(["all", "one"]),
)  # fmt: skip


@given(
    steps=st.lists(STEPS, max_size=4),
    repeat=st.sampled_from([0, 1, 3, None]),
    priority=st.sampled_from(["P1", "P3"]),
    dead=st.sets(st.sampled_from(["ana@sms", "bo@sms"])),
    late=st.integers(0, 90),
)
def test_every_run_pages_somebody_or_says_so_and_always_waits_for_something(
    steps: list[Step], repeat: int | None, priority: Priority, dead: set[str], late: int
) -> None:
    incident = replace(INCIDENT, priority=priority, service="office")
    of, now, keys = policy(*steps, repeat=repeat), int(NOW), set[str]()
    for _ in range(12):
        found = run(incident, of, now=now, dead=tuple(dead))

        assert found.pages, "the catch-all can be reached, so somebody is always paged"
        assert not keys & {page.key for page in found.pages}, "a page key twice"
        keys |= {page.key for page in found.pages}
        incident = found.incident
        assert incident.due_at is not None
        assert incident.due_at >= now
        assert incident.due_kind in ("step", "again")
        now = incident.due_at + late * 1000

"""Which planned pages leave now, together, later, another way, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.incidents.escalation import UPDATE, rank_of
from tocsin.decide.oncall.reach import People
from tocsin.decide.paging.delivery_plan import (
    UNBOUNDED,
    Alone,
    Alternatives,
    Answer,
    ChannelFacts,
    Copied,
    Ended,
    Hastened,
    Held,
    Moved,
    NoRoom,
    OtherWay,
    PersonFacts,
    Plan,
    Postponed,
    Rerouted,
    Slots,
    Together,
    groups,
    plan,
)
from tocsin.decide.paging.throttle import PATIENCE
from tocsin.model import (
    ChannelConfig,
    Contact,
    Incident,
    Instant,
    Limit,
    Millis,
    Page,
    PageKind,
    Priority,
    Settings,
    User,
)

S, M = 1_000, 60_000
NOW = Instant(1_767_614_400_000)  # 2026-01-05T12:00Z
ONE = (Limit(1, Millis(M)),)
THREE = (Limit(3, Millis(15 * M)),)
CONTACTS = {name: Contact(name, name, f"ana@{name}") for name in ("sms", "mail", "voice")}
SETTINGS = Settings(
    channels={name: ChannelConfig(name, "console") for name in ("sms", "mail", "voice", "hook")},
    users={key: User(key, key.title(), "UTC", contacts=CONTACTS) for key in ("ana", "bo")},
)
PRIORITIES: tuple[Priority, ...] = ("P1", "P2", "P3", "P4", "P5", "P1", "P2", "P3")
INCIDENTS = {
    number: Incident(
        number=number, key=f"k{number}", status="triggered", title=f"trouble {number}", service="shop",
        severity="critical", impact="high", urgency="high", priority=priority, category="",
        integration="apps", policy="", policy_hash="", created_at=NOW, updated_at=NOW,
    )
    for number, priority in enumerate(PRIORITIES, start=1)
}  # fmt: skip
MAIL = OtherWay("mail", "mail", "mail")
VOICE = OtherWay("voice", "voice", "voice")
FULL_MAIL = OtherWay("mail", "mail", "mail", ONE, (NOW,))


def page(
    number: int, *, user: str = "ana", kind: PageKind = "page", waited: int = 0, channel: str = "sms", rule: int = 1
) -> Page:
    """Of that incident, due now. `waited`: for how long it has been put off already."""
    priority: Priority = INCIDENTS[number].priority if number in INCIDENTS else "P5"
    since = Instant(NOW - waited) if waited else None
    return Page(
        id=f"{user}{number}{channel}{kind}{rule}", key=f"{number}/1/1/1/user:{user}/{rule}/{channel}", kind=kind,
        incident=number, cycle=1, round=1, step=1, rule=rule, target=f"user:{user}", user=user, contact=channel,
        channel=channel, due_at=NOW, created_at=NOW, updated_at=since, delayed="a limit" if waited else "",
        rank=UPDATE if kind == "update" else rank_of(priority, first=True, rule=1),
    )  # fmt: skip


def facts(limits: Sequence[Limit] = ONE, **changed: Any) -> ChannelFacts:
    return replace(ChannelFacts("sms", "sms", limits, SETTINGS, People(), INCIDENTS), **changed)


def at(*minutes: float) -> list[Instant]:
    return [Instant(NOW - int(minute * M)) for minute in minutes]


def said(answer: Answer) -> str:
    """An answer in a few words: what, of which incidents, when or where."""
    match answer:
        case Alone(one) | Ended(one):
            return f"{type(answer).__name__.lower()} {one.incident}"
        case Together(pages, _, and_rest):
            return f"together {numbers(pages)}{' and the rest' if and_rest else ''}"
        case Held(pages):
            return f"held {numbers(pages)}"
        case Postponed(pages, until, _, _, and_rest):
            return f"postponed {numbers(pages)} {(until - NOW) / S:g}s{' and the rest' if and_rest else ''}"
        case Moved(pages, _, channel):
            return f"moved {numbers(pages)} {channel}"
        case Copied(one, _, channel) | Rerouted(one, _, channel):
            return f"{type(answer).__name__.lower()} {one.incident} {channel}"
        case Hastened(one):
            return f"hastened {one.key}"


def numbers(pages: Sequence[Page]) -> str:
    return " ".join(str(one.incident) for one in pages)


def planned(
    pages: Sequence[Page],
    given: ChannelFacts,
    sent: Sequence[Instant] = (),
    alternatives: Alternatives | None = None,
    slots: Slots = UNBOUNDED,
) -> Plan:
    found = plan(pages, given, PersonFacts(sent, sent, alternatives), slots, NOW)
    assert isinstance(found, Plan), found
    return found


NOBODY = Alternatives()


@pytest.mark.parametrize(
    ("pages", "limits", "sent", "alternatives", "expected"),
    [
        # no limit: each by itself; what came here late is one message
        ([page(1), page(2)], (), (), None, ["alone 1", "alone 2"]),
        ([page(3, waited=M), page(4, waited=M), page(1)], (), (), None, ["together 3 4", "alone 1"]),
        # within the limit, and the last slot is one message
        ([page(3)], ONE, (), None, ["alone 3"]),
        ([page(3), page(4)], ONE, (), None, ["together 3 4"]),
        ([page(3), page(4), page(5)], THREE, (), None, ["alone 3", "together 4 5"]),
        # at the limit: at most a minute, and so does whatever else is due; one slot is kept for P1
        ([page(3)], ONE, at(0.5), None, ["postponed 3 30s and the rest"]),
        ([page(3)], THREE, at(5, 4), None, ["postponed 3 60s and the rest"]),
        ([page(1)], THREE, at(5, 4), None, ["alone 1"]),
        ([page(3, waited=20 * S)], THREE, at(5, 4), None, ["postponed 3 40s and the rest"]),
        # a slot became free: all that waited are one message
        ([page(3, waited=20 * S), page(4, waited=10 * S)], ONE, at(2), None, ["together 3 4 and the rest"]),
        ([page(3, waited=20 * S), page(4)], THREE, at(20), None, ["alone 3", "alone 4"]),
        # its minute is over: another contact that has room, else one message beyond the limit, else once more
        ([page(3, waited=M)], THREE, at(5, 4, 3), Alternatives([MAIL]), ["moved 3 mail"]),
        ([page(3, waited=M), page(4)], THREE, at(5, 4, 3), Alternatives([FULL_MAIL, VOICE]), ["moved 3 4 voice"]),
        ([page(3, waited=M), page(4)], THREE, at(5, 4, 3), NOBODY, ["together 3 4 and the rest"]),
        ([page(3, waited=M)], THREE, at(5, 4, 3, 2), Alternatives([FULL_MAIL]), ["postponed 3 600s"]),
        ([page(3, waited=M)], THREE, at(5, 4, 3), Alternatives(put_off=[page(8, waited=S)]), ["together 3 8 and the rest"]),
        # a P1 does not wait; over what wakes less it keeps its place, as a P2 does
        ([page(1)], ONE, at(0.5), Alternatives([VOICE]), ["moved 1 voice"]),
        ([page(1)], ONE, at(0.5), Alternatives([MAIL]), ["copied 1 mail", "postponed 1 30s"]),
        ([page(1)], ONE, at(0.5), Alternatives([FULL_MAIL]), ["postponed 1 30s and the rest"]),
        ([page(1), page(3)], ONE, at(0.5), Alternatives([VOICE]), ["moved 1 voice", "postponed 3 30s and the rest"]),
        ([page(2, waited=M)], THREE, at(5, 4, 3), Alternatives([MAIL]), ["copied 2 mail", "postponed 2 660s"]),
        ([page(4, waited=M)], THREE, at(5, 4, 3), Alternatives([MAIL]), ["moved 4 mail"]),
        # told over the other contact already, or planned there: no second word
        ([page(2, waited=M)], THREE, at(5, 4, 3), Alternatives([MAIL], {page(2, channel="mail").key}), ["postponed 2 660s"]),
        ([page(1)], ONE, at(0.5), Alternatives([MAIL], {page(1, channel="mail").key}, [replace(page(1, channel="mail"), due_at=Instant(NOW + M))]),
         ["hastened 1/1/1/1/user:ana/1/mail", "postponed 1 30s"]),
        # what is no page takes the room that is left, and waits as long as it takes
        ([page(3), page(4, kind="update")], ONE, (), None, ["alone 3", "ended 4"]),
        # no longer wanted, or somewhere else by now
        ([page(99)], ONE, (), None, ["ended 99"]),
        ([replace(page(3), cycle=2)], ONE, (), None, ["ended 3"]),
        ([replace(page(3), contact="pager")], ONE, (), None, ["ended 3"]),
        ([replace(page(3), contact="mail")], ONE, (), None, ["rerouted 3 mail"]),
    ],
)  # fmt: skip
def test_what_becomes_of_due_pages(
    pages: list[Page],
    limits: Sequence[Limit],
    sent: Sequence[Instant],
    alternatives: Alternatives | None,
    expected: list[str],
) -> None:
    found = planned(pages, facts(limits), sent, alternatives)

    assert sorted(said(answer) for answer in found.answers) == sorted(expected)
    assert all(answer.because for answer in found.answers)


@pytest.mark.parametrize(
    ("pages", "sent", "overdue"),
    [([page(1)], at(0.5), False), ([page(3, waited=M)], at(0.2), True), ([page(2, waited=2 * M), page(4)], at(0.2), True)],
)  # fmt: skip
def test_what_finds_no_room_asks_for_what_else_is_known_and_asks_no_second_time(
    pages: list[Page], sent: list[Instant], overdue: bool
) -> None:
    found = plan(pages, facts(), PersonFacts(sent, sent), UNBOUNDED, NOW)

    assert found == NoRoom(tuple(pages), overdue)
    assert isinstance(plan(pages, facts(), PersonFacts(sent, sent, NOBODY), UNBOUNDED, NOW), Plan)


def test_a_fixed_target_has_no_other_way_and_is_told_beyond_the_limit() -> None:
    ops = [replace(page(3, waited=M), user="", target="channel:sms", contact=""),
           replace(page(4, waited=M), user="", target="channel:sms", contact="")]  # fmt: skip

    assert [said(answer) for answer in planned(ops, facts(THREE), at(5, 4, 3)).answers] == ["together 3 4 and the rest"]


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (Slots(9, 9), ["alone 1", "alone 3", "alone 7"]),
        (Slots(2, 9), ["alone 1", "alone 3", "held 7"]),
        (Slots(2, 0, kept=1), ["alone 1", "held 3", "held 7"]),
        (Slots(0, 9), ["held 1", "held 3", "held 7"]),
    ],
)
@pytest.mark.parametrize("limits", [(), (Limit(100, Millis(M)),)])
def test_calls_are_held_while_too_many_are_under_way(
    slots: Slots, expected: list[str], limits: Sequence[Limit]
) -> None:
    answers = planned([page(1), page(3), page(7)], facts(limits), slots=slots).answers

    told = [said(Held((one,))) for answer in answers if isinstance(answer, Held) for one in answer.pages]
    assert [said(answer) for answer in answers if not isinstance(answer, Held)] + told == expected


def test_what_is_over_is_told_in_its_own_slots_and_after_every_page() -> None:
    over = {**INCIDENTS, 8: replace(INCIDENTS[8], status="resolved"), 7: replace(INCIDENTS[7], status="resolved")}
    updates = [page(7, kind="update", waited=M), page(8, kind="update", waited=M)]
    given = facts(THREE, incidents=over)

    assert [said(answer) for answer in planned(updates, given).answers] == ["together 7 8"]
    assert [said(answer) for answer in planned([page(3), *updates], given, at(5)).answers] == [
        "alone 3", "postponed 7 8 600s",
    ]  # fmt: skip
    assert planned([page(3), *updates], given, slots=Slots(5, 0)).slots == Slots(4, 0)


def test_that_a_channel_fails_is_told_over_another_one() -> None:
    trouble = replace(INCIDENTS[3], key="tocsin/channel/sms")
    given = facts((), incidents={**INCIDENTS, 3: trouble}, own_trouble="tocsin/channel/sms")

    assert groups([page(1), page(3), page(2)], given) == [[page(1), page(2)], [page(3)]]
    assert plan([page(3)], given, PersonFacts(), UNBOUNDED, NOW) == NoRoom((page(3),), overdue=False)
    assert [said(one) for one in planned([page(3)], given, (), Alternatives([MAIL])).answers] == ["rerouted 3 mail"]
    assert [said(one) for one in planned([page(3)], given, (), Alternatives([FULL_MAIL])).answers] == ["alone 3"]


def test_who_lost_a_contact_has_the_step_asked_again_but_may_prove_it_by_a_code() -> None:
    given = facts((), people=People(unusable=lambda contact: contact.name == "sms"))
    code = replace(page(3, kind="code"), incident=None)

    answers = planned([page(3), code], given).answers

    assert answers[0] == Ended(page(3), "failed", "the contact cannot be used", in_vain=True)
    assert isinstance(answers[1], Alone)


# ------------------------------------------------------------------------------------ properties

PAGES = st.lists(
    st.builds(
        page,
        st.sampled_from([*INCIDENTS, 99]),
        user=st.sampled_from(["ana", "bo", "gone"]),
        kind=st.sampled_from(["page", "page", "page", "update"]),
        waited=st.sampled_from([0, 0, 10 * S, M, 10 * M]),
        rule=st.integers(0, 2),
    ),
    max_size=12,
    unique_by=lambda one: one.key,
)
LIMITS = st.sampled_from([(), ONE, THREE, (*ONE, *THREE), (Limit(2, Millis(10 * S)),)])
TIMES = st.lists(st.integers(0, 16 * M).map(lambda ago: Instant(NOW - ago)), max_size=6)
SLOTS = st.builds(Slots, st.integers(0, 6), st.integers(0, 3), st.integers(0, 2))
WAYS = st.lists(st.sampled_from([MAIL, VOICE, FULL_MAIL]), max_size=3)


@given(PAGES, LIMITS, TIMES, SLOTS, WAYS, st.booleans())
def test_each_page_has_one_answer_and_nothing_goes_beyond_limit_or_slots(
    pages: list[Page], limits: Sequence[Limit], sent: list[Instant], slots: Slots, ways: list[OtherWay], told: bool
) -> None:
    given_facts = facts(limits)
    for some in groups(pages, given_facts):
        known = {one.key for one in some} | ({page(1, channel="mail").key} if told else set())
        left = planned(some, given_facts, sent, Alternatives(ways, known), slots)

        answered: Counter[str] = Counter()
        for answer in left.answers:
            assert answer.because
            match answer:
                case Alone(one) | Ended(one) | Rerouted(one):
                    answered[one.key] += 1
                case Together(several) | Postponed(several) | Moved(several) | Held(several):
                    answered.update(one.key for one in several)
                case _:
                    pass
            if isinstance(answer, Postponed):
                assert answer.until > NOW
                assert all(one.delayed and one.due_at == answer.until for one in answer.after())
        assert answered == Counter(one.key for one in some)
        calls = [answer for answer in left.answers if isinstance(answer, Alone | Together)]
        assert slots.pages + slots.quiet - len(calls) == left.slots.pages + left.slots.quiet
        assert min(left.slots.pages, left.slots.quiet) >= 0
        for limit in limits:
            inside = sum(one > NOW - limit.window for one in sent)
            assert len(calls) < 2 or inside + len(calls) <= limit.count
            assert not calls or limit.window <= PATIENCE or inside + len(calls) <= limit.count + 1

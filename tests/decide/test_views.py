"""Texts of pages: what they must hold fits, whatever the titles."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.page_texts import SMS, headline, short_text, spoken_text, summary_text
from tocsin.decide.views import in_words, page_outcome
from tocsin.model import Attempt, AttemptState, Incident, Instant, Page, PageStatus

INCIDENT = Incident(
    number=7, key="apps/x", status="triggered", title="db down", service="shop", severity="critical", impact="high",
    urgency="high", priority="P1", category="", integration="apps", policy="", policy_hash="",
    created_at=Instant(0), updated_at=Instant(0), firing=1,
)  # fmt: skip
PAGE = Page(
    id="ab", key="k", kind="page", incident=7, cycle=1, round=1, step=1, rule=1, target="user:ana", user="ana",
    contact="sms", channel="sms", due_at=Instant(0), created_at=Instant(0),
)  # fmt: skip
LINK = "https://tocsin.example.org/a/" + "x" * 90


def test_the_headline_says_number_priority_service_and_title() -> None:
    assert headline(INCIDENT) == "INC 7 P1 [shop] db down"
    assert headline(replace(INCIDENT, service="")) == "INC 7 P1 db down"


@given(title=st.text(max_size=400), service=st.text(max_size=40), firing=st.integers(0, 9999))
def test_the_ways_to_answer_always_stand_in_the_sms(title: str, service: str, firing: int) -> None:
    incident = replace(INCIDENT, title=title, service=service, firing=firing)

    text = short_text(incident, LINK, "WXYZ", interactive=True)

    assert text.endswith(f"Reply ACK 7 WXYZ {LINK}")
    assert len(text) <= SMS


@given(st.lists(st.text(max_size=60), min_size=2, max_size=60))
def test_a_summary_fits_an_sms_and_names_each_incident_while_there_is_room(titles: list[str]) -> None:
    incidents = [replace(INCIDENT, number=number, title=title) for number, title in enumerate(titles, start=1)]

    text = summary_text(incidents)

    assert len(text) <= SMS
    if len(titles) <= 40:
        assert all(str(one.number) in text for one in incidents)


def test_a_summary_of_too_many_says_how_many_it_leaves_out() -> None:
    many = [replace(INCIDENT, number=10_000 + number) for number in range(100)]

    text = summary_text(many)

    shown = text.count("100")
    assert "100 incidents wait for you: INC 10000, 10001" in text
    assert text.endswith(" more. Reply ACK and a number, or ACK ALL.")
    assert len(text) <= SMS
    assert 20 < shown < 100


def test_what_is_spoken_has_no_signs_that_a_voice_would_stumble_over() -> None:
    incident = replace(INCIDENT, title="<b>db</b> {{x}} 99% *down*", service="")

    assert spoken_text(incident) == "Tocsin. Incident 7, priority 1.  b db  b    x   99%  down ."


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "0s"), (400, "0s"), (45_000, "45s"), (60_000, "1m"), (90_000, "1m30s"), (1_800_000, "30m"),
        (5_400_000, "1h30m"), (86_400_000, "1d"), (90_061_000, "1d1h"),
    ],
)  # fmt: skip
def test_lengths_are_said_in_two_units_at_most(length: int, words: str) -> None:
    assert in_words(length) == words


def attempt(state: AttemptState) -> Attempt:
    return Attempt(
        id="a", page="ab", incident=7, channel="sms", address="+1", number=1, owner="o", started_at=Instant(0),
        state=state,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "states", "fate"),
    [
        ("planned", [], "planned"), ("planned", ["failed"], "planned"), ("calling", ["open"], "calling"),
        ("waiting", ["unknown"], "unknown"), ("done", ["accepted"], "accepted"), ("done", ["unknown", "accepted"], "accepted"),
        ("done", ["unknown", "unknown"], "unknown"), ("failed", ["failed"], "failed"), ("cancelled", [], "cancelled"),
        ("bundled", ["bundled"], "bundled"),
    ],
)  # fmt: skip
def test_a_pages_fate_in_one_word(status: PageStatus, states: list[AttemptState], fate: str) -> None:
    page = replace(PAGE, status=status)

    assert page_outcome(page, [attempt(state) for state in states]) == fate


def several(*titles: str) -> list[Incident]:
    return [replace(INCIDENT, number=number, title=title) for number, title in enumerate(titles, start=1)]


def test_a_list_too_long_for_all_titles_names_the_most_urgent_and_the_numbers_of_the_rest() -> None:
    titles = [f"{word * 8} is out of order since noon" for word in "abcdefgh"]
    text = summary_text(several(*titles))
    assert "INC 1 P1 aaaaaaaa is out of order" in text
    assert re.search(r"; INC (\d, )+8\. Reply ACK", text)


def test_what_all_titles_begin_with_is_said_once() -> None:
    titles = [f"https://site-{number}.example.org/health is down" for number in range(1, 9)]
    text = summary_text(several(*titles))
    assert "INC 1 P1 …1.example.org" in text
    assert text.count("https://site") == 1


def test_one_title_for_all_is_said_once() -> None:
    text = summary_text(several(*["the certificate of the shop expires in five days"] * 12))
    assert text.startswith(
        "12 incidents wait for you: the certificate of the shop expires in five days: INC 1 P1, 2 P1, "
    )
    assert "12 P1" in text


@given(st.lists(st.text(min_size=13, max_size=60), min_size=2, max_size=40))
def test_no_title_in_a_list_is_cut_to_a_dozen_letters(titles: list[str]) -> None:
    text = summary_text(several(*titles))
    assert len(text) <= SMS
    for one, title in re.findall(r"INC (\d+) P1 ([^;]*)", text):
        whole = titles[int(one) - 1]
        assert len(title) >= min(20, len(whole)) or title.startswith("…") or ";" in whole or "INC" in whole

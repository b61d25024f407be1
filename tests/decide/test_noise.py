"""What makes noise, and the rule that is proposed for it: one that `tocsin check` takes, whatever the alert is called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.routing.matchers import parse
from tocsin.decide.whatif.noise_report import Counting, Heard, Noisy, noise, rules_file, shape_of, spelt
from tocsin.model import SECOND, Instant, Millis
from tocsin.replay.trials import BENCH
from tocsin.settings import load_alone


def heard(at: int, name: str = "DiskSlow", *, key: str = "", lasts: int | None = 40, incident: int | None = None,
          pages: int = 0, acted: bool = False, open: bool = False, severity: str = "error", service: str = "shop", title: str = "",
          **labels: str) -> Heard:  # fmt: skip
    """An alert at so many seconds that lasts so many."""
    start = Instant(at * SECOND)
    return Heard("apps", key or f"k{at}", severity, title or name, service, "firing", incident, start,
                 None if lasts is None else Instant(start + lasts * SECOND), 1, pages,
                 {"alertname": name, **labels} if name else labels, acted, open)  # fmt: skip


def only(alerts: list[Heard]) -> Noisy:
    (found,) = noise(alerts).kinds
    return found


def test_what_mostly_heals_by_itself_is_to_be_held() -> None:
    found = only([heard(at * 3_600, incident=at) for at in range(10)])

    assert (found.firings, found.incidents, found.because) == (10, 10, "four of five heal within 40s")
    assert found.rule.splitlines()[-1] == "  hold: 1m"


def test_what_comes_and_goes_flaps() -> None:
    found = only([heard(at * 180, key="link", lasts=60, incident=at) for at in range(12)])

    assert found.flaps == 9
    assert "flap: {changes: 6, within: 30m, settle: 15m}" in found.rule


def test_many_at_once_belong_together() -> None:
    found = only([heard(at, lasts=7_200, incident=at, cluster="eu") for at in range(20)])

    assert found.because == "many come at once, each with an incident of its own"
    assert "group_by: [alertname, cluster]" in found.rule


def test_what_paged_and_was_never_acted_on_loses_its_urgency() -> None:
    found = only([heard(at * 3_600, lasts=None, incident=at, pages=2) for at in range(5)])

    assert (found.pages, found.acted) == (10, 0)
    assert "set: {urgency: low}" in found.rule
    assert "it paged 10 times and nobody ever acted" in found.because


def test_a_pageless_warning_by_the_dozen_is_for_a_threshold() -> None:
    found = only([heard(at * 3_600, lasts=None, incident=at, severity="warning") for at in range(40)])

    assert "threshold: {count: 6, within: 10m}" in found.rule


def test_what_somebody_acted_on_is_left_alone() -> None:
    found = only([heard(at * 3_600, lasts=7_200, incident=at, pages=2, acted=True) for at in range(5)])

    assert (found.acted, found.rule, found.because) == (5, "", "")


QUIETER: dict[str, list[dict[str, Any]]] = {
    "heals": [{"at": at * 3_600, "incident": at} for at in range(10)],
    "flaps": [{"at": at * 180, "key": "link", "lasts": 60, "incident": at} for at in range(12)],
    "comes in crowds": [{"at": at, "lasts": 7_200, "incident": at, "cluster": "eu"} for at in range(20)],
    "never acted on": [{"at": at * 3_600, "lasts": 7_200, "incident": at, "pages": 2} for at in range(5)],
    "pageless": [{"at": at * 3_600, "lasts": 7_200, "incident": at, "severity": "warning"} for at in range(40)],
}


@pytest.mark.parametrize("why", QUIETER)
def test_whatever_makes_it_noise_critical_and_open_ones_get_no_rule(why: str) -> None:
    alerts = QUIETER[why]
    assert only([heard(**one) for one in alerts]).rule != ""

    once_critical = only(
        [heard(**one | ({"severity": "critical"} if nth == 3 else {})) for nth, one in enumerate(alerts)]
    )
    still_open = only([heard(**one | ({"open": True} if nth == 3 else {})) for nth, one in enumerate(alerts)])

    assert (once_critical.rule, once_critical.because, once_critical.critical) == (
        "",
        "critical: no rule is proposed",
        True,
    )
    assert (still_open.rule, still_open.because) == ("", "1 of its incidents are still open: no rule is proposed")


def test_what_people_ended_is_not_taken_for_something_that_heals() -> None:
    assert only([heard(at * 3_600, incident=at, acted=at % 2 == 0) for at in range(10)]).rule == ""


def test_the_loudest_is_the_one_that_pages_most() -> None:
    quiet = [heard(at * 60, "Often", incident=1) for at in range(20)]
    loud = [heard(at * 3_600, "Wakes", incident=100 + at, pages=3) for at in range(4)]

    assert [one.name for one in noise([*quiet, *loud]).kinds] == ["Wakes", "Often"]


def test_without_an_alertname_it_is_the_title_without_its_numbers() -> None:
    found = only([heard(at * 3_600, "", title=f"disk {at} % full on db-{at}", incident=at) for at in range(6)])

    assert found.name == "disk # % full on db-#"
    assert (
        r"""match: ['field.title=~"disk .+ % full on db-.+"', 'field.service="shop"', 'field.severity!="critical"']"""
        in found.rule
    )


@pytest.mark.parametrize(
    ("title", "shape"),
    [("disk 91.5 % full", "disk # % full"), ("at 12:30:05", "at #"), ("pod web-5f9c8d7b6f died", "pod web-# died")],
)
def test_the_shape_of_a_title(title: str, shape: str) -> None:
    assert shape_of(title) == shape


@pytest.mark.parametrize(("length", "said"), [(0, "0s"), (40_000, "40s"), (60_000, "1m"), (90_000, "1m30s"), (1, "1s")])
def test_lengths_are_spelt_as_one_writes_them(length: int, said: str) -> None:
    assert spelt(Millis(length)) == said


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.booleans())
def test_every_proposed_rule_is_taken_by_check_and_hits_what_it_is_for(name: str, service: str, titled: str) -> None:
    alerts = [heard(at * 180, "" if titled else name, key="one", title=name, service=service, incident=at, pages=1)
              for at in range(9)]  # fmt: skip
    found = noise(alerts).kinds
    text = rules_file(found)

    loaded = load_alone(BENCH + text.encode(), [])
    assert loaded.settings is not None, (text, loaded.problems)
    assert len(loaded.settings.rules) == 1
    plain = "".join(char if char.isprintable() else " " for char in name)
    if plain == name and service.isprintable() and name:
        values = {
            "alertname": "" if titled else name,
            "field.title": name,
            "field.service": service,
            "field.severity": "error",
        }
        assert [one for one in loaded.settings.rules[0].match if not parse(one).hits(lambda key: values[key])] == []


def test_kinds_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.decide.whatif.noise_report.GROUPS", 3)
    counted = Counting()
    for at in range(10):
        counted.add(heard(at, f"kind{'abcdefghij'[at]}"))

    assert (len(counted.kinds), counted.others, counted.alerts) == (3, 7, 10)

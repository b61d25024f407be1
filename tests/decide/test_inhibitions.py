"""Who keeps whom quiet: the index of firing sources says the same as asking every source, whatever fired and ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.muting.dependencies import above, circle_of
from tocsin.decide.muting.inhibitions import Inhibitions
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.routing.matchers import hit_all, parse
from tocsin.model import ChannelConfig, Contact, Incident, Inhibition, Instant, Service, Settings, User

SETTINGS = Settings(
    users={"ana": User("ana", "Ana", "UTC", contacts={"sms": Contact("sms", "sms", "+15005550010")})},
    channels={"sms": ChannelConfig("sms", "twilio_sms")},
)
RULES = (
    Inhibition("down", ('kind="down"',), ('kind=~"slow|down"',), ("site",)),
    Inhibition("any", ('kind!="slow"', 'site="x"'), ('kind="slow"',)),
    Inhibition("pattern", ('kind=~"d.*"',), ('site!="y"',), ("site", "rack")),
)
LABELS = st.fixed_dictionaries(
    {}, optional={"kind": st.sampled_from(["down", "slow", ""]), "site": st.sampled_from("xyz"), "rack": st.just("1")}
)


def values(labels: dict[str, str]) -> Callable[[str], str]:
    return lambda name: labels.get(name, "")


def asked_one_by_one(firing: dict[int, dict[str, str]], labels: dict[str, str]) -> str | None:
    """Alertmanager's rule, written as it reads."""
    target = values(labels)
    for rule in RULES:
        source_of, target_of = (tuple(map(parse, texts)) for texts in (rule.source, rule.target))
        if not hit_all(target_of, target):
            continue
        for other in firing.values():
            source = values(other)
            same = all(source(name) == target(name) for name in rule.equal)
            both = hit_all(source_of, target) and hit_all(target_of, source)
            if hit_all(source_of, source) and same and not both:
                return rule.name
    return None


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), LABELS)), max_size=12), LABELS)
def test_the_index_says_what_asking_every_source_says(
    changes: list[tuple[int, dict[str, str] | None]], target: dict[str, str]
) -> None:
    index = Inhibitions(RULES)
    firing: dict[int, dict[str, str]] = {}
    for who, labels in changes:
        if labels is None:
            index.ends(str(who))
            firing.pop(who, None)
        else:
            index.fires(str(who), index.standing(values(labels)))
            firing[who] = labels
    for one in (index, index.fork()):
        found = one.by(values(target))
        assert (found and found.name) == asked_one_by_one(firing, target)
    for who in list(firing):
        index.ends(str(who))
    assert not index


def test_a_fork_is_its_own() -> None:
    index = Inhibitions(RULES)
    index.fires("a", index.standing(values({"kind": "down"})))
    other = index.fork()
    other.ends("a")
    assert (bool(index), bool(other)) == (True, False)
    assert index != other


@pytest.mark.parametrize(
    ("needs", "name", "found"),
    [
        ({"shop": ["api", "cache"], "api": ["db"], "cache": [], "db": []}, "shop", ("api", "cache", "db")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "a", ("b", "c")),
        ({"a": ["a", "b"], "b": []}, "a", ("b",)),
        ({"a": ["gone"]}, "a", ("gone",)),
    ],
)
def test_what_is_above_comes_nearest_first(needs: dict[str, list[str]], name: str, found: tuple[str, ...]) -> None:
    assert above(name, needs) == found


@pytest.mark.parametrize(
    ("needs", "circle"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, ()),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ("b", "c")),
        ({"a": [], "x": ["y"], "y": ["x"]}, ("x", "y")),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ()),
    ],
)
def test_a_circle_is_found_and_a_diamond_is_none(needs: dict[str, list[str]], circle: tuple[str, ...]) -> None:
    assert circle_of(needs) == circle


def test_an_older_version_of_a_parent_changes_nothing() -> None:
    services = {"shop": Service("shop", depends_on=("db",)), "db": Service("db")}
    mutes, now = Mutes(replace(SETTINGS, services=services)), Instant(0)
    new = Incident(
        1,
        "k",
        "triggered",
        "t",
        "db",
        "critical",
        "high",
        "high",
        "P1",
        "",
        "apps",
        "",
        "",
        now,
        now,
        version=3,
        paged="ana",
    )
    old = Incident(1, "k", "triggered", "t", "db", "info", "high", "low", "P3", "", "apps", "", "", now, now, version=2)
    assert mutes.see_incident(new, now)
    assert not mutes.see_incident(old, now)
    assert mutes.parents.over("shop", "P1") == (1, "db")
    assert mutes.parents.over("db", "P1") is None
    assert mutes.see_incident(replace(new, status="resolved", version=4), now)
    assert not mutes.see_incident(new, now)
    assert mutes.parents.over("shop", "P1") is None

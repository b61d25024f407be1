"""What would happen, where something other than a silence keeps an alert quiet."""

from __future__ import annotations

from dataclasses import replace

from tests.decide.test_explain import NOW, PROMETHEUS, SETTINGS
from tests.store.facts import incident
from tocsin.decide.oncall.resolver import zone_of
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.whatif.explain import Explained, Facts, explain
from tocsin.decide.whatif.explain_report import as_json
from tocsin.model import (
    MINUTE,
    Alert,
    Incident,
    Inhibition,
    Instant,
    Maintenance,
    Millis,
    Parsed,
    Service,
    Settings,
    StoredAlert,
    rfc3339,
)


def asked(settings: Settings, alert: Alert, facts: Facts) -> tuple[Explained, dict[str, object]]:
    parsed = Parsed((alert,))
    found = explain(settings, Rulebook(settings), PROMETHEUS, parsed, NOW, facts)
    return found[0], as_json(found, parsed, settings, NOW)["alerts"][0]


def stored(title: str) -> StoredAlert:
    return StoredAlert(
        1, "prometheus", title, 0, "firing", 1, None, "critical", title, "", "", "", {"alertname": title}, (), (),
        NOW, NOW, NOW,
    )  # fmt: skip


SLOW = Alert("firing", "slow", severity="error", title="slow", labels={"alertname": "Slow"})


def test_an_inhibition_is_named_and_nobody_is_planned_while_its_source_fires() -> None:
    settings = replace(SETTINGS, inhibitions=(Inhibition("down", ('alertname="Down"',), ('severity="error"',)),))

    one, told = asked(settings, SLOW, Facts(sources=(stored("Down"),)))
    free, _ = asked(settings, SLOW, Facts(sources=(stored("Other"),)))

    assert told["muted_by"] == "inhibition:down"
    assert one.because.endswith("; it is kept quiet while another alert fires (inhibition down)")
    assert one.plan == ()
    assert free.plan


def test_a_parent_that_is_down_is_named() -> None:
    services = {**SETTINGS.services, "shop": Service("shop", depends_on=("db",)), "db": Service("db")}
    settings = replace(SETTINGS, services=services)
    parent = Incident(
        7,
        "k",
        "triggered",
        "db down",
        "db",
        "critical",
        "high",
        "high",
        "P1",
        "",
        "prometheus",
        "",
        "",
        NOW,
        NOW,
        paged="ana",
    )

    one, told = asked(settings, replace(SLOW, service="shop"), Facts(down=(parent,)))

    assert told["muted_by"] == "parent:7"
    assert one.because.endswith("; it waits until INC 7 of a service it depends on is over")
    assert one.plan == ()


def test_a_parent_without_alerts_keeps_others_quiet_no_longer_than_it_pages() -> None:
    """A storm is such a parent: its incident has no alert of its own."""
    services = {**SETTINGS.services, "shop": Service("shop", depends_on=("db",)), "db": Service("db")}
    settings = replace(SETTINGS, services=services)
    exhausted = Instant(NOW + 5 * MINUTE)
    storm = incident(7, service="db", priority="P1", paged="ana", due_at=exhausted, due_kind="again", policy="")

    one, told = asked(settings, replace(SLOW, service="shop"), Facts(down=(storm,), firing={7: ()}))

    assert told["muted_by"] == "parent:7"
    assert one.plan[0].at == exhausted


def test_a_window_is_named_and_the_plan_begins_when_it_ends() -> None:
    every_day = frozenset(range(7))
    window = Maintenance("patching", ('alertname="Slow"',), "UTC", every_day, 9 * 60 + 45, Millis(30 * MINUTE))
    settings = replace(SETTINGS, maintenance=(window,))

    one, told = asked(settings, SLOW, Facts())

    end = Instant(NOW + 15 * MINUTE)
    assert told["muted_by"] == "maintenance:patching"
    assert f"the maintenance window 'patching' until {rfc3339(end, zone_of('Europe/Paris'))}" in one.because
    assert one.plan[0].at == end
    assert any("the maintenance window 'patching' ended" in note.because for note in one.notes)

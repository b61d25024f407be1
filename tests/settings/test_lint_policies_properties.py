"""What the lint says about steps is held against what production decides, for every service, severity and hour."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import event, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from tocsin.decide.incidents.escalation import applies
from tocsin.decide.routing.priority import assess
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import SEVERITIES, Alert, Incident, Instant, Settings, instant
from tocsin.settings import Loaded
from tocsin.settings.document.files import parsed
from tocsin.settings.document.reading import Reading
from tocsin.settings.lint import lint
from tocsin.settings.loading import compiled
from tocsin.settings.plugins import INSTALLED

BY_DAY = instant(datetime(2026, 11, 23, 10, 0, tzinfo=UTC))  # a Monday
BY_NIGHT = instant(datetime(2026, 11, 23, 23, 0, tzinfo=UTC))
NOBODY = Incident(1, "k", "triggered", "t", "", "error", "medium", "high", "P2", "", "apps", "p", "h", BY_DAY, BY_DAY)

ONLY = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.lists(st.sampled_from(["P1", "P2", "P3", "P4", "P5"]), min_size=1, max_size=2, unique=True),
        "urgency": st.lists(st.sampled_from(["high", "medium", "low"]), min_size=1, max_size=2, unique=True),
        "hours": st.sampled_from(["support", "off"]),
    },
)
STEPS = st.lists(st.one_of(st.just({}), ONLY), min_size=1, max_size=3)
SERVICE = st.fixed_dictionaries(
    {"impact": st.sampled_from(["high", "medium", "low"])},
    optional={
        "policy": st.sampled_from(["p", "q"]),
        "support_hours": st.just({"days": "Mon-Fri", "from": "09:00", "to": "17:00"}),
    },
)
RULES = st.lists(
    st.sampled_from([{"impact": "high"}, {"priority": "P5"}, {"urgency": "low"}, {"policy": "q"}, {"title": "x"}]),
    max_size=1,
)


def configured(p: Any, q: Any, services: dict[str, Any], rules: list[Any], default: str) -> Loaded:
    def steps(onlies: Any) -> Any:
        return {"steps": [{"notify": "user:ana", **({"only": only} if only else {})} for only in onlies]}

    content = {
        "channels": {"terminal": {"type": "console"}},
        "users": {"ana": {"contacts": {"terminal": "ana"}}},
        "catch_all": ["user:ana"],
        "integrations": {"apps": {"type": "webhook", "token": "t"}},
        "policies": {"p": steps(p), "q": steps(q)},
        "services": services,
        "rules": [{"name": "r", "match": 'x="y"', "set": each} for each in rules],
        "defaults": {"policy": default},
    }
    main = Path("/nowhere/tocsin.yaml")
    return compiled([parsed(main, str(main), json.dumps(content).encode())], main, Reading({}, INSTALLED))


def incidents(settings: Settings) -> Iterator[tuple[str, Incident, Instant]]:
    """(policy, incident as it opens, when) for all services, one that nobody configured, each severity, day and night."""
    book = Rulebook(settings)
    integration = settings.integrations["apps"]
    for service, severity, label, at in product([*settings.services, "other"], SEVERITIES, "yn", (BY_DAY, BY_NIGHT)):
        verdict = book.walk(Alert("firing", "k", severity=severity, service=service, labels={"x": label}), integration)
        found = assess(verdict, severity, settings, at)
        known = settings.services.get(service)
        policy = verdict.policy or (known.policy if known else None) or settings.defaults.policy or ""
        yield policy, replace(NOBODY, service=service, urgency=found.urgency, priority=found.priority), at


@hypothesis(max_examples=250, deadline=None)
@given(
    STEPS, STEPS, st.dictionaries(st.sampled_from(["a", "b"]), SERVICE, max_size=2), RULES, st.sampled_from(["p", "q"])
)
def test_no_incident_reaches_an_unreachable_step_and_some_incident_is_met_with_silence(
    p: Any, q: Any, services: dict[str, Any], rules: list[Any], default: str
) -> None:
    loaded = configured(p, q, services, rules, default)
    assert loaded.settings is not None, loaded.problems
    found = lint(loaded, BY_DAY)
    dead = {problem.message.partition(" is never")[0] for problem in found if problem.code == "unreachable-step"}
    silent = {problem.message.partition(":")[0] for problem in found if problem.code == "silent-policy"}
    event(f"dead steps: {len(dead)}, silent policies: {len(silent)}")

    reached, unheard = set(), set()
    for policy, incident, opened in incidents(loaded.settings):
        steps = loaded.settings.policies[policy].steps
        reached |= {
            f"{policy}: step {place}"
            for place, step in enumerate(steps, 1)
            if any(applies(step, incident, loaded.settings, at) for at in (BY_DAY, BY_NIGHT))
        }
        if not any(applies(step, incident, loaded.settings, opened) for step in steps):
            unheard.add(policy)

    assert not dead & reached
    assert silent <= unheard or any("policy" in each or "impact" in each or "priority" in each for each in rules)
    assert unheard <= silent

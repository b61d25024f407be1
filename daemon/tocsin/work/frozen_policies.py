"""Policies that incidents were opened under, read back from JSON; commands read them without loading the daemon."""

from __future__ import annotations

from tocsin.model import Only, Policy, Step, Target


def policy_from(body: dict[str, object]) -> Policy:
    """The inverse of what `Policies.freeze` writes."""
    raw: dict[str, object] = dict(body)
    steps = []
    for step in raw.pop("steps"):  # type: ignore[attr-defined]  # our own JSON
        targets = tuple(Target(**target) for target in step.pop("notify"))
        only = step.pop("only")
        applies = Only(tuple(only["priority"]), tuple(only["urgency"]), only["hours"])
        steps.append(Step(notify=targets, only=applies, **step))
    return Policy(steps=tuple(steps), **raw)  # type: ignore[arg-type]  # our own JSON

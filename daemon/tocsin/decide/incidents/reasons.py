"""Reasons why an alert is where it is, in words: grouped, held, dropped, below a threshold, flapping, silenced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tocsin.decide.incidents.waiting_firings import because_it_waits
from tocsin.decide.noise.flapping import flapping_because
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.model import Instant, Rule, StoredAlert, rfc3339


def because(alert: StoredAlert, rules: Iterable[Rule] = ()) -> str:
    """The reasons, the strongest first; `rules` as they are configured now name the one that holds it."""
    return "; ".join(_reasons(alert, tuple(rules)))


def _reasons(alert: StoredAlert, rules: tuple[Rule, ...]) -> Iterator[str]:
    if alert.incident is not None and alert.status == "firing":
        yield from _quiet(alert)
        if alert.muted_by is not None:
            yield f"{alert.muted_by} kept it quiet when it came"
        if alert.hold_until is not None:
            yield _held(alert.hold_until, _holder(alert, rules))
    yield alert.because or ("no rule groups it" if alert.incident is not None else "")


def _quiet(alert: StoredAlert) -> Iterator[str]:
    if alert.settles_at is not None and (flap := terms_of(alert.terms).flap) is not None:
        yield flapping_because(flap, alert.settles_at)
    if alert.cleared_at is not None and alert.expires_at is not None:
        ends = rfc3339(alert.expires_at)
        yield f"resolved by its source at {rfc3339(alert.cleared_at)}, ends at {ends} unless it fires again"
    if alert.cleared_at is not None and alert.waits_until is not None:
        yield because_it_waits(None, alert.waits_until)


def _held(until: Instant, rule: str) -> str:
    by = f"rule {rule!r}: " if rule else ""
    return f"{by}held, nobody was paged for it before {rfc3339(until)}"


def _holder(alert: StoredAlert, rules: tuple[Rule, ...]) -> str:
    """The last of its rules that holds; "" where the configuration has changed since."""
    return next((rule.name for rule in reversed(rules) if rule.hold and rule.name in alert.rules), "")

"""Every sample body becomes the alerts that its contract (`tests/samples/expected.json`) says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.integrations.samples import SAMPLES, cases, config, instant
from tocsin.errors import BadBody
from tocsin.model import Alert
from tocsin_integrations.sources import alertmanager, pagerduty, webhook

SOURCES = {
    "alertmanager": alertmanager.SOURCE,
    "alertmanager_api": alertmanager.SOURCE,
    "pagerduty": pagerduty.SOURCE,
    "generic": webhook.SOURCE,
}


@pytest.mark.parametrize("case", cases(SOURCES), ids=lambda case: case["file"])
def test_a_sample_body_becomes_the_alerts_its_contract_says(case: dict[str, Any]) -> None:
    source = SOURCES[case["file"].split("/")[0]]
    raw = (SAMPLES / case["file"]).read_bytes()
    now = instant(case.get("now", "2026-11-20T04:00:00Z"))

    if not case["events"]:
        with pytest.raises(BadBody) as refused:
            source.parse(raw, {}, config(source.type), now)
        assert refused.value.detail.splitlines() == case["response"]["errors"]
        return

    parsed = source.parse(raw, {}, config(source.type), now)

    assert [shown(alert, event) for alert, event in zip(parsed.alerts, case["events"], strict=True)] == case["events"]


def shown(alert: Alert, event: dict[str, Any]) -> dict[str, Any]:
    """The alert in the contract's words; `error` stands for a firing alert's severity that nothing said."""
    firing = alert.status == "firing"
    return {
        "status": alert.status,
        "dedup_key": alert.source_key or ("<generated>" if firing else None),
        "severity": alert.severity or ("error" if firing else None),
        "title": alert.title or None,
        "service": alert.service if event["service"] or alert.status != "change" else None,
    }


def test_a_partly_invalid_batch_keeps_the_good_alerts_and_points_at_the_bad_ones() -> None:
    raw = (SAMPLES / "alertmanager_api/post_alerts_partly_invalid.json").read_bytes()

    parsed = alertmanager.SOURCE.parse(raw, {}, config("alertmanager"), instant("2026-11-20T03:15:07Z"))

    assert len(parsed.alerts) == 1
    assert [(r.pointer, r.detail) for r in parsed.rejected] == [("/1/labels", "an alert needs at least one label")]


def test_the_published_fingerprints_are_computed_from_the_labels_alone() -> None:
    for name in ("webhook_firing", "webhook_watchdog"):
        body = orjson.loads((SAMPLES / f"alertmanager/{name}.json").read_bytes())
        for alert in body["alerts"]:
            assert alertmanager.fingerprint(alert["labels"]) == alert["fingerprint"]

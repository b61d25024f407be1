"""No incident keeps its own alerts quiet: else it would be quiet since it pages, and page since it is quiet."""

from __future__ import annotations

from tests.walk.conftest import Build

NEEDS = """
throttle: {sms: ["1000/1m"]}
services: {web: {depends_on: [db], impact: medium}, db: {impact: medium}}
"""
GROUPED = """
throttle: {sms: ["1000/1m"]}
rules: [{name: by cluster, match: ['cluster!=""'], group_by: [cluster]}]
inhibitions: [{name: site, source: ['label.site="down"'], target: ['label.site=""']}]
"""


async def test_an_alert_that_moves_to_a_service_below_its_incident_pages_on(build: Build) -> None:
    """The service of an alert may change, and that of its incident does not: the incident is no parent of its own."""
    town = await build(NEEDS)
    await town.alert("down", "error", service="db")
    await town.pass_time(minutes=1)
    await town.alert("down", "error", service="web")
    await town.pass_time(minutes=12)
    assert town.pages == ["0m ana sms", "5m bo sms", "10m grace sms"]
    assert "muted" not in await town.kinds(1)


async def test_a_silenced_source_in_the_same_incident_keeps_no_other_alert_of_it_quiet(build: Build) -> None:
    town = await build(GROUPED)
    await town.silence('label.site="down"', minutes=60)
    await town.alert("site", labels={"cluster": "eu", "site": "down"})
    await town.pass_time(minutes=1)
    await town.alert("disk", labels={"cluster": "eu"})
    await town.pass_time(minutes=7)
    assert town.pages == ["1m ana sms", "6m bo sms"]
    assert (await town.incident()).muted_by is None

"""Who waits for a parent waits for somebody: while nobody is on the parent, those that depend on it page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town, laid_over
from tocsin.contracts import Tx
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger

NEEDS = """
throttle: {sms: ["1000/1m"]}
users: {dora: {name: Dora, timezone: UTC, contacts: {sms: "+15005550020"}}}
policies:
  bare: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}], repeat: 0, ack_timeout: 30m}
  children: {steps: [{notify: [user:dora], wait: 60m}], repeat: 5}
  nights: {steps: [{notify: [schedule:nights], wait: 5m}], repeat: 0}
  room: {steps: [{notify: [channel:terminal], wait: 60m}], repeat: 0}
channels: {terminal: {type: console, to: terminal}}
schedules: {nights: {timezone: UTC, layers: [{name: later, users: [ana], rotation: {every: 1w, start: 2027-01-04 09:00}}]}}
services:
  api: {depends_on: [db], policy: children}
  db: {impact: high, policy: bare}
"""
Story = Callable[[Town], Awaitable[object]]


async def db(town: Town, severity: str = "error", **more: Any) -> int:
    return await town.alert("db down", severity, service="db", **more) or 0


async def api(town: Town, severity: str = "critical") -> int:
    return await town.alert("api down", severity, service="api") or 0


async def silenced(town: Town) -> None:
    await town.silence('service="db"', minutes=60)
    await db(town)


async def snoozed(town: Town) -> None:
    await town.snooze(await db(town), 60)


async def acknowledged_by_its_source(town: Town) -> None:
    event = {
        "routing_key": "0123456789abcdef0123456789abcdef", "dedup_key": "k", "event_action": "trigger",
        "payload": {"summary": "db down", "source": "db-1", "severity": "critical", "component": "db"},
    }  # fmt: skip
    await town.post("pd", event)
    await town.post("pd", event | {"event_action": "acknowledge"})
    assert (await town.incident(1)).acknowledged_by == "integration:pd"


async def exhausted(town: Town) -> None:
    await db(town)
    await town.pass_time(minutes=10.5)


async def on_hold(town: Town) -> None:
    number = await db(town)
    await hand(town, number, status="on_hold", due_at=None, due_kind=None)


async def all_contacts_dead(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    for user in ("ana", "bo"):
        await town.phones[user].reply("STOP")
    await db(town)


async def hand(town: Town, number: int, **how: Any) -> None:
    """A change that no command makes yet."""

    async def work(tx: Tx) -> Effects:
        ledger = Ledger(town.daemon.runtime, tx, town.clock.now())
        await ledger.load([number])
        incident = ledger.get(number)
        assert incident is not None
        ledger.put(replace(incident, version=incident.version + 1, **how))
        return await ledger.close()

    (await town.daemon.store.write(work)).apply(town.daemon.runtime)
    await town.settle()


EACH: dict[str, tuple[str, Story]] = {
    "silenced": ("", silenced),
    "held": ("rules: [{name: wait, match: ['service=\"db\"'], hold: 10m}]", db),
    "snoozed": ("", snoozed),
    "on hold": ("", on_hold),
    "in maintenance": ("maintenance: [{name: w, match: ['service=\"db\"'], every: \"11:00\", for: 3h}]", db),
    "inhibited": (
        "rules: [{name: s, match: ['alertname=\"Site\"'], suppress: true}]\n"
        "inhibitions: [{name: site, source: ['alertname=\"Site\"'], target: ['service=\"db\"']}]",
        lambda town: two(town.alert("site", labels={"alertname": "Site"}), db(town)),
    ),
    "exhausted": ("", exhausted),
    "acknowledged by its source": ("", acknowledged_by_its_source),
    "nobody on call": ("services: {db: {impact: high, policy: nights}}", db),
    "only a channel is told": ("services: {db: {impact: high, policy: room}}", db),
    "all contacts unusable": ("", all_contacts_dead),
    "less urgent": ("services: {db: {impact: medium}, api: {depends_on: [db], policy: children, impact: high}}", db),
}  # fmt: skip


async def two(*these: Awaitable[object]) -> None:
    for one in these:
        await one


@pytest.mark.parametrize("how", EACH)
async def test_a_parent_that_nobody_is_on_mutes_nothing(how: str, build: Build) -> None:
    config, story = EACH[how]
    town = await build(laid(config))
    await story(town)

    child = await api(town)
    await town.settle()

    assert (await town.incident(child)).muted_by is None
    assert len(town_pages(town)) == 1


def laid(config: str) -> str:
    return laid_over(NEEDS, config)


def town_pages(town: Town) -> list[str]:
    return [told.user for told in town.told if told.title == "api down" and told.kind == "page" and told.user == "dora"]


async def resolve(town: Town, parent: int) -> None:
    await town.clear("db down")


STOPS: dict[str, tuple[str, Callable[[Town, int], Awaitable[object]], float]] = {
    "resolves": ("", resolve, 0),
    "is resolved by hand": ("", lambda town, parent: town.resolve(parent), 0),
    "is canceled": ("", lambda town, parent: town.act("cancel", parent), 0),
    "is silenced": ("", lambda town, parent: town.silence('service="db"', minutes=60), 0),
    "is snoozed": ("", lambda town, parent: town.snooze(parent, 60), 0),
    "is put on hold": ("", lambda town, parent: hand(town, parent, status="on_hold", due_at=None, due_kind=None), 0),
    "is exhausted": ("", lambda town, parent: town.pass_time(minutes=10), 10),
    "sinks": ("", lambda town, parent: db(town, "info"), 0),
    "is inhibited": (
        "rules: [{name: s, match: ['alertname=\"Site\"'], suppress: true}]\n"
        "inhibitions: [{name: site, source: ['alertname=\"Site\"'], target: ['service=\"db\"']}]",
        lambda town, parent: town.alert("site", labels={"alertname": "Site"}), 0,
    ),
    "goes into maintenance": (
        "maintenance: [{name: w, match: ['service=\"db\"'], every: \"12:03\", for: 3h}]",
        lambda town, parent: town.pass_time(minutes=3), 3,
    ),
    "pages people who send STOP": ("", lambda town, parent: stop(town, "ana"), 0),
    "pages people who are gone": ("", lambda town, parent: gone(town), 0),
    "is needed no more": ("", lambda town, parent: unneeded(town), 0),
    "was not delivered to anybody": ("", lambda town, parent: undelivered(town), 0),
    "asks again what was acknowledged and reaches nobody": ("", lambda town, parent: forgotten(town, parent), 30),
}  # fmt: skip


async def stop(town: Town, *users: str) -> None:
    town.expected_errors.add("own_trouble")
    for user in users:
        await town.phones[user].reply("STOP")


async def gone(town: Town) -> None:
    everybody = "policies: {bare: {steps: [{notify: [user:grace]}]}}\nusers: {ana: '', bo: ''}\nteams: {platform: ''}\nschedules: {primary: '', nights: ''}"
    left = "policies: {nights: '', room: '', default: {steps: [{notify: [user:grace]}]}}\nservices: {shop: ''}"
    await town.reload(laid_over(laid_over(NEEDS, everybody), left))
    await town.pass_time(seconds=1)


async def unneeded(town: Town) -> None:
    await town.reload(laid_over(NEEDS, "services: {api: {policy: children}}"))


async def undelivered(town: Town) -> None:
    await town.phones["ana"].receipt("undelivered", "30003")
    # the next step runs at once: Bo is called, and does not get it either
    await town.settle()
    await town.phones["bo"].receipt("undelivered", "30003")


async def forgotten(town: Town, parent: int) -> None:
    await town.ack(parent)
    await stop(town, "ana", "bo")
    await town.pass_time(minutes=30)


@pytest.mark.parametrize("how", STOPS)
async def test_when_nobody_is_on_the_parent_any_more_its_children_page_at_once(how: str, build: Build) -> None:
    config, story, minutes = STOPS[how]
    town = await build(laid(config))
    parent, child = await db(town), await api(town, "error")
    assert (await town.incident(child)).muted_by == f"parent:{parent}"

    await story(town, parent)
    await town.settle()

    assert (await town.incident(child)).muted_by is None
    assert [line.split()[0] for line in town.pages_of("api down")] == [f"{minutes:g}m"]


async def test_a_parent_that_a_storm_takes_in_counts_no_more_but_the_storm_does(build: Build) -> None:
    town = await build(NEEDS + "storm: {new_incidents: 3, within: 1m}")
    for number in range(6):
        await town.alert(f"db {number}", "error", service="db")
    child = await api(town, "error")
    await town.settle()

    (storm,) = [one.number for one in await town.incidents() if one.key.startswith("storm/")]
    assert (await town.incident(child)).muted_by in ("parent:1", f"parent:{storm}")
    for number in range(1, 4):
        await town.resolve(number)
    await town.settle()
    assert (await town.incident(child)).muted_by == f"parent:{storm}"

    await town.resolve(storm)
    await town.settle()
    assert [line.split()[1] for line in town.pages_of("api down")] == ["dora"]


async def test_a_parent_mutes_only_what_is_no_more_urgent_than_itself(build: Build) -> None:
    """db is a P2 here; a critical api with high impact is a P1."""
    town = await build(laid("services: {db: {}, api: {depends_on: [db], policy: children, impact: high}}"))
    parent = await db(town, "critical")
    child = await api(town, "warning")
    assert ((await town.incident(parent)).priority, (await town.incident(child)).priority) == ("P2", "P2")
    assert (await town.incident(child)).muted_by == f"parent:{parent}"

    await api(town, "critical")
    await town.settle()

    assert ((await town.incident(child)).priority, (await town.incident(child)).muted_by) == ("P1", None)
    assert town.pages_of("api down") == ["0m dora"] or len(town_pages(town)) == 1


async def test_a_parent_that_sinks_lets_go_what_is_more_urgent(build: Build) -> None:
    town = await build(laid("services: {api: {depends_on: [db], policy: children, impact: high}}"))
    parent, child = await db(town, "critical"), await api(town, "critical")
    assert (await town.incident(child)).muted_by == f"parent:{parent}"

    await db(town, "warning")
    await town.settle()

    assert (await town.incident(child)).muted_by is None


@pytest.mark.parametrize("later", [0.0, 1.0])
async def test_what_begins_never_cancels_a_ringing_p1(later: float, build: Build) -> None:
    how = """
users: {dora: {notify: {high: [{by: sms}, {after: 1m, by: voice}]}, contacts: {sms: "+15005550020", voice: "+15005550020"}}}
services: {api: {depends_on: [db], policy: children, impact: high}}
"""
    town = await build(laid(how))
    child = await api(town)
    assert (await town.incident(child)).priority == "P1"
    await town.pass_time(minutes=later / 2)

    await db(town, "critical")
    await town.pass_time(minutes=2)

    assert (await town.incident(child)).muted_by is None
    assert len([told for told in town.told if told.title == "api down" and told.user == "dora"]) == 2


async def test_a_child_in_one_post_with_a_parent_that_reaches_nobody_pages(build: Build) -> None:
    each = """
integrations:
  apps:
    type: webhook
    token: apps-token
    map: {each: "all", dedup_key: "id", title: "id", severity: "sev", service: "svc"}
services: {db: {impact: high, policy: nights}, api: {depends_on: [db], policy: children}}
"""
    town = await build(laid(each))
    alerts = [{"id": "api down", "sev": "error", "svc": "api"}, {"id": "db down", "sev": "error", "svc": "db"}]
    await town.post("apps", {"all": alerts})
    await town.settle()
    assert len(town_pages(town)) == 1


async def test_what_a_parent_keeps_quiet_is_known_after_a_crash(build: Build) -> None:
    town = await build(NEEDS, database="file")
    parent, child = await db(town), await api(town, "error")
    await town.pass_time(minutes=1)
    await town.restart(after_minutes=1)
    assert (await town.incident(child)).muted_by == f"parent:{parent}"

    await town.silence('service="db"', minutes=60)

    assert (await town.incident(child)).muted_by is None


@pytest.mark.parametrize("how", ["silenced", "held"])
async def test_a_source_that_nobody_hears_of_inhibits_nothing(how: str, build: Build) -> None:
    config = "inhibitions: [{name: site, source: ['alertname=\"Site\"'], target: ['service=\"shop\"']}]\n"
    if how == "held":
        config += "rules: [{name: wait, match: ['alertname=\"Site\"'], hold: 10m}]\n"
    town = await build(config)
    if how == "silenced":
        await town.silence('alertname="Site"', minutes=60)
    await town.alert("site", labels={"alertname": "Site"})

    child = await town.alert("shop down", service="shop")
    await town.settle()

    assert (await town.incident(child)).muted_by is None
    assert town.pages_of("shop down") == ["0m ana sms"]


async def test_a_source_that_is_silenced_lets_go_what_it_inhibited(build: Build) -> None:
    inhibition = "inhibitions: [{name: site, source: ['alertname=\"Site\"'], target: ['service=\"shop\"']}]\n"
    town = await build(inhibition + 'throttle: {sms: ["1000/1m"]}')
    source = await town.alert("site", labels={"alertname": "Site"}) or 0
    child = await town.alert("shop down", service="shop")
    assert (await town.incident(child)).muted_by == "inhibition:site"

    await town.snooze(source, 30)

    assert (await town.incident(child)).muted_by is None
    assert town.pages_of("shop down") == ["0m ana sms"]


async def test_the_pages_of_a_parent_say_which_services_are_affected(build: Build) -> None:
    how = """
users: {ana: {notify: {high: [{by: [sms, mail, voice]}]}, contacts: {sms: "+15005550010", mail: ana@example.org, voice: "+15005550010"}}}
services: {web: {depends_on: [api]}}
"""
    town = await build(laid(how))
    await db(town)
    assert "Affects api, web" in town.phones["ana"].texts[-1]
    assert "Reply ACK 1" in town.phones["ana"].texts[-1]
    assert "Services that need it: api, web." in town.mail[-1]
    assert "Affects api, web." in await town.phones["ana"].pick_up()

    await town.alert("web down", "error", service="web")
    await town.pass_time(minutes=5)
    assert "Affects web, api" in town.phones["bo"].texts[-1]  # who waits for it comes first


async def test_an_sms_has_room_for_the_answer_however_many_services_are_affected(build: Build) -> None:
    many = ", ".join(f"service-number-{number}: {{depends_on: [db]}}" for number in range(60))
    town = await build(laid(f"services: {{{many}}}"))
    await town.alert("disk " * 80, "error", service="db")
    (text,) = town.phones["ana"].texts
    assert len(text) <= 310
    assert "and 57 more. Reply ACK 1" in text or "and 58 more. Reply ACK 1" in text

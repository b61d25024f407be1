"""A half hour in the life of a small company: one of everything that can be open when its Tocsin is upgraded.

    python -m tests.upgrade.story tests/upgrade/NAME        # with the version that is to be kept

writes what a database and a configuration of that version look like just after a crash, and what the same
version does next: `tocsin.yaml`, `tocsin.db.gz`, `postgres.sql.gz`, `expected.json`. `test_upgrade.py` starts
the present version on each of these folders and compares.
"""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from tests.postgres import programs, running_server
from tests.walk.town import MONDAY_NOON, Town
from tocsin.decide.oncall.overrides import Asked
from tocsin.decide.views import incident_view
from tocsin.model import Instant, rfc3339

CRASHED_AT = Instant(MONDAY_NOON + 30 * 60_000)
AFTERWARDS_MINUTES = 60
CONFIG = """
throttle: {sms: [1000/1m], voice: [1000/1m], hook: [1000/1m]}
channels: {hook: {type: webhook, url: "http://127.0.0.1:8481/page", secret: hook-secret, allow_private: true}}
users:
  ana: {name: Ana, timezone: UTC, contacts: {sms: "+15005550010", hook: ana}, notify: {high: [{by: sms}, {after: 3m, by: hook}], low: [{by: hook}]}}
  bo: {name: Bo, timezone: UTC, contacts: {hook: bo, sms: "+15005550011"}, notify: {high: [{by: hook}], low: [{by: hook}]}}
  grace: {name: Grace, timezone: UTC, contacts: {hook: grace}}
  carl: {name: Carl, timezone: UTC, contacts: {sms: "+15005550012", hook: carl}}
schedules:
  primary:
    timezone: UTC
    layers: [{name: week, users: [ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}}]
policies:
  default:
    steps: [{notify: [schedule:primary], wait: 5m}, {notify: [schedule:primary@next], wait: 40m}, {notify: [team:platform], wait: 20m}]
    repeat: 1
    ack_timeout: 30m
  slow: {steps: [{notify: [user:bo], wait: 50m}, {notify: [user:grace], wait: 4h}], repeat: 0, ack_timeout: never}
services:
  shop: {owner: platform}
  ledger: {impact: high, policy: slow}
  books: {impact: low, policy: slow, depends_on: [ledger]}
rules:
  - {name: clusters, match: ['cluster!=""', 'alertname!~"ClusterDown|Behind"'], group_by: [cluster]}
  - {name: heals, match: ['alertname="SlowHeal"'], hold: 20m}
  - {name: bulk, match: ['alertname="LoginFailed"'], group_by: [realm], threshold: {count: 3, within: 1h}}
  - {name: flapping, match: ['alertname="LinkDown"'], flap: {changes: 3, within: 1h, settle: 15m}}
  - {name: lasting, match: ['alertname="Lasting"'], resolve_after: 10m}
  - {name: forgotten, match: ['alertname="Forgotten"'], auto_resolve: 1h}
inhibitions: [{source: ['alertname="ClusterDown"'], target: ['alertname="Behind"'], equal: [cluster]}]
maintenance: [{name: monday patching, match: ['env="patched"'], every: "Mon 12:10", for: 50m, timezone: UTC}]
heartbeats: {backup: {every: 1h, grace: 10m, service: shop, severity: error}}
storm: {new_incidents: 5, within: 1m, per: service}
"""
STORED_TOKEN = "watcher"


async def first_half_hour(town: Town) -> dict[str, str]:
    """From noon to the crash at 12:30. What people hold of it: an API token, and the link of the SMS about incident 1."""
    await town.alert("db down", service="shop")
    link = town.phones["ana"].link
    await town.alert("answered", service="shop-b")
    await town.alert("over and done", service="shop-c")
    await town.alert("sleeps", service="shop-d")
    for number in range(40):
        severity = "critical" if number == 7 else "error"
        await town.alert(f"node {number}", severity, service="nodes", labels={"alertname": "NodeDown", "cluster": "a"})
    await town.pass_time(minutes=2)
    await town.phones["ana"].reply("ACK 2")
    await town.snooze(4, 45)
    for number in range(20, 30):
        await town.clear(f"node {number}")
    await town.alert("lasts", service="shop-e", labels={"alertname": "Lasting"})
    await town.pass_time(minutes=8)
    await town.check_in("backup")
    await town.clear("over and done")
    await town.alert("forgotten", service="shop-f", labels={"alertname": "Forgotten"})
    await town.alert("cluster down", service="shop-g", labels={"alertname": "ClusterDown", "cluster": "b"})
    await town.alert("behind it", "error", service="shop-h", labels={"alertname": "Behind", "cluster": "b"})
    await town.alert("ledger down", "error", service="ledger")
    await town.alert("books stand still", "error", service="books")
    await town.silence('title="known"', minutes=30)
    await town.alert("known", service="shop-i")
    await town.alert("patched", service="shop-j", labels={"env": "patched"})
    for state in ("alert", "clear", "alert"):
        await getattr(town, state)("link down", service="shop-k", labels={"alertname": "LinkDown"})
        await town.pass_time(minutes=1)
    await town.trigger("by hand", service="shop-l")
    await town.phones["grace"].reply("STOP")  # Carl's phone has this number
    _, bearer = await town.daemon.access.create(STORED_TOKEN, "viewer", None)
    instead = Asked("primary", ("grace",), "2026-01-05 13:00", "2026-01-05 13:30", replaces="ana")
    await town.daemon.overrides.add(instead, town.actor("ana"))
    await town.pass_time(minutes=12)
    await town.alert("heals", service="shop-m", labels={"alertname": "SlowHeal"})
    await town.alert("login 1", service="logins", labels={"alertname": "LoginFailed", "realm": "r"})
    await town.alert("login 2", service="logins", labels={"alertname": "LoginFailed", "realm": "r"})
    await town.clear("lasts")
    await town.clear("never fired")  # a tombstone
    await town.pass_time(minutes=4.5)
    for number in range(8):
        await town.alert(f"edge {number}", "error", service="edge")
    await town.pass_time(minutes=0.5)
    town.trouble("sms", "hangs")
    await town.alert("under way", service="shop-n")
    return {"bearer": bearer, "link": link}


async def afterwards(town: Town) -> None:
    """What the world does in the hours after it."""
    await town.pass_time(minutes=10)
    await town.alert("login 3", service="logins", labels={"alertname": "LoginFailed", "realm": "r"})
    await town.alert("node 7", "critical", service="nodes", labels={"alertname": "NodeDown", "cluster": "a"})
    await town.clear("link down")
    await town.pass_time(minutes=20)
    for number in [*range(20), *range(30, 40)]:
        await town.clear(f"node {number}")
    await town.phones["ana"].reply("ACK 1", sid="SM-afterwards")
    await town.clear("cluster down")
    await town.clear("db down")
    await town.pass_time(minutes=AFTERWARDS_MINUTES - 30)


async def facts(town: Town) -> list[dict[str, Any]]:
    """Every incident as the API shows it, oldest first, without what may be worded anew or is drawn by chance."""
    views = [dict(incident_view(incident, town.daemon.live.settings)) for incident in await town.incidents()]
    for view in views:
        del view["previous"], view["url"]  # one is looked up when it is read, the other has the number
        if str(view["created_at"]) > rfc3339(CRASHED_AT):
            del view["number"]  # a sequence may leave gaps after a crash
        view["title"] = title_of(str(view["title"]))
        view["muted_by"] = "silence" if str(view["muted_by"]).startswith("silence:") else view["muted_by"]
    return views


def title_of(title: str) -> str:
    return "a storm" if title.startswith("storm") else title


def told(town: Town) -> list[str]:
    """Every message since the town began, but for its words."""
    lines = [
        f"{round((one.at - MONDAY_NOON) / 60_000, 1):g}m {one.kind} {one.user or '-'} {one.channel}"
        f" {title_of(one.title)}"
        for one in town.told
    ]
    return sorted(lines, key=lambda line: (float(line.partition("m")[0]), line))


async def tell(folder: Path, target: Path) -> None:
    """Write the folder `target`."""
    target.mkdir(parents=True)
    database = folder / "tocsin.db"
    town = await Town.open(folder, CONFIG, database="file")
    held = await first_half_hour(town)
    assert town.clock.now() == CRASHED_AT
    await town.crash()
    (target / "tocsin.yaml").write_text((folder / "tocsin.yaml").read_text())
    for part in ("docs/example.yaml", "docs/racks.csv", "config", "rules"):
        copy(Path(part), target / "configuration" / part)
    (target / "tocsin.db.gz").write_bytes(gzip.compress(database.read_bytes(), mtime=0))
    await town.begin()
    expected: dict[str, Any] = {"sqlite": held, "at_start": await facts(town)}
    before = len(town.told)
    await afterwards(town)
    del town.outside.told[:before]
    expected |= {"told": told(town), "in_the_end": await facts(town)}
    await town.end()
    with running_server() as server:
        url = server.database()
        (folder / "pg").mkdir()
        town = await Town.open(folder / "pg", CONFIG, database=url, runner="thread")
        expected["postgres"] = await first_half_hour(town)
        await town.crash()
        bin_dir = programs()
        assert bin_dir is not None
        dump = subprocess.run(
            [bin_dir / "pg_dump", "--no-owner", "--no-privileges", url], check=True, capture_output=True, timeout=60
        ).stdout
        (target / "postgres.sql.gz").write_bytes(gzip.compress(dump, mtime=0))
    (target / "expected.json").write_bytes(orjson.dumps(expected, option=orjson.OPT_INDENT_2) + b"\n")


def copy(source: Path, target: Path) -> None:
    """The configurations that this version ships, which its users began with."""
    for path in [source] if source.is_file() else sorted(source.rglob("*.yaml")):
        there = target if path == source else target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(path.read_bytes())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(tell(Path(made), Path(sys.argv[1])))

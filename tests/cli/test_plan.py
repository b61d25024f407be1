"""`tocsin plan`, run as a shell runs it: what another configuration would change, in a table and as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from typer.testing import CliRunner

from tocsin.cli import app
from tocsin.clock import SystemChance, SystemClock
from tocsin.contracts import Tx
from tocsin.control_socket import SOCKET, Control, Daemon, actions_of
from tocsin.model import DAY, MINUTE, Incident, Instant, MadeOverride, Post, StoredAlert
from tocsin.settings import Loaded, load
from tocsin.settings.last_good import packed
from tocsin.store import open_store
from tocsin.work.runtime import Policies

CONFIG = """
defaults: {timezone: Europe/Paris, policy: default}
catch_all: [user:ana]
integrations:
  apps: {type: webhook, token: secret}
  old: {type: webhook, token: {file: not_here}}
channels:
  terminal: {type: console}
  hook: {type: webhook, url: "https://hook.example.org/", secret: x}
users:
  ana: {name: Ana Pires, timezone: Europe/Lisbon, contacts: {terminal: Ana}}
  bo: {name: Bo Li, timezone: UTC, contacts: {terminal: Bo}}
schedules:
  primary:
    timezone: Europe/Paris
    layers: [{name: always, users: [ana]}]
  nights:
    timezone: UTC
    layers: [{name: always, users: [bo]}]
policies:
  default: {steps: [{notify: [schedule:primary], wait: 5m}, {notify: [user:bo], wait: 10m}], repeat: 0}
services: {shop: {impact: high}}
rules:
  - {name: stale, match: ['env="stag"'], drop: true}
  - {name: by cluster, match: ['cluster!=""'], group_by: [cluster]}
"""
NOW = SystemClock().now()
Tocsin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tocsin(tmp_path: Path) -> Tocsin:
    """Runs `tocsin plan ARGS` beside the configuration above: (exit code, stdout, stderr)."""
    (tmp_path / "tocsin.yaml").write_text(CONFIG)

    def run(*args: str) -> tuple[int, str, str]:
        with contextlib.chdir(tmp_path):
            found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, ["plan", *args])
        failed = str(found.exception) if found.exception and not isinstance(found.exception, SystemExit) else ""
        return getattr(found.exception, "code", found.exit_code), found.stdout, found.stderr + failed

    return run


def changed(folder: Path, *pairs: tuple[str, str]) -> str:
    """Another file with these texts replaced; its name."""
    text = CONFIG
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / "new.yaml").write_text(text)
    return "new.yaml"


def answer(tocsin: Any, *args: str) -> dict[str, Any]:
    code, out, err = tocsin(*args, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_same_configuration_changes_nothing(tocsin: Tocsin, tmp_path: Path) -> None:
    code, out, _ = tocsin(changed(tmp_path), "--fail-on-change")
    assert code == 0
    assert "Nothing would change." in out
    found = answer(tocsin, changed(tmp_path))
    assert (found["changes"], found["sections"], found["shifts"], found["needs_restart"]) == (False, {}, [], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.yaml", "tocsin.yaml"], "nothing is created"


def test_a_change_can_end_with_a_code_of_its_own(tocsin: Tocsin, tmp_path: Path) -> None:
    new = changed(tmp_path, ("impact: high", "impact: low"))
    assert tocsin(new)[0] == 0
    assert tocsin(new, "--fail-on-change")[0] == 1


def test_who_gains_and_loses_shifts(tocsin: Tocsin, tmp_path: Path) -> None:
    new = changed(tmp_path, ("layers: [{name: always, users: [ana]}]", "layers: [{name: always, users: [bo]}]"))
    (one,) = answer(tocsin, new)["shifts"]
    assert (one["schedule"], [(each["before"], each["after"]) for each in one["changes"]]) == (
        "primary",
        [(["ana"], ["bo"])],
    )
    assert [(who["user"], who["hours"]) for who in one["users"]] == [("ana", -720.0), ("bo", 720.0)]
    assert "Ana Pires (ana)" in tocsin(new)[1]


def test_policies_people_and_rules_line_by_line(tocsin: Tocsin, tmp_path: Path) -> None:
    new = changed(
        tmp_path,
        ("{notify: [user:bo], wait: 10m}", "{notify: [user:bo], wait: 15m, only: {priority: [P1]}}"),
        ("contacts: {terminal: Bo}", "contacts: {hook: bo}"),
        ("{name: stale, match: ['env=\"stag\"'], drop: true}", "{name: stale, match: ['env=~\"stag.*\"'], drop: true}"),
    )
    found = answer(tocsin, new)
    assert found["policies"] == [
        {
            "name": "default",
            "before": ["step 1: schedule:primary, wait 5m", "step 2: user:bo, wait 10m", "repeat: 0", "ack_timeout: 30m"],
            "after": ["step 1: schedule:primary, wait 5m", "step 2: user:bo, wait 15m, only P1", "repeat: 0", "ack_timeout: 30m"],
        }
    ]  # fmt: skip
    assert found["users"] == [
        {"user": "bo", "changes": ["contact terminal: Bo by terminal → none", "contact hook: none → bo by hook"]}
    ]
    assert found["rules"] == [{"name": "stale", "before": ['match: env="stag"'], "after": ['match: env=~"stag.*"']}]
    _, out, _ = tocsin(new)
    for said in ("step 2: user:bo, wait 10m", "only P1", "users: ~bo", "rules: ~stale"):
        assert said in out


def test_what_goes_is_said_with_what_that_means(tocsin: Tocsin, tmp_path: Path) -> None:
    new = changed(
        tmp_path,
        ("  old: {type: webhook, token: {file: not_here}}\n", ""),
        ('  hook: {type: webhook, url: "https://hook.example.org/", secret: x}\n', ""),
        ("policy: default}\ncatch", "policy: default, severity: info}\ncatch"),
    )
    _, out, _ = tocsin(new)
    assert "old   answers 404; its open alerts stay" in out
    assert "hook  what is planned for it goes another way" in out
    assert "also changed: defaults" in out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("nowhere.yaml",), 2, "nowhere.yaml: no such file"),
        (("bad.yaml",), 2, "bad.yaml: 1 error in the configuration"),
        (("new.yaml", "-c", "nowhere.yaml"), 2, "nowhere.yaml: no such file"),
        (("new.yaml", "--since", "7"), 2, "is not a duration"),
    ],
)
def test_a_mistake_says_what_is_wrong(
    tocsin: Tocsin, tmp_path: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    changed(tmp_path)
    (tmp_path / "bad.yaml").write_text(CONFIG.replace("users: [ana]", "users: [anna]"))
    found, _, err = tocsin(*args)
    assert (found, said in err) == (code, True), err


# ------------------------------------------------------------------------------- with a running daemon


class Running:
    """A daemon as far as its socket goes: it has this configuration in force."""

    access: Any = None

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def running(self) -> Any:
        return packed(self.loaded)


async def test_what_the_running_daemon_has_in_force_is_compared(tocsin: Tocsin, tmp_path: Path) -> None:
    """The file on the disk was edited since: without NEW the answer is what a reload would change."""
    daemon = Running(load(tmp_path / "tocsin.yaml", lenient_secrets=True))
    (tmp_path / ".tocsin").mkdir()
    control = Control(
        tmp_path / ".tocsin" / SOCKET, {"running": actions_of(cast(Daemon, daemon))["running"]}, SystemClock()
    )
    await control.start()
    (tmp_path / "tocsin.yaml").write_text(CONFIG.replace("impact: high", "impact: low"))
    try:
        found = await asyncio.to_thread(answer, tocsin)
        same = await asyncio.to_thread(answer, tocsin, changed(tmp_path))
    finally:
        await control.stop()
    assert found["before"] == f"the running daemon ({tmp_path / 'tocsin.yaml'})"
    assert found["sections"] == {"services": {"added": [], "removed": [], "changed": ["shop"]}}
    assert same["changes"] is False


# --------------------------------------------------------------------------------- with a database


def body(number: int, **labels: str) -> bytes:
    return orjson.dumps({"dedup_key": f"k{number}", "title": f"t{number}", "severity": "error", "labels": labels})


POSTS = [
    Post(1, "apps", Instant(NOW - 9 * DAY), body(1, env="old"), 1),  # before the window
    *(Post(2 + n, "apps", Instant(NOW - DAY + n), body(n, cluster="eu" if n % 2 else "us"), 1) for n in range(40)),
    Post(50, "apps", Instant(NOW - MINUTE), body(50, env="stag"), 1),
    Post(51, "apps", Instant(NOW - MINUTE), b"no JSON", 1),
    Post(52, "old", Instant(NOW - MINUTE), body(52), 1),
    Post(53, "tocsin", Instant(NOW - MINUTE), b"{}", 1),  # its own incidents: not judged, and not counted as unread
]


def incident(number: int, policy_hash: str, **rest: Any) -> Incident:
    facts = {
        "number": number, "key": f"apps/k{number}", "status": "triggered", "title": f"t{number}", "service": "",
        "severity": "error", "impact": "medium", "urgency": "high", "priority": "P2", "category": "",
        "integration": "apps", "policy": "default", "policy_hash": policy_hash, "created_at": NOW, "updated_at": NOW,
        "step": 2, "due_at": Instant(NOW + 5 * MINUTE), "due_kind": "step", "planned_at": Instant(NOW + 5 * MINUTE),
        "alert": number, "firing": 1, "total": 1,
    }  # fmt: skip
    return Incident(**{**facts, **rest})


def stored(number: int) -> StoredAlert:
    return StoredAlert(
        id=number, integration="apps", source_key=f"k{number}", content=1, status="firing", incident=number, post=None,
        severity="error", title=f"t{number}", description="", service="", source="", labels={}, links=(), rules=(),
        started_at=NOW, received_at=NOW, last_seen_at=NOW,
    )  # fmt: skip


def millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def keep(folder: Path, made: MadeOverride) -> None:
    store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=SystemClock(), chance=SystemChance())

    async def work(tx: Tx) -> None:
        tx.add_override(made)

    await store.write(work)
    await store.close()


async def running_system(folder: Path) -> None:
    """Posts of nine days, one incident that waits for its second step, one that is acknowledged."""
    settings = load(folder / "tocsin.yaml", lenient_secrets=True).settings
    assert settings is not None
    store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=SystemClock(), chance=SystemChance())
    digest, text = Policies(store).freeze(settings.policies["default"])

    async def work(tx: Tx) -> None:
        tx.add_policy_version(digest, "default", text)
        tx.add_posts(POSTS)
        acked = {"status": "acknowledged", "acknowledged_by": "ana", "due_kind": "ack_timeout"}
        tx.add_incidents([incident(7, digest), incident(8, digest, **acked)])
        tx.add_alerts([stored(7), stored(8)])

    await store.write(work)
    await store.close()


def test_the_alerts_of_the_last_days_are_judged_again(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    new = changed(
        tmp_path,
        ("group_by: [cluster]}", "group_by: [cluster], set: {service: shop}}"),
        (
            "{name: stale, match: ['env=\"stag\"'], drop: true}",
            "{name: stale, match: ['env=\"stag\"'], suppress: true}",
        ),
        ("  old: {type: webhook, token: {file: not_here}}\n", ""),
    )
    found = answer(tocsin, new)["alerts"]
    assert (found["posts"], found["unread"], found["alerts"], found["differ"]) == (43, 1, 42, 42)
    assert [(one["count"], one["before"], one["after"]) for one in found["groups"]] == [
        (40, {"service": "none", "priority": "P2"}, {"service": "shop", "priority": "P1"}),
        (1, {"outcome": "dropped by 'stale'"}, {"outcome": "suppressed by 'stale'"}),
        (1, {"outcome": "pages"}, {"outcome": "refused: there is no such integration"}),
    ]
    example = found["groups"][0]["example"]
    assert (example["dedup_key"], example["incident_key"]) == (
        "k39", {"before": '""{cluster="eu"}', "after": 'shop{cluster="eu"}'}
    )  # fmt: skip
    assert found["incident_keys"] == {"before": 3, "after": 2}
    assert found["rules"] == []
    _, out, _ = tocsin(new)
    assert "alerts: 42 of 42 since" in out
    assert "refused: there is no such integration" in out


def test_a_shorter_window_looks_at_fewer(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    new = changed(tmp_path, ("  - {name: by cluster, match: ['cluster!=\"\"'], group_by: [cluster]}\n", ""))
    assert answer(tocsin, new, "--since", "1h")["alerts"]["alerts"] == 2
    found = answer(tocsin, new)["alerts"]
    assert found["rules"] == [{"name": "by cluster", "before": 40, "after": 0}]
    assert found["groups"][0]["after"]["group"] == "no rule groups it"


def test_open_incidents_keep_their_policy_and_get_the_new_people(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    new = changed(
        tmp_path,
        ("{notify: [user:bo], wait: 10m}", "{notify: [user:ana], wait: 10m}"),
        ("contacts: {terminal: Bo}", "contacts: {hook: bo}"),
    )
    found = answer(tocsin, new)["incidents"]
    assert found["open"] == 2
    acked, waits = found["affected"]
    assert (waits["number"], waits["policy_frozen"]) == (7, True)
    assert [(page["user"], page["channel"]) for page in waits["next_before"]] == [("bo", "terminal")]
    assert [(page["user"], page["channel"]) for page in waits["next_after"]] == [("bo", "hook")]
    assert (acked["number"], acked["policy_frozen"]) == (8, False)
    _, out, _ = tocsin(new)
    assert "policy frozen until its next cycle" in out
    assert "1 runs under its policy as frozen" in out


def test_an_incident_whose_next_pages_stay_the_same_is_not_counted_as_paging_otherwise(
    tocsin: Tocsin, tmp_path: Path
) -> None:
    asyncio.run(running_system(tmp_path))
    new = changed(tmp_path, ("{notify: [schedule:primary], wait: 5m}", "{notify: [schedule:primary], wait: 3m}"))
    _, out, _ = tocsin(new)
    assert "open incidents: 0 of 2 would page otherwise" in out
    assert "policy as frozen" in out


def test_who_stepped_in_at_run_time_counts_on_both_sides(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    start, end = Instant(NOW // 1000 * 1000 + DAY), Instant(NOW // 1000 * 1000 + 2 * DAY)
    asyncio.run(keep(tmp_path, MadeOverride("o1", "primary", ("bo",), start, end, None, "replace", "bo", "", NOW)))
    new = changed(tmp_path, ("layers: [{name: always, users: [ana]}]", "layers: [{name: always, users: [bo]}]"))
    (one,) = answer(tocsin, new)["shifts"]
    told = [(millis(change["start"]), millis(change["end"]), change["before"]) for change in one["changes"]]
    assert [(since, until) for since, until, _ in told[:1]] == [(told[0][0], start)]
    assert [since for since, _, _ in told[1:]] == [end], "bo has that day with either"


def test_who_stepped_in_and_is_gone_then_leaves_the_shift_to_whom_they_replaced(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    start, end = Instant(NOW // 1000 * 1000 + DAY), Instant(NOW // 1000 * 1000 + 2 * DAY)
    asyncio.run(keep(tmp_path, MadeOverride("o1", "primary", ("eve",), start, end, None, "replace", "ana", "", NOW)))
    (tmp_path / "tocsin.yaml").write_text(
        CONFIG.replace("  bo: {name", "  eve: {contacts: {terminal: Eve}}\n  bo: {name")
    )
    new = changed(tmp_path)
    (one,) = answer(tocsin, new)["shifts"]
    assert [(each["before"], each["after"]) for each in one["changes"]] == [(["eve"], ["ana"])]
    with contextlib.chdir(tmp_path):
        found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, ["oncall", "primary", "--diff", new, "--json"])
    assert [(each["before"], each["after"]) for each in json.loads(found.stdout)["changes"]] == [(["eve"], ["ana"])]


def test_a_change_of_people_alone_touches_the_incidents_that_page_them(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    new = changed(tmp_path, ("layers: [{name: always, users: [ana]}]", "layers: [{name: always, users: [bo]}]"))
    (one,) = answer(tocsin, new)["incidents"]["affected"]
    assert (one["number"], one["next_before"][0]["user"], one["next_after"][0]["user"]) == (8, "ana", "bo")


def test_whose_turn_it_is_now_is_said_in_words_with_what_keeps_it(tocsin: Tocsin, tmp_path: Path) -> None:
    start = datetime.fromtimestamp((NOW - 7 * DAY) // 1000).strftime("%Y-%m-%d 00:00")
    rotation = "layers: [{{name: week, users: {users}, rotation: {{every: 1d, start: {start}}}}}]"
    old = ("layers: [{name: always, users: [bo]}]", rotation.format(users="[ana, bo, cleo, dora]", start=start))
    people = "  cleo: {contacts: {terminal: C}}\n  dora: {contacts: {terminal: D}}\nschedules:\n  primary:"
    with_people = ("schedules:\n  primary:", people)
    (tmp_path / "tocsin.yaml").write_text(Path(tmp_path / changed(tmp_path, old, with_people)).read_text())
    text = (tmp_path / "new.yaml").read_text()
    found = []
    for users in ("[bo, cleo, dora]", "[ana, cleo, dora]", "[ana, bo, dora]", "[ana, bo, cleo]"):
        (tmp_path / "new.yaml").write_text(text.replace("[ana, bo, cleo, dora]", users))
        said = answer(tocsin, "new.yaml")
        assert [one["schedule"] for one in said["turns"]] in ([], ["nights"])
        for one in said["turns"]:
            assert f"write start: {one['start'].replace('T', ' ')}" in said["in_words"][-1]
            assert said["in_words"][-1] in tocsin("new.yaml")[1]
            (tmp_path / "new.yaml").write_text(
                text.replace("[ana, bo, cleo, dora]", users).replace(start, one["start"].replace("T", " "))
            )
            kept = answer(tocsin, "new.yaml")
            assert kept["turns"] == []
            assert kept["on_call_now"] in ([], [{"schedule": "nights", "before": one["before"], "after": one["keeps"]}])
        found += said["turns"]
    assert found

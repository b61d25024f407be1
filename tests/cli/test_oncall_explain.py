"""`tocsin oncall` and `tocsin explain`, run as a shell runs them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tocsin.cli import app
from tocsin.clock import SystemChance, SystemClock
from tocsin.contracts import Tx
from tocsin.model import HOUR, Incident, Instant, Silence, StoredAlert, instant
from tocsin.store import open_store

CONFIG = """
defaults: {timezone: Europe/Paris, policy: default}
catch_all: [user:ana]
integrations:
  shop: {type: webhook, token: {file: no_such_file}}
  apps: {type: webhook, token: secret}
channels:
  terminal: {type: console}
users:
  ana: {name: Ana Pires, timezone: Europe/Lisbon, contacts: {terminal: Ana}}
  bo: {name: Bo Li, timezone: UTC, contacts: {terminal: Bo}}
schedules:
  primary:
    timezone: Europe/Paris
    layers:
      - {name: week, users: [ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}}
    overrides:
      - {user: bo, from: 2026-01-07 00:00, to: 2026-01-08 00:00}
  nights:
    timezone: America/Chicago
    layers:
      - {name: night, users: [bo], hours: {from: 22:00, to: 06:00}}
policies:
  default: {steps: [{notify: [schedule:primary], wait: 5m}], repeat: 0}
rules:
  - {name: stale, match: ['env="stag"'], drop: true}
"""
ALERT = {
    "dedup_key": "db",
    "status": "firing",
    "title": "Database down",
    "severity": "critical",
    "labels": {"env": "prod"},
}
Tocsin = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tocsin(tmp_path: Path) -> Tocsin:
    """Runs `tocsin ARGS` beside the configuration above: (exit code, stdout, stderr)."""
    (tmp_path / "tocsin.yaml").write_text(CONFIG)

    def run(*args: str, stdin: str | None = None) -> tuple[int, str, str]:
        with contextlib.chdir(tmp_path):
            found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, list(args), input=stdin)
        failed = str(found.exception) if found.exception and not isinstance(found.exception, SystemExit) else ""
        return getattr(found.exception, "code", found.exit_code), found.stdout, found.stderr + failed

    return run


def test_who_is_on_call_at_a_time(tocsin: Tocsin) -> None:
    code, out, _ = tocsin("oncall", "primary", "--at", "2026-01-06 09:00", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["schedule"], answer["at"], answer["users"]) == ("primary", "2026-01-06T09:00:00+01:00", ["ana"])


def test_without_a_name_all_schedules_answer_each_by_its_own_clock(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "--at", "2026-01-06 23:00", "--json")
    assert [(one["schedule"], one["at"], one["users"]) for one in json.loads(out)] == [
        ("primary", "2026-01-06T23:00:00+01:00", ["ana"]),
        ("nights", "2026-01-06T23:00:00-06:00", ["bo"]),
    ]


def test_the_shifts_of_a_window_are_cut_to_it(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "primary", "--from", "2026-01-05", "--to", "2026-01-09T12:00:00+01:00", "--json")
    answer = json.loads(out)
    assert answer == {
        "schedule": "primary",
        "shifts": [
            {
                "start": "2026-01-05T09:00:00+01:00",
                "end": "2026-01-07T00:00:00+01:00",
                "users": ["ana"],
                "layer": "week",
            },
            {"start": "2026-01-07T00:00:00+01:00", "end": "2026-01-08T00:00:00+01:00", "users": ["bo"], "layer": None},
            {
                "start": "2026-01-08T00:00:00+01:00",
                "end": "2026-01-09T12:00:00+01:00",
                "users": ["ana"],
                "layer": "week",
            },
        ],
        "gaps": [{"start": "2026-01-05T00:00:00+01:00", "end": "2026-01-05T09:00:00+01:00"}],
    }


def test_a_table_for_people_names_them_and_the_gaps(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("oncall", "primary", "--from", "2026-01-05", "--to", "2026-01-06")
    assert "nobody" in out
    assert "Ana Pires (ana)" in out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("oncall", "primry"), 1, "did you mean 'primary'?"),
        (
            ("oncall", "--at", "tomorrow"),
            2,
            "write 2026-01-05T09:00:00Z, or 2026-01-05 09:00 or Sunday 03:10 (for Europe/Paris)",
        ),
        (("oncall", "--at", "99999-01-01"), 2, "is not a time"),
        (("oncall", "--at", "9999-12-31"), 2, "is not a time"),
        (("oncall", "--from", "2026-01-05"), 2, "give --at TIME, or --from TIME --to TIME"),
        (("oncall", "--at", "2026-01-05", "--from", "2026-01-05", "--to", "2026-01-06"), 2, "give --at TIME, or"),
        (("oncall", "--from", "2026-01-06", "--to", "2026-01-05"), 2, "is not after"),
        (("oncall", "-c", "nowhere.yaml"), 2, "nowhere.yaml: no such file"),
        (("explain", "-", "--integration", "aps"), 1, "did you mean 'apps'?"),
        (("explain", "nowhere.json", "--integration", "apps"), 2, "nowhere.json: No such file"),
        (("explain", "-", "--integration", "apps", "--at", "x"), 2, "is not a time"),
        (("explain", "-", "--integration", "apps"), 2, "cannot be read as webhook"),
        (("explain", "-"), 2, "say whose alerts these are: --integration shop or apps"),
        (("explain",), 2, "give a FILE (- for stdin) with --integration, or an alert by --title"),
        (("explain", "-", "--title", "x"), 2, "give a FILE"),
        (("explain", "-", "-i", "apps", "--service", "x"), 2, "go with --title, not with a FILE"),
        (("explain", "--title", "x", "--severity", "bad"), 2, "'bad' is none of critical, error, warning, info"),
        (("explain", "--title", "x", "--label", "env"), 2, "write NAME=VALUE"),
        (("explain", "--title", "x", "--at", "Someday 03:10"), 2, "or Sunday 03:10 (for Europe/Paris)"),
        (("explain", "--title", "x", "--for", "5"), 2, "is not a duration"),
    ],
)
def test_a_mistake_says_what_to_write_instead(tocsin: Tocsin, args: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = tocsin(*args, stdin="{")
    assert (found, said in err) == (code, True), err


def test_a_body_is_explained_as_json(tocsin: Tocsin, tmp_path: Path) -> None:
    (tmp_path / "alert.json").write_text(json.dumps(ALERT))
    code, out, err = tocsin("explain", "alert.json", "--integration", "apps", "--at", "2026-01-06 09:00", "--json")
    answer = json.loads(out)
    assert code == 0
    [alert] = answer["alerts"]
    assert (alert["dedup_key"], alert["action"], alert["priority"], alert["policy"]) == ("db", "open", "P2", "default")
    assert [(page["after"], page["user"], page["channel"]) for page in alert["plan"]] == [
        ("0s", "ana", "terminal"),
        ("5m", "ana", "terminal"),
    ]
    assert "no_such_file" in err, "a missing secret is said and does no harm"


def test_what_would_happen_needs_no_secret(tocsin: Tocsin, tmp_path: Path) -> None:
    """In a checkout of the configuration alone the plan is the daemon's, with the channels that need secrets."""
    main = tmp_path / "tocsin.yaml"
    hook = "hook: {type: webhook, url: https://hook.example/, secret: {env: NO_SUCH_VARIABLE}}"
    main.write_text(
        main.read_text()
        .replace("terminal: {type: console}", "terminal: {type: console}\n  " + hook)
        .replace("{terminal: Ana}", "{hook: ana, terminal: Ana}")
    )
    (tmp_path / "alert.json").write_text(json.dumps(ALERT))

    code, out, err = tocsin("explain", "alert.json", "-i", "shop", "--at", "2026-01-06 09:00", "--json")

    assert code == 0, err
    assert [page["channel"] for page in json.loads(out)["alerts"][0]["plan"]][:2] == ["hook", "terminal"]
    assert len(err.splitlines()) == 1
    assert "(and 1 more); nothing is sent" in err


def test_a_person_reads_rules_and_plan(tocsin: Tocsin) -> None:
    code, out, _ = tocsin("explain", "-", "--integration", "apps", "--at", "2026-01-06 09:00", stdin=json.dumps(ALERT))
    assert code == 0
    for said in ("Database down", "If nobody answers:", "Ana Pires (ana)", "catch-all", "+5m"):
        assert said in out
    assert "env is 'prod'" not in out
    assert out.rstrip().endswith("1 other rule does not apply (--all-rules tells why).")


def test_every_rule_with_its_reason_is_shown_when_asked_for(tocsin: Tocsin) -> None:
    arguments = ("explain", "-", "--integration", "apps", "--at", "2026-01-06 09:00", "--all-rules")
    _, out, _ = tocsin(*arguments, stdin=json.dumps(ALERT))

    assert "env is 'prod'" in out
    assert out.index("If nobody answers:") < out.index("env is 'prod'")
    assert "--all-rules" not in out


def test_who_is_woken_on_sunday_is_one_command_without_a_payload(tocsin: Tocsin) -> None:
    code, out, err = tocsin("explain", "--title", "db down", "--severity", "critical", "--at", "Sunday 03:10")
    assert code == 0, err
    assert out.startswith("If it arrives on Sun 2")
    assert "03:10 (Europe/Paris)" in out.partition("\n")[0]
    assert "priority     P2: impact medium (no service says otherwise) × urgency high (severity critical) = P2" in out
    assert re.search(r"\+0s +1 +(Ana Pires \(ana\)|Bo Li \(bo\)) +terminal +(Sun|Sat) 20..-..-.. 0[12]:10", out), out


def test_an_alert_by_hand_meets_the_rules_by_its_labels(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("explain", "-t", "x", "-l", "env=stag", "--json")
    assert json.loads(out)["alerts"][0]["action"] == "drop"


def test_a_service_that_is_not_configured_is_said(tocsin: Tocsin) -> None:
    code, _, err = tocsin("explain", "--title", "x", "--service", "shoop")
    assert code == 0
    assert "no service 'shoop' is configured" in err


def test_the_plan_goes_as_far_as_asked(tocsin: Tocsin) -> None:
    _, out, _ = tocsin("explain", "--title", "x", "--severity", "error", "--for", "36m", "--json")
    assert [page["after"] for page in json.loads(out)["alerts"][0]["plan"]] == ["0s", "5m", "35m"]


def test_nothing_is_created(tocsin: Tocsin, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.rglob("*"))
    tocsin("explain", "-", "--integration", "apps", stdin=json.dumps(ALERT))
    tocsin("oncall")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


NOW = instant(datetime.fromisoformat("2026-01-06T08:00:00Z"))
OPEN_ONE = Incident(
    number=7, key="apps/db", status="acknowledged", title="Database down", service="", severity="critical", impact="medium",
    urgency="high", priority="P2", category="", integration="apps", policy="default", policy_hash="", created_at=NOW,
    updated_at=NOW, grouped=True, firing=1, total=1, acknowledged_at=NOW, acknowledged_by="ana",
)  # fmt: skip
QUIET = Silence("s1", ('env="prod"',), NOW, Instant(NOW + HOUR), "ana", "patching", NOW)
STORED = StoredAlert(
    id=1, integration="apps", source_key="disk", content=1, status="firing", incident=7, post=None, severity="critical",
    title="Disk full", description="", service="", source="", labels={}, links=(), rules=(), started_at=NOW,
    received_at=NOW, last_seen_at=NOW,
)  # fmt: skip


async def running_system(folder: Path) -> None:
    """A database beside the configuration, with one open incident, one firing alert and one silence."""
    store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=SystemClock(), chance=SystemChance())

    async def work(tx: Tx) -> None:
        tx.add_incidents([OPEN_ONE])
        tx.add_incident_keys([("apps/db", 7, None)])
        tx.add_alerts([STORED])
        tx.add_silence(QUIET)

    await store.write(work)
    await store.close()


def test_what_is_open_and_silenced_in_the_database_counts(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    code, out, err = tocsin(
        "explain", "-", "-i", "apps", "--at", "2026-01-06T08:30:00Z", "--json", stdin=json.dumps(ALERT)
    )
    assert code == 0, err
    [alert] = json.loads(out)["alerts"]
    assert (alert["action"], alert["muted_by"], alert["plan"]) == ("join", "s1", [])
    assert "it joins incident 7" in alert["because"]


def test_a_resolve_is_told_what_it_would_resolve(tocsin: Tocsin, tmp_path: Path) -> None:
    asyncio.run(running_system(tmp_path))
    resolve = {"dedup_key": "disk", "status": "resolved"}
    _, out, err = tocsin("explain", "-", "-i", "apps", "--json", stdin=json.dumps(resolve))
    assert json.loads(out)["alerts"][0]["because"] == "it resolves the alert of incident 7", err

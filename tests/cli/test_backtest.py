"""Looking back on the command line: export, backtest, noise; and tests of rules, as the manual shows them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.conftest import Run
from tests.walk.town import BASE, MONDAY_NOON, Town, laid_over
from tests.week import week
from tocsin.cli import app
from tocsin.cli.trouble import Trouble
from tocsin.decide.whatif.outcomes import figures
from tocsin.decide.whatif.recordings import Answer, Signal, line_of
from tocsin.model import MINUTE, SECOND, Alert, Instant
from tocsin.replay import twice
from tocsin.settings import load

ROOT = Path(__file__).parent.parent.parent
MANUAL = ROOT / "docs" / "rules.md"
BACKTEST = ROOT / "docs" / "backtest.md"


def invoke(*args: object) -> Result:
    return CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, [str(arg) for arg in args])


def configured(folder: Path, over: str = "") -> Path:
    main = folder / "tocsin.yaml"
    main.write_text(laid_over(BASE, over))
    main.chmod(0o600)
    return main


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return configured(tmp_path)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    folder = tmp_path / "candidate"
    folder.mkdir()
    (folder / "held.yaml").write_text("rules: [{name: held, match: ['severity=~\"warning|error\"'], hold: 3m}]")
    return folder


def alerts(acted_on: str = "k5") -> list[Signal | Answer]:
    """Six alerts; three heal within two minutes; somebody acted on one of them."""
    records: list[Signal | Answer] = []
    for nth in range(6):
        at = Instant(MONDAY_NOON + nth * 600 * SECOND)
        alert = Alert("firing", f"k{nth}", "error", f"trouble {nth}", labels={"alertname": "Trouble"})
        ends = Instant(at + (2 if nth % 2 else 8) * MINUTE)
        records.append(Signal(at, "apps", 0, alert))
        if alert.source_key == acted_on:
            records.append(Answer(Instant(at + MINUTE), "apps", acted_on, "acknowledged", "ana", at))
        records.append(Signal(ends, "apps", 0, Alert("resolved", alert.source_key)))
    return records


def file_of(records: list[Signal | Answer], folder: Path) -> Path:
    file = folder / "alerts.jsonl"
    file.write_bytes(b"".join(map(line_of, records)))
    return file


def test_a_backtest_tells_before_and_after_and_stops_at_what_would_be_missed(
    main: Path, held: Path, tmp_path: Path, tocsin: Run
) -> None:
    file = file_of(alerts(), tmp_path)

    said = tocsin("backtest", "--rules", str(held), "--alerts", str(file), "-c", str(main))

    assert said.returncode == 1, said.stderr
    figures = {line[:25].strip(): line[25:].split() for line in said.stdout.splitlines()[1:8]}
    assert figures["incidents"] == ["6", "6"]
    assert figures["pages"] == ["9", "6", "-3"]
    assert figures["self-healed before paging"] == ["0", "3", "+3"]
    assert "MISSED: 1 that somebody was paged for and acted on" in said.stdout
    assert "acknowledged by ana" in said.stdout
    assert "heals before anybody is paged" in said.stdout
    assert "6 incidents differ" in said.stdout
    assert said.stderr == ""


def test_as_json_it_has_every_difference(main: Path, held: Path, tmp_path: Path) -> None:
    file = file_of(alerts(acted_on="k4"), tmp_path)

    said = invoke("backtest", "--rules", held, "--alerts", file, "-c", main, "--json")

    found = json.loads(said.stdout)
    assert (said.exit_code, found["missed"], found["answers"]) == (0, [], 1)
    assert [one["change"] for one in found["differences"]] == ["changed"] * 6
    assert found["differences"][1]["after"]["self_healed"] is True
    assert found["before"]["people"] == [
        {"who": "ana", "pages": 6, "night_pages": 0},
        {"who": "bo", "pages": 2, "night_pages": 0},
    ]


@pytest.mark.parametrize(
    ("rule", "because", "code"),
    [
        ("{name: a, match: ['alertname=\"Trouble\"'], set: {urgency: low}}", "no longer pages bo", 0),
        ("{name: a, match: ['alertname=\"Trouble\"'], hold: 3m}", "first paged 180 s later", 0),
        ("{name: a, match: ['alertname=\"Trouble\"'], drop: true}", "it is in no open incident", 1),
        ("{name: a, match: ['alertname=\"Trouble\"'], group_by: [alertname]}", "first paged 240 s later", 0),
    ],
)
def test_a_critical_alert_that_would_page_less_is_told_though_nobody_has_answered_it(
    rule: str, because: str, code: int, main: Path, tmp_path: Path, tocsin: Run
) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(
        "policies: {default: {steps: [{notify: [user:ana], wait: 5m},"
        " {notify: [user:bo], wait: 5m, only: {urgency: [high]}}], repeat: 0}}"
    )
    candidate = tmp_path / "candidate.yaml"
    candidate.write_text(f"rules: [{rule}]")
    records: list[Signal | Answer] = [
        Signal(Instant(MONDAY_NOON + nth * 60 * SECOND), "apps", 0,
               Alert("firing", f"k{nth}", "critical", f"trouble {nth}", labels={"alertname": "Trouble"}))
        for nth in range(2)
    ]  # fmt: skip
    configured(tmp_path, policies.read_text())
    file = file_of(
        [*records, Signal(Instant(MONDAY_NOON + 3_600 * SECOND), "apps", 0, Alert("resolved", "k9"))], tmp_path
    )

    said = tocsin("backtest", "--rules", str(candidate), "--alerts", str(file), "-c", str(main))

    assert said.returncode == code, said.stderr
    assert "CRITICAL: " in said.stdout
    assert because in said.stdout


@pytest.mark.parametrize(
    ("wrong", "said", "code"),
    [
        ([], "nothing to try: give --rules DIR, --policies FILE or both", 2),
        (["--rules", "nowhere"], "cannot read nowhere: No such file or directory", 2),
        (["--rules", "bad.yaml"], "bad.yaml:1:25: error: hold: '5 mins' is not a duration", 2),
        (["--rules", "server.yaml"], "'server' does not belong here", 2),
        (["--rules", "good.yaml", "--alerts", "broken.jsonl"], "broken.jsonl:2: is not JSON", 2),
        (["--rules", "good.yaml", "--alerts", "nowhere.jsonl"], "nowhere.jsonl: No such file", 2),
        (["--rules", "good.yaml", "--since", "7 days"], "'7 days' is not a duration", 2),
        (["--rules", "good.yaml"], "there is no database yet", 3),
    ],
)
def test_bad_input_says_what_is_wrong_and_where(
    wrong: list[str], said: str, code: int, main: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("rules: [{name: a, hold: 5 mins}]")
    (tmp_path / "server.yaml").write_text("server: {listen: 127.0.0.1:1}")
    (tmp_path / "good.yaml").write_text("rules: [{name: a, match: ['a=b'], hold: 5m}]")
    (tmp_path / "broken.jsonl").write_bytes(line_of(alerts()[0]) + b"{\n")

    found = invoke("backtest", *wrong, "-c", main)

    assert isinstance(found.exception, Trouble)
    assert found.exception.code == code
    assert said in f"{found.stderr}\n{found.exception}"


def test_the_sample_week_shows_what_a_rule_changes(tmp_path: Path) -> None:
    """The seeded week; its first 2,500 records, since a merge should not wait for all 50,000."""
    main = configured(
        tmp_path, "rules: [{name: nodes, match: ['alertname=\"NodeDown\"'], group_by: [alertname, cluster]}]"
    )
    candidate = tmp_path / "held.yaml"
    candidate.write_text(
        "rules:\n"
        "  - {name: nodes, match: ['alertname=\"NodeDown\"'], group_by: [alertname, cluster]}\n"
        "  - {name: heals, match: ['severity=\"warning\"'], hold: 2m}\n"
    )
    file = file_of(week(2_500), tmp_path)

    said = invoke("backtest", "--rules", candidate, "--alerts", file, "-c", main, "--json")

    found = json.loads(said.stdout)
    before, after = found["before"], found["after"]
    assert said.exit_code == 0
    assert before["incidents"] == after["incidents"] > 80
    assert after["self_healed"] > before["self_healed"] + 10
    assert after["pages"] < before["pages"]
    assert found["missed"] == []


# ------------------------------------------------------------------------------- the database's own


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """A configuration whose database has a day in it."""

    async def live() -> None:
        town = await Town.open(tmp_path, f"database: {{url: 'sqlite:{tmp_path / 'tocsin.db'}'}}", database="file")
        for nth in range(5):
            await town.alert(
                f"cpu {nth} % on web", "error", key=f"k{nth}", labels={"alertname": "HighCpu"}, service="shop"
            )
            await town.pass_time(seconds=50)
            await town.clear("", key=f"k{nth}")
            await town.pass_time(minutes=3)
        number = await town.alert("db down")
        await town.pass_time(minutes=1)
        await town.ack(number or 0)
        await town.end()

    asyncio.run(live())
    loaded = load(tmp_path / "tocsin.yaml", env={})
    assert loaded.settings is not None
    return tmp_path / "tocsin.yaml"


def test_what_the_database_holds_is_exported_replayed_and_told_as_noise(
    lived: Path, held: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    told = invoke("alerts", "export", "--since", "2026-01-05 00:00", "--out", out, "-c", lived)
    assert (told.exit_code, told.stderr) == (0, f"{out}: 12 lines\n")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {
        "received_at": "2026-01-05T12:00:00Z", "integration": "apps", "status": "firing", "dedup_key": "k0", "severity": "error",
        "title": "cpu 0 % on web", "service": "shop", "labels": {"alertname": "HighCpu"}, "post": 1,
    }  # fmt: skip
    assert (lines[-1]["status"], lines[-1]["by"], lines[-1]["dedup_key"]) == ("acknowledged", "user:ana", "db down")

    replayed = json.loads(
        invoke("backtest", "--rules", held, "--since", "2026-01-05 00:00", "-c", lived, "--json").stdout
    )
    assert (replayed["before"]["incidents"], replayed["after"]["self_healed"]) == (6, 5)

    noisy = json.loads(invoke("noise", "--since", "2026-01-05 00:00", "-c", lived, "--json").stdout)
    assert [(one["name"], one["firings"], one["acted_on"]) for one in noisy["noisy"]] == [
        ("HighCpu", 5, 0),
        ("db down", 1, 1),
    ]
    proposed = invoke("noise", "--since", "2026-01-05 00:00", "-c", lived, "--yaml").stdout
    (held / "held.yaml").write_text(proposed)
    again = json.loads(invoke("backtest", "--rules", held, "--alerts", out, "-c", lived, "--json").stdout)
    assert again["after"]["self_healed"] == 5
    assert again["missed"] == []

    later = invoke("noise", "--since", "2026-01-06 00:00", "-c", lived)
    assert later.stdout == "0 alerts of 0 kinds:\nno alerts were received in this time\n"


# ------------------------------------------------------------------------------------ tests of rules


def examples() -> tuple[str, str]:
    """The tests that the manual shows, and what it says of them when the hold is missing."""
    text = MANUAL.read_text()
    tests = re.search(r"^```yaml\n(# tests/nodes.yaml\n.*?)^```$", text, re.M | re.S)
    told = re.search(r"^```console\n(FAILED .*?)^```$", text, re.M | re.S)
    assert tests is not None
    assert told is not None
    return tests[1], told[1]


NODES = """
rules:
  - {name: staging never pages, match: ['env=~"stag.*"'], drop: true}
  - name: nodes
    match: ['alertname=~"Node.*"']
    group_by: [alertname, cluster]
    set: {title: "{{ labels.alertname }} in {{ labels.cluster }}"}
    hold: 2m
integrations: {prometheus: {type: alertmanager, token: prom-token}}
"""


def test_the_manuals_example_holds_and_fails_as_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests, told = examples()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "nodes.yaml").write_text(tests)
    monkeypatch.chdir(tmp_path)

    good = invoke("rules", "test", "tests", "-c", configured(tmp_path, NODES))
    bad = invoke("rules", "test", "tests", "-c", configured(tmp_path, NODES.replace("    hold: 2m\n", "")))

    assert (good.exit_code, good.stdout) == (0, "2 tests, all as expected\n")
    assert (bad.exit_code, bad.stdout) == (1, told)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: []", "t.yaml:1:8: error: tests: is an empty list"),
        ("tests: [{name: a, alerts: [{title: x}], expect: {}}]", "'integration' is missing here, in its test and in its file"),
        ("integration: webhook\ntests: [{name: a, alerts: [{at: 5m, title: x}, {at: 1m, title: y}], expect: {}}]", "write them in order of time"),
        ("integration: webhook\ntests: [{name: a, alerts: [{}], expect: {}}]", "this alert says nothing"),
        ("integration: webhook\ntests: [{name: a, alerts: [{title: x, payload: {}}], expect: {}}]", "stands beside a payload"),
        ("integration: webhook\ntests: [{name: a, alerts: [{title: x}], expect: {incidents: [{pagd: 1m}]}}]", "unknown key 'pagd' (did you mean 'paged'?)"),
        ("integration: webhook\ntests: [{name: a, alerts: [{title: x}], until: 0s, expect: {incidents: [{paged: nver}]}}]", "'nver' is not known; write never"),
        ("rules: nowhere.yaml\nintegration: webhook\ntests: [{name: a, alerts: [{title: x}], expect: {}}]", "cannot read"),
    ],
)  # fmt: skip
def test_a_test_that_cannot_be_read_says_where(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(text)

    found = invoke("rules", "test", tmp_path, "-c", configured(tmp_path.parent))

    assert said in found.stderr
    assert isinstance(found.exception, Exception | SystemExit)


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (
            "{title: x, integration: nowhere}",
            "integration: there is no integration 'nowhere'; there are: prometheus, webhook",
        ),
        ("{title: x, integration: pagerduty}", "alerts of type pagerduty are tested by their payload"),
        ("{title: x, integration: prometheus}", "title: an Alertmanager sends labels and annotations only"),
        ("{integration: prometheus, payload: {alerts: 3}}", "the source refuses it: alerts is not a list"),
    ],
)
def test_an_alert_that_cannot_be_posted_says_where(alert: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text("rules: [{name: a, match: ['a=b'], hold: 5m}]")
    (tmp_path / "t.yaml").write_text(
        f"rules: r.yml\ntests:\n  - name: a\n    alerts:\n      - {alert}\n    expect: {{}}\n"
    )

    found = invoke("rules", "test", tmp_path)

    assert f"{tmp_path / 't.yaml'}:5:9: {said}" in found.stdout
    assert found.exit_code == 1


def test_payloads_are_read_as_the_source_reads_them_and_told_as_json(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text("rules: [{name: a, match: ['severity=\"critical\"'], hold: 90s}]")
    (tmp_path / "t.yaml").write_text(
        """
rules: r.yml
tests:
  - name: a PagerDuty event
    integration: pagerduty
    start: 2026-02-01 03:00
    until: 10m
    alerts:
      - payload:
          routing_key: '00000000000000000000000000000000'
          event_action: trigger
          dedup_key: k
          payload: {summary: db down, source: db-1, severity: critical, custom_details: {tries: 3, last: true}}
    expect:
      incidents: [{title: db down, priority: P2, paged: {after: 1m30s}, pages: 2, status: triggered}]
      pages: 2
"""
    )

    found = json.loads(invoke("rules", "test", tmp_path, "--json").stdout)

    assert found == {
        "passed": 1, "failed": 0,
        "tests": [{"file": str(tmp_path / "t.yaml"), "line": 4, "name": "a PagerDuty event", "ok": True, "differences": []}],
    }  # fmt: skip


def test_the_manual_shows_what_the_command_prints(main: Path, held: Path, tmp_path: Path) -> None:
    shown = re.search(r"^```console\n(.*?)^```$", BACKTEST.read_text(), re.M | re.S)

    said = invoke("backtest", "--rules", held, "--alerts", file_of(alerts(), tmp_path), "-c", main)

    assert shown is not None
    assert said.stdout.startswith(shown[1])


def test_many_alerts_are_played_in_two_processes(
    main: Path, held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twice, "FEW", 0)
    file = file_of(alerts(), tmp_path)
    told: list[int] = []
    before, after = twice.Variant(main), twice.Variant(main, (held,), ("rules",))

    found = twice.play_twice(before, after, file, 12, told.append)

    assert [figures(one).healed for one in found] == [0, 3]
    assert told[-1] == 2 * len(alerts())

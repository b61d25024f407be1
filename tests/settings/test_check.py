"""The commands `tocsin check` and `tocsin schema`."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.settings.conftest import Folder
from tocsin.cli.check import check, section
from tocsin.cli.schema import schema
from tocsin.cli.trouble import Trouble
from tocsin.settings.finding_docs import codes

DOCS = Path(__file__).parents[2] / "docs"
RUNNER = CliRunner()
EXAMPLE_SECRETS = (
    "prometheus_token", "rulers_token", "apps_key", "legacy_key", "shop_token", "twilio_token", "twilio_b_token",
    "slack_token", "slack_secret", "hook_secret",
)  # fmt: skip


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(check)
    app.command()(schema)
    return app


def test_problems_are_printed_like_a_compiler_does(app: typer.Typer, folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "retention: {alerts: 5 mins}\nteams: {web: {members: [ana]},\nops: {members: [ana]}}\nusers: {ana: {}}\n"
        }
    )

    result = RUNNER.invoke(app, ["check", "-c", str(folder.path / "tocsin.yaml")])

    main = folder.path / "tocsin.yaml"
    assert result.output.splitlines() == [
        f"{main}:1:21: error: alerts: '5 mins' is not a duration; write 5m [bad-duration]",
        "    why: `5` may be seconds or minutes: an escalation that comes an hour late, or at once.",
        f"{main}:2:9: warning: teams: nothing uses 'web' [unused]",
        "    why: Mostly something else should name it: the on-call schedule of a new team that no policy asks.",
        "    fix: remove this team, or name it where it is meant",
        f"{main}:3:1: warning: teams: nothing uses 'ops' [unused]",
        "    fix: remove this team, or name it where it is meant",
        f"{main}: 1 error, 2 warnings in 1 file; this configuration cannot be used",
        "by code: unused 2, bad-duration 1 (tocsin check --explain CODE tells more)",
    ]
    assert result.exit_code == 2


def test_json_is_for_scripts(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": "users:\n  ana: {rle: x}\n"})

    result = RUNNER.invoke(app, ["check", "--json", "-c", str(folder.path / "tocsin.yaml")])

    problem = {
        "file": str(folder.path / "tocsin.yaml"),
        "line": 2,
        "column": 9,
        "level": "error",
        "code": "unknown-key",
        "message": "ana: unknown key 'rle' (did you mean 'role'?)",
        "why": "What it says would not be in force: an escalation without its wait, a rule without its group.",
        "fix": "write role",
        "url": "docs/checks.md#unknown-key",
    }
    counts = {"error": 1, "warning": 0, "info": 0}
    assert json.loads(result.output) == {"ok": False, "problems": [problem], "ignored": [], "counts": counts}
    assert result.exit_code == 2


EXITS = [("", [], 0), ("teams: {x: {members: [ana]}}", [], 0), ("teams: {x: {members: [ana]}}", ["--strict"], 1)]


@pytest.mark.parametrize(("more", "options", "code"), EXITS)
def test_warnings_fail_only_when_asked_to(
    app: typer.Typer, folder: Folder, more: str, options: list[str], code: int
) -> None:
    folder.write(
        {"tocsin.yaml": f"channels: {{terminal: {{type: console}}}}\nusers: {{ana: {{role: admin}}}}\n{more}\n"}
    )
    folder.write({"tocsin.yaml": (folder.path / "tocsin.yaml").read_text() + "catch_all: [channel:terminal]\n"})

    result = RUNNER.invoke(app, ["check", "-c", str(folder.path / "tocsin.yaml"), *options])

    assert result.exit_code == code, result.output


def test_the_rules_are_printed_in_the_order_they_are_walked(app: typer.Typer, folder: Folder) -> None:
    folder.write(
        {"tocsin.yaml": "include: [a.yaml]\nrules: [{name: last, stop: true}]\n", "a.yaml": "rules: [{name: first}]\n"}
    )

    result = RUNNER.invoke(app, ["check", "--rules", "-c", str(folder.path / "tocsin.yaml")])

    lines = result.output.replace(f"{folder.path}/", "").splitlines()
    assert lines[-2:] == ["   1  a.yaml:1:9  first", "   2  tocsin.yaml:2:9  last (ends the walk)"]


def test_the_example_of_the_manual_checks_without_errors(app: typer.Typer, folder: Folder) -> None:
    folder.write({name: hashlib.sha256(name.encode()).hexdigest() for name in EXAMPLE_SECRETS})
    main = folder.path / "example.yaml"
    shutil.copyfile(DOCS / "example.yaml", main)
    folder.write({"racks.csv": (DOCS / "racks.csv").read_text()})
    main.chmod(0o600)

    result = RUNNER.invoke(app, ["check", "--json", "-c", str(main)])

    found = json.loads(result.output)
    assert found["ok"]
    codes = {problem["code"] for problem in found["problems"] if problem["level"] != "info"}
    assert codes == {"no-effect-yet", "left-out"}


def test_the_schema_is_printed_as_json(app: typer.Typer) -> None:
    result = RUNNER.invoke(app, ["schema"])

    assert json.loads(result.output)["title"] == "Tocsin configuration"
    assert result.exit_code == 0


# ------------------------------------------------------------------------------ explain, disable

BASE = "channels: {terminal: {type: console}}\nusers: {ana: {role: admin}}\n"


def test_a_code_is_explained_by_its_section_of_the_manual(app: typer.Typer) -> None:
    result = RUNNER.invoke(app, ["check", "--explain", "gap"])

    assert result.output.startswith("## `gap`\n\n*warning.* Nobody is on call")
    assert "Mended:" in result.output
    assert result.exit_code == 0


@pytest.mark.parametrize("code", codes())
def test_every_section_can_be_printed(code: str) -> None:
    assert section(code) in (DOCS / "checks.md").read_text(encoding="utf-8")


REFUSED = [
    (["--explain", "gab"], "there is no code 'gab' (did you mean 'gap'?); docs/checks.md has them all"),
    (["--disable", "gap,unusd"], "there is no code 'unusd' (did you mean 'unused'?); docs/checks.md has them all"),
    (["--disable", "bad-duration"], "bad-duration is an error, and errors cannot be disabled"),
    (["--json", "--sarif"], "--json and --sarif are two formats; write one of them"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_wrong_command_line_is_told_before_anything_is_read(app: typer.Typer, options: list[str], said: str) -> None:
    result = RUNNER.invoke(app, ["check", *options])

    assert isinstance(result.exception, Trouble)
    assert (str(result.exception), result.exception.code) == (said, 2)


def test_a_disabled_code_does_not_count_with_strict(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": f"{BASE}teams: {{x: {{members: [ana]}}}}\n"})
    main = str(folder.path / "tocsin.yaml")

    assert RUNNER.invoke(app, ["check", "--strict", "-c", main]).exit_code == 1
    assert RUNNER.invoke(app, ["check", "--strict", "-c", main, "--disable", "gap"]).exit_code == 1
    assert (
        RUNNER.invoke(app, ["check", "--strict", "-c", main, "--disable", "gap", "--disable", "unused"]).exit_code == 0
    )


def test_ignored_findings_are_counted_and_listed(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": f"{BASE}teams: {{x: {{members: [ana]}}}}  # tocsin: ignore[unused] in May\n"})
    main = str(folder.path / "tocsin.yaml")

    text = RUNNER.invoke(app, ["check", "-c", main])
    listed = json.loads(RUNNER.invoke(app, ["check", "--json", "-c", main]).output)["ignored"]

    assert text.output.splitlines()[-1] == "1 finding ignored by comments"
    assert [(one["code"], one["line"], one["reason"]) for one in listed] == [("unused", 3, "in May")]


def test_a_brief_finding_is_one_line(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": f"{BASE}teams: {{x: {{members: [ana]}}}}\n"})

    result = RUNNER.invoke(app, ["check", "--brief", "-c", str(folder.path / "tocsin.yaml")])

    assert f"{folder.path}/tocsin.yaml:3:9: warning: teams: nothing uses 'x' [unused]" in result.output.splitlines()
    assert "why:" not in result.output


@pytest.mark.parametrize("main", ["config/tocsin.yaml", "docs/example.yaml"])
def test_what_is_shipped_is_without_a_finding(app: typer.Typer, folder: Folder, main: str) -> None:
    """As it lies in a checkout, where everybody may read it; sections that wait for their release are noted."""
    root = DOCS.parent
    shutil.copytree(root / "config", folder.path / "config")
    shutil.copytree(root / "rules", folder.path / "rules")
    (folder.path / "docs").mkdir()
    shutil.copyfile(root / "docs" / "example.yaml", folder.path / "docs" / "example.yaml")
    shutil.copyfile(root / "docs" / "racks.csv", folder.path / "docs" / "racks.csv")
    for name in EXAMPLE_SECRETS:
        folder.write({f"docs/{name}": hashlib.sha256(name.encode()).hexdigest()})
    for file in folder.path.rglob("*.yaml"):
        file.chmod(0o644)

    found = json.loads(RUNNER.invoke(app, ["check", "--json", "-c", str(folder.path / main)]).output)

    assert [one for one in found["problems"] if one["code"] not in ("no-effect-yet", "left-out", "feed-not-read")] == []


# ---------------------------------------------------------------------------------------- SARIF


def test_sarif_is_what_code_review_reads(app: typer.Typer, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The essentials of SARIF 2.1.0: sections 3.13 (log), 3.14 (run), 3.19 (driver), 3.27 (result), 3.49 (rule)."""
    content = (
        f"{BASE}retention: {{alerts: 5}}\nteams: {{é: {{members: [ana]}}, x: {{members: [ana]}}}}\n"
        "schedules: {p: {layers: [{users: ana}]}}  # tocsin: ignore[unused] in May\nservices: {a: {sla: {P1: {ack: 5m}}}}\n"
    )
    folder.write({"on call/tocsin.yaml": content})
    monkeypatch.chdir(folder.path)

    result = RUNNER.invoke(app, ["check", "--sarif", "-c", "on call/tocsin.yaml"])

    log = json.loads(result.output)
    assert (log["version"], result.exit_code) == ("2.1.0", 2)
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "tocsin"
    assert re.fullmatch(r"\d+\.\d+\.\d+", driver["semanticVersion"])
    assert run["invocations"] == [{"executionSuccessful": False}]
    assert run["originalUriBaseIds"]["%SRCROOT%"]["uri"].endswith("/")
    assert run["columnKind"] == "unicodeCodePoints"
    for rule in driver["rules"]:
        assert set(rule) >= {"id", "shortDescription", "fullDescription", "help", "defaultConfiguration"}
        assert rule["help"]["text"]
        assert rule["help"]["markdown"].startswith(f"## `{rule['id']}`")
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
    for one in run["results"]:
        assert driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["level"] in ("error", "warning", "note")
        assert one["message"]["text"]
        (location,) = one["locations"]
        assert location["physicalLocation"]["artifactLocation"] == {
            "uri": "on%20call/tocsin.yaml",
            "uriBaseId": "%SRCROOT%",
        }
        region = location["physicalLocation"]["region"]
        assert region["startLine"] >= 1
        assert region["startColumn"] >= 1
    places = {
        (one["ruleId"], one["level"], one["locations"][0]["physicalLocation"]["region"]["startLine"]): one
        for one in run["results"]
    }
    assert {("bad-duration", "error", 3), ("unused", "warning", 4), ("no-effect-yet", "note", 6)} <= set(places)
    (quiet,) = [one for one in run["results"] if "suppressions" in one]
    assert quiet["suppressions"] == [{"kind": "inSource", "status": "accepted", "justification": "in May"}]
    prints = [one["partialFingerprints"]["tocsin/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)


def test_a_finding_that_moved_keeps_its_fingerprint(app: typer.Typer, folder: Folder) -> None:
    main = str(folder.path / "tocsin.yaml")

    def prints() -> set[str]:
        run = json.loads(RUNNER.invoke(app, ["check", "--sarif", "-c", main]).output)["runs"][0]
        return {one["partialFingerprints"]["tocsin/v1"] for one in run["results"]}

    folder.write({"tocsin.yaml": f"{BASE}teams: {{x: {{members: [ana]}}}}\n"})
    before = prints()
    folder.write({"tocsin.yaml": f"# moved down\n\n{BASE}teams: {{x: {{members: [ana]}}}}\n"})

    assert prints() == before


def test_a_file_beyond_the_working_directory_has_a_whole_address(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": "retention: {alerts: 5}\n"})

    run = json.loads(RUNNER.invoke(app, ["check", "--sarif", "-c", str(folder.path / "tocsin.yaml")]).output)["runs"][0]

    address = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert address == {"uri": f"file://{folder.path}/tocsin.yaml"}

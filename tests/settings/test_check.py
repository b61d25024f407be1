"""The commands `tocsin check` and `tocsin schema`."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.settings.conftest import Folder
from tocsin.cli.check import check
from tocsin.cli.schema import schema

DOCS = Path(__file__).parents[2] / "docs"
RUNNER = CliRunner()


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(check)
    app.command()(schema)
    return app


def test_problems_are_printed_like_a_compiler_does(app: typer.Typer, folder: Folder) -> None:
    folder.write({"tocsin.yaml": "retention: {alerts: 5 mins}\nteams: {web: {members: [ana]},\nops: {members: [ana]}}\nusers: {ana: {}}\n"})

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
    secrets = (
        "prometheus_token", "rulers_token", "apps_key", "legacy_key", "shop_token", "twilio_token", "twilio_b_token",
        "slack_token", "slack_secret", "hook_secret",
    )  # fmt: skip
    folder.write({name: hashlib.sha256(name.encode()).hexdigest() for name in secrets})
    main = folder.path / "example.yaml"
    shutil.copyfile(DOCS / "example.yaml", main)
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

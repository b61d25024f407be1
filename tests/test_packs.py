"""The rule packs that Tocsin brings: clean, harmless, and each with tests that hold."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.walk.town import BASE, laid_over
from tocsin.decide.routing.matchers import parse
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import Instant
from tocsin.replay.trials import BENCH, run_trial
from tocsin.settings import load, load_alone
from tocsin.settings.lint import lint
from tocsin.settings.rule_tests import read_trials
from tocsin_integrations.sources.alertmanager import SOURCE

RULES = Path(__file__).parent.parent / "rules"
PACKS = sorted(RULES.glob("*.yaml"))
NOW = Instant(1_767_614_400_000)


def problems(text: str, folder: Path) -> list[str]:
    main = folder / "tocsin.yaml"
    main.write_text(text)
    main.chmod(0o600)
    loaded = load(main, env={})
    assert loaded.settings is not None, loaded.problems
    found = [*loaded.problems, *lint(loaded, NOW)]
    return [str(one) for one in found if str(RULES) in str(one.where) or "rule" in one.code]


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
def test_a_pack_is_clean_and_takes_nothing_away(pack: Path, tmp_path: Path) -> None:
    loaded = load_alone(BENCH, [pack])
    assert loaded.settings is not None, loaded.problems
    assert [one for one in loaded.problems if one.where.file == str(pack)] == []
    assert len(loaded.settings.rules) > 1
    assert [rule.name for rule in loaded.settings.rules if rule.drop or rule.suppress or rule.stop] == []
    assert [rule.name for rule in loaded.settings.rules if not rule.match] == []
    assert {rule.name.partition(":")[0] for rule in loaded.settings.rules} == {pack.stem}
    assert problems(laid_over(BASE, f"include: ['{pack}']"), tmp_path) == []


def test_all_packs_go_together_and_are_found_wherever_tocsin_lies(tmp_path: Path) -> None:
    assert problems(laid_over(BASE, "include: ['shipped:rules/*.yaml']"), tmp_path) == []
    assert len(load(tmp_path / "tocsin.yaml", env={}).files) == len(PACKS) + 1


def test_what_is_not_shipped_is_an_error_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text(laid_over(BASE, "include: ['shipped:recipes/soup.yaml']"))

    found = load(tmp_path / "tocsin.yaml", env={}).problems

    assert "nothing is shipped as 'recipes/soup.yaml'; write shipped:rules/NAME.yaml" in str(found[0])


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
def test_no_rule_of_a_pack_holds_or_quietens_what_is_critical(pack: Path) -> None:
    loaded = load_alone(BENCH, [pack])
    assert loaded.settings is not None
    quiet = [
        rule.name
        for rule in loaded.settings.rules
        if rule.hold or rule.threshold or rule.set.urgency or rule.set.impact or rule.set.priority
        or rule.set.severity not in (None, "critical")
    ]  # fmt: skip
    by_name = {rule.name: [parse(text) for text in rule.match] for rule in loaded.settings.rules}
    calm = {"severity": "critical", "field.severity": "critical"}

    assert [
        name for name in quiet if all(one.hits(lambda key: calm[key]) for one in by_name[name] if one.name in calm)
    ] == []


@pytest.mark.parametrize("word", ["critical", "page", "Critical", "emergency"])
@pytest.mark.parametrize(
    "labels",
    [
        {"alertname": "HostOutOfMemory", "instance": "a"},
        {"alertname": "PostgresqlReplicationLag", "instance": "a"},
        {"alertname": "PostgresqlTooManyConnections", "instance": "a"},
        {"alertname": "KubeNodeNotReady", "node": "a"},
        {"alertname": "KubePodCrashLooping", "namespace": "a"},
        {"alertname": "NodeClockNotSynchronising", "instance": "a"},
        {"alertname": "NodeSystemdServiceFailed", "instance": "a"},
        {"alertname": "BlackboxProbeFailed", "instance": "a"},
        {"alertname": "BlackboxSlowProbe", "instance": "a"},
        {"alertname": "KubeQuotaExceeded", "namespace": "a"},
    ],
    ids=lambda labels: labels["alertname"],
)
def test_whatever_its_severity_is_called_a_critical_alert_pages_at_once(labels: dict[str, str], word: str) -> None:
    settings = load_alone(BENCH, PACKS).settings
    assert settings is not None
    integration = settings.integrations["prometheus"]
    body = {
        "version": "4",
        "alerts": [{"status": "firing", "labels": {**labels, "severity": word}, "fingerprint": "1"}],
    }
    (alert,) = SOURCE.parse(orjson.dumps(body), {}, integration, NOW).alerts

    verdict = Rulebook(settings).walk(alert, integration)

    assert (verdict.severity, verdict.hold, verdict.urgency) == ("critical", None, None)
    assert len(verdict.rules) >= 1


@pytest.mark.parametrize(
    "labels",
    [{"cloud": "aws", "resource": "cpu"}, {"resource": "memory"}, {"cloud": "gcp"}, {"monitor": "a", "checker": "b"}],
)
def test_labels_that_other_tools_use_too_make_an_alert_of_prometheus_no_clouds_and_no_checkers(
    labels: dict[str, str],
) -> None:
    settings = load_alone(BENCH, PACKS).settings
    assert settings is not None
    integration = settings.integrations["prometheus"]
    labels = {"alertname": "OrdersAreLate", "severity": "warning", "region": "eu", **labels}
    body = {"version": "4", "alerts": [{"status": "firing", "labels": labels, "fingerprint": "1"}]}
    (alert,) = SOURCE.parse(orjson.dumps(body), {}, integration, NOW).alerts

    verdict = Rulebook(settings).walk(alert, integration)

    assert (verdict.rules, verdict.group_by, verdict.hold) == ((), None, None)


@pytest.mark.parametrize("label", ["cluster", "datacenter", "env", "environment", "region"])
@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
def test_what_is_not_about_one_machine_is_grouped_by_where_it_is(pack: Path, label: str) -> None:
    settings = load_alone(BENCH, [pack]).settings
    assert settings is not None
    one_thing = {"instance", "resource", "monitor"}

    assert [
        rule.name
        for rule in settings.rules
        if rule.group_by and label not in rule.group_by and not one_thing & set(rule.group_by)
    ] == []


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
async def test_the_tests_of_a_pack_hold(pack: Path) -> None:
    file = read_trials(RULES / "tests" / pack.name)
    assert [str(one) for one in file.problems] == []
    loaded = load_alone(BENCH, file.rules)

    found = [str(one) for trial in file.trials for one in await run_trial(trial, loaded)]

    assert len(file.trials) > 1
    assert found == []

"""The rule packs that Tocsin brings: clean, harmless, and each with tests that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walk.town import BASE, laid_over
from tocsin.model import Instant
from tocsin.replay.trials import BENCH, run_trial
from tocsin.settings import load, load_alone
from tocsin.settings.lint import lint
from tocsin.settings.trials import read_trials

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
def test_a_pack_is_clean_and_takes_nothing_away(pack, tmp_path):
    loaded = load_alone(BENCH, [pack])
    assert loaded.settings is not None, loaded.problems
    assert [one for one in loaded.problems if one.where.file == str(pack)] == []
    assert len(loaded.settings.rules) > 1
    assert [rule.name for rule in loaded.settings.rules if rule.drop or rule.suppress or rule.stop] == []
    assert [rule.name for rule in loaded.settings.rules if not rule.match] == []
    assert {rule.name.partition(":")[0] for rule in loaded.settings.rules} == {pack.stem}
    assert problems(laid_over(BASE, f"include: ['{pack}']"), tmp_path) == []


def test_all_packs_go_together_and_are_found_wherever_tocsin_lies(tmp_path):
    assert problems(laid_over(BASE, "include: ['shipped:rules/*.yaml']"), tmp_path) == []
    assert len(load(tmp_path / "tocsin.yaml", env={}).files) == len(PACKS) + 1


def test_what_is_not_shipped_is_an_error_at_its_line(tmp_path):
    (tmp_path / "tocsin.yaml").write_text(laid_over(BASE, "include: ['shipped:recipes/soup.yaml']"))

    found = load(tmp_path / "tocsin.yaml", env={}).problems

    assert "nothing is shipped as 'recipes/soup.yaml'; write shipped:rules/NAME.yaml" in str(found[0])


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.stem)
async def test_the_tests_of_a_pack_hold(pack):
    file = read_trials(RULES / "tests" / pack.name)
    assert [str(one) for one in file.problems] == []
    loaded = load_alone(BENCH, file.rules)

    found = [str(one) for trial in file.trials for one in await run_trial(trial, loaded)]

    assert len(file.trials) > 1
    assert found == []

"""Whatever the files hold: a report, never a traceback; and what is accepted can be linted, and rules made of it."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.settings.conftest import Folder
from tests.settings.hostile import CHAIN, DEEP, Broken, exchanged, moved, replaced
from tocsin.decide.muting.maintenance import agenda
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import instant
from tocsin.settings import LastGood, Loaded, difference, load
from tocsin.settings.review import review

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "docs" / "example.yaml").read_text()
NOW = instant(datetime(2026, 12, 1, 12, 0, tzinfo=UTC))
SAMPLE = 100
FULL = os.environ.get("TOCSIN_FULL", "") not in ("", "0")
PARTS = 16 if FULL else 1  # so that two processes can share the whole of it
MORE = """
calendars:
  mine: {timezone: Europe/Lisbon, days: [Mon, Wed], from: 22:00, to: 06:00, holidays: [2026-12-25]}
inhibitions:
  - {name: one, source: 'a="b"', target: 'c="d"', equal: x}
rules:
  - name: everything
    match: 'a!~"b|c"'
    when: 'severity == "critical" && has(labels.team)'
    set: {severity: "{{ labels.level }}", impact: low, urgency: low, priority: P3, policy: default, labels: {x: "{{ title | upper }}"}, dedup_key: "{{ labels.a }}"}
    group_by: cluster
    join_within: 1h
    hold: 2m
    resolve_after: 5m
    auto_resolve: 6h
    re_page: never
    enrich: {file: racks.csv, on: instance, set: {rack: rack}}
maintenance:
  - {name: once, match: 'a="b"', from: 2026-01-05 09:00, to: 2026-01-05 10:00, timezone: Europe/Paris}
  - {name: daily, match: 'a="b"', every: 02:00, for: 2h}
heartbeats:
  cron: {cron: "*/5 * * * *", grace: 1m, timezone: Europe/Paris, match: ['alertname="Watchdog"']}
policies:
  other: {steps: [{notify: [team:payments@oncall, managers:payments, schedule:primary@next, user:ana/sms], pick: one, only: {hours: off, urgency: [high]}}], repeat: forever, ack_timeout: never}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder in which the example is valid."""
    folder = Folder(tmp_path_factory.mktemp("hostile"))
    secrets = {name: f"secret of {name}" for name in _secrets()}
    folder.write({**secrets, "racks.csv": (ROOT / "docs" / "racks.csv").read_text(), "more.yaml": MORE})
    return folder


def _secrets() -> set[str]:
    return {line.partition("{file: ")[2].partition("}")[0] for line in EXAMPLE.replace(", ", "\n").splitlines()} - {""}


def judged(folder: Folder, text: str) -> Loaded:
    """The text as a main file: read, linted, and made into what the daemon runs on where it is accepted."""
    (folder.path / "tocsin.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    loaded = load(folder.path / "tocsin.yaml", env={})
    found = review(loaded, NOW)
    stumbled = [str(problem) for problem in found.problems if problem.code == "internal"]
    assert stumbled == [], "caught, and still an error of ours"
    if loaded.settings is None:
        errors = [problem for problem in loaded.problems if problem.level == "error"]
        assert errors
        assert all(problem.where.file and problem.where.line >= 1 and problem.where.column >= 1 for problem in errors)
    else:
        Rulebook(loaded.settings)
        agenda(loaded.settings.maintenance, NOW)
        difference(loaded.settings, loaded.settings)
    return loaded


def sample(text: str, seed: int) -> list[Broken]:
    """All there are with TOCSIN_FULL=1, else some."""
    chance = random.Random(seed)
    every = [*replaced(text), *moved(text)]
    if not FULL:
        every = chance.sample(every, min(SAMPLE, len(every)))
    return [*every, *exchanged(text, chance, 20_000 if FULL else SAMPLE // 4)]


@pytest.mark.timeout(7200 if FULL else 120)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("written", ["the example", "what it lacks"])
def test_each_value_and_section_replaced_removed_doubled_or_cut_off_is_a_report(
    desk: Folder, written: str, part: int
) -> None:
    text = EXAMPLE if written == "the example" else "include: [base.yaml]\n" + MORE
    (desk.path / "tocsin.yaml").chmod(0o600) if (desk.path / "tocsin.yaml").exists() else desk.write(
        {"tocsin.yaml": ""}
    )
    desk.write({"base.yaml": EXAMPLE.replace("include:", "# include:")})
    assert judged(desk, text).settings is not None

    for broken in sample(text, 20_261_201)[part::PARTS]:
        try:
            judged(desk, broken.text)
        except Exception as wrong:  # noqa: BLE001  # to say which one it was
            pytest.fail(f"{broken.how}: {type(wrong).__name__}: {wrong}")


EXAMPLES = [
    ("maintenance: [{name: m, match: 'a=\"b\"', every: \"Monday 02:00\", for: 2h}]\n", "1:48: every: 'Monday"),
    (f"rules: [{{name: r, set: {{title: \"{{{{{DEEP}}}}}\"}}}}]\n", "1:32: title: the template is nested"),
    (f"rules: [{{name: r, set: {{title: \"{{{{ title{CHAIN} }}}}\"}}}}]\n", "1:32: title: the template"),
    ("integrations: {a: {type: webhook, token: t, map: {title: \"%s\"}}}\n" % ("!" * 200 + "a"), "1:58: title: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_what_crashed_it_is_an_error_at_its_place(folder: Folder, text: str, said: str) -> None:
    errors = folder.errors(text)

    assert [line[: len(said)] for line in errors] == [said]


def test_a_step_that_names_only_a_channel_without_effect_is_linted(folder: Folder) -> None:
    folder.write(
        {"tocsin.yaml": "channels: {c: {type: slack, bot_token: x, signing_secret: y}}\n"
                        "policies: {default: {steps: [{notify: channel:c}]}}\n"}
    )  # fmt: skip

    assert "left-out" in {problem.code for problem in review(folder.load(), NOW).problems}


def test_the_example_written_as_json_means_the_same(desk: Folder) -> None:
    """Every scalar: words, numbers, times, and characters that JSON writes as two escapes."""
    desk.write({"tocsin.yaml": EXAMPLE.replace("Ana Pires", "Ana 🚨 Pires").replace("30m  ", "never")})
    plain = desk.settings()
    words = yaml.load((desk.path / "tocsin.yaml").read_text(), Loader=yaml.BaseLoader)

    for indent in (None, 2):
        (desk.path / "tocsin.yaml").write_text(json.dumps(words, indent=indent))
        again = desk.settings()
        changed = difference(plain, again)
        assert str(changed) == "nothing changed" or set(changed.counts) <= {"rules"}
        assert [(rule.name, rule.match, rule.set) for rule in again.rules] == [
            (rule.name, rule.match, rule.set) for rule in plain.rules
        ]


WORDS = [
    "policies: {default: {steps: [{notify: user:ana}], ack_timeout: %s}}\n",
]


@pytest.mark.parametrize("quoted", ["never", "'never'", '"never"'])
def test_a_word_may_stand_in_quotes(folder: Folder, quoted: str) -> None:
    people = "channels: {t: {type: console}}\nusers: {ana: {contacts: {t: ana}}}\n"
    folder.write({"tocsin.yaml": people + WORDS[0] % quoted})

    assert folder.settings().policies["default"].ack_timeout is None


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_report(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    main = tmp_path_factory.mktemp("bytes") / "tocsin.yaml"
    main.write_bytes(raw)
    main.chmod(0o600)

    review(load(main, env={}), NOW)


@pytest.mark.timeout(60)
def test_large_files_are_read_or_refused_in_bearable_time(folder: Folder) -> None:
    many = "".join(f"  person-{number}: {{contacts: {{mial-{number}: a@example.org}}}}\n" for number in range(3_000))
    folder.write({"tocsin.yaml": f"channels: {{mail: {{type: console}}}}\nusers:\n{many}"})

    assert len(folder.load().problems) == 1_000
    (folder.path / "tocsin.yaml").write_text("rules:\n" + "# x\n" * 3_000_000)
    assert folder.errors((folder.path / "tocsin.yaml").read_text())[0].startswith("1:1: this file has 4194305 bytes")


def test_an_error_of_ours_costs_its_own_value_only(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> bool:
        raise RuntimeError("of ours")

    monkeypatch.setattr("tocsin.settings.sections.muting._has_length", stumble)
    window = "maintenance: [{name: m, match: 'a=\"b\"', from: 2026-01-05 09:00, to: 2026-01-05 10:00}]\n"
    errors = folder.errors(f"{window}policies: {{p: {{steps: [{{notify: user:anna}}]}}}}\n")

    assert errors == [
        "1:15: maintenance: Tocsin cannot read this (RuntimeError: of ours); write it another way, and report this as a bug",
        "2:33: notify: no such user 'anna'",
    ]


def test_an_error_of_ours_in_the_lint_leaves_the_rest_of_it(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr("tocsin.settings.lint.schedules._gaps", stumble)
    folder.write({"tocsin.yaml": "policies: {unused: {steps: [{notify: user:ana}]}}\nusers: {ana: {}}\n"})

    assert {"internal", "unused"} <= {problem.code for problem in review(folder.load(), NOW).problems}


def test_whatever_reading_does_it_is_a_report(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As a library written in Rust raises it."""

    for bug in (RecursionError, MemoryError, SystemError, PanicException):

        def stumble(*_: object, bug: type[BaseException] = bug) -> None:
            raise bug

        monkeypatch.setattr("tocsin.settings.reader._merge", stumble)
        loaded = folder.write({"tocsin.yaml": "users: {}\n"}).load()
        assert [problem.code for problem in loaded.problems] == ["internal"]
        assert loaded.settings is None
        assert review(loaded, NOW).problems == loaded.problems


@pytest.mark.parametrize("kept", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"main": 1}', b'{"main": "/x", "files": 7}'])
def test_a_last_good_copy_that_is_broken_is_none(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "last-good.json").write_bytes(kept)

    assert LastGood(tmp_path, env={}).load() is None

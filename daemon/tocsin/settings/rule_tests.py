"""Tests of rules as their authors write them: alerts that come, and what is expected to become of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tocsin.model import EMPTY, MINUTE, Millis, Problem, Where
from tocsin.settings.document import nodes
from tocsin.settings.document.nodes import MAX_BYTES, Node, Scalar, Sequence, Tree, read_tree
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import local_time
from tocsin.settings.document.shapes import (
    BROKEN,
    Choice,
    Either,
    Flag,
    Got,
    Key,
    Many,
    Never,
    Nothing,
    Record,
    Shape,
    Table,
    WholeNumber,
    Word,
    text,
)
from tocsin.settings.document.trusted_files import Unreadable, read_whole
from tocsin.settings.plugins import INSTALLED
from tocsin.settings.sections.plugin_options import DURATION
from tocsin.settings.sections.shared import LINE, PRIORITY, SEVERITY

START = "2026-01-05T12:00"  # a Monday
AFTER = 60 * MINUTE  # a test goes on for so long after its last alert
NEVER = Millis(-1)  # of `paged: never`
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class TrialAlert:
    """An alert of a test. `body`: as posted, where the test wrote a payload; else `parts` of an alert."""

    where: Where
    at: Millis
    integration: str | None
    body: Any
    parts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """Expectations of one incident; keys that are not written are not looked at. `places`: where each stands."""

    where: Where
    values: Mapping[str, Any]
    places: Mapping[str, Where]


@dataclass(frozen=True, slots=True)
class Trial:
    """A test of the rules. `start` is a local time of the configuration's default zone."""

    where: Where
    name: str
    start: str
    until: Millis
    integration: str | None
    alerts: tuple[TrialAlert, ...]
    incidents: tuple[Expected, ...] | None
    totals: Expected


@dataclass(frozen=True, slots=True)
class TrialFile:
    """`rules`: files whose rules are tested instead of the configuration's."""

    path: Path
    rules: tuple[Path, ...]
    trials: tuple[Trial, ...]
    problems: tuple[Problem, ...] = field(default=())


class _Json(Shape[Any]):
    """A shape for any JSON value; unquoted numbers, true, false and null are what they are in JSON."""

    def read(self, node: Node, reading: Reading) -> Any:
        return as_json(node)

    def schema(self) -> dict[str, Any]:
        return {}


def as_json(node: Node) -> Any:
    match node:
        case Scalar():
            return _scalar(node)
        case Sequence():
            return [as_json(item) for item in node.items]
        case nodes.Mapping():
            return {key: as_json(value) for key, value in node.entries.items()}
        case _:
            return None


def _scalar(node: Scalar) -> Any:
    if node.empty:
        return None
    if node.plain and node.text in ("true", "false"):
        return node.text == "true"
    if node.plain and (found := _NUMBER.fullmatch(node.text)):
        return float(node.text) if found[2] or found[3] else int(node.text)
    return node.text


def _length(written: str) -> Millis:
    return Millis(0) if written == "0" else DURATION.parse(written)


LENGTH = Word(_length, "a time from the start of the test, as 2m or 1h30m")
START_TIME = Word(local_time, "a local time", "", "2026-01-05 09:00")
PARTS = ("status", "dedup_key", "title", "description", "severity", "service", "source", "labels", "annotations")


def _coming(got: Got, reading: Reading) -> TrialAlert | Nothing:
    parts = {name: got.get(name) for name in PARTS if name in got.values}
    if got.has("payload") and parts:
        reading.error(got.at(next(iter(parts))), "both", "stands beside a payload, which says everything itself")
        return BROKEN
    if not got.has("payload") and not ({"title", "labels"} & parts.keys()) and parts.get("status") != "resolved":
        reading.error(got.node, "empty", "this alert says nothing; write a title, labels or a payload")
        return BROKEN
    return TrialAlert(got.node.at, got.get("at", Millis(0)), got.get("integration"), got.get("payload"), parts or EMPTY)


ALERT = Record(
    "an alert",
    {
        "at": Key(LENGTH, "when it comes, from the start of the test", shown="0s"),
        "integration": Key(LINE, "whose alert it is", shown="the test's"),
        "payload": Key(_Json(), "the body as the source posts it"),
        "status": Key(Choice(("firing", "resolved")), "whether it fires or has ended", shown="firing"),
        "dedup_key": Key(LINE, "its identity", shown="made of its labels, else of its title"),
        "title": Key(LINE, "the title"),
        "description": Key(text(), "the description"),
        "severity": Key(SEVERITY, "the severity"),
        "service": Key(LINE, "the service"),
        "source": Key(LINE, "the thing that reports"),
        "labels": Key(Table(Word(lambda written: written, "a text")), "the labels"),
        "annotations": Key(Table(Word(lambda written: written, "a text")), "of an Alertmanager's alert"),
    },
    _coming,
)

PAGED: Shape[Any] = Never(
    Either(
        mapped=Record(
            "a first page",
            {
                "after": Key(LENGTH, "how long after the incident opened"),
                "who": Key(Many(LINE, alone=True), "users, or channel:NAME for a channel target"),
            },
            lambda got, _reading: dict(got.values),
        ),
        word=LENGTH,
    ),
    "never",
    NEVER,
)


def _expected(got: Got, _reading: Reading) -> Expected:
    places = {name: node.key_at for name, node in got.node.entries.items()}
    return Expected(got.node.at, dict(got.values), places)


INCIDENT = Record(
    "an incident",
    {
        "key": Key(LINE, "its key"),
        "title": Key(LINE, "its title"),
        "service": Key(text("a service", longest=500), "its service"),
        "severity": Key(SEVERITY, "its severity"),
        "priority": Key(PRIORITY, "its priority"),
        "status": Key(Choice(("triggered", "acknowledged", "resolved", "canceled")), "how it stands at the end"),
        "alerts": Key(WholeNumber(0), "how many alerts it has"),
        "self_healed": Key(Flag(), "whether it ended before anybody was paged"),
        "paged": Key(PAGED, "`never`, or when and whom the first page went to: {after: 2m, who: [ana]}"),
        "pages": Key(WholeNumber(0), "how many pages went out"),
    },
    _expected,
)

EXPECT = Record(
    "what is expected",
    {
        "incidents": Key(Many(INCIDENT), "every incident, in the order they opened"),
        "without_incident": Key(WholeNumber(0), "how many alerts are kept without an incident"),
        "pages": Key(WholeNumber(0), "how many pages go out in all"),
    },
    _expected,
)


def _trial(got: Got, reading: Reading) -> Trial | Nothing:
    alerts: tuple[TrialAlert, ...] = got.get("alerts", ())
    for before, after in itertools.pairwise(alerts):
        if after.at < before.at:
            message = "at: comes before the alert above it; write them in order of time"
            reading.note("error", after.where, "order", message)
            return BROKEN
    expected: Expected = got.get("expect")
    last = alerts[-1].at if alerts else Millis(0)
    until = got.get("until", Millis(last + AFTER))
    if until < last:
        reading.error(got.at("until"), "order", "ends before the last alert comes")
        return BROKEN
    return Trial(
        got.node.at, got.get("name"), got.get("start", START), until, got.get("integration"), alerts,
        expected.values.get("incidents"), expected,
    )  # fmt: skip


TRIAL = Record(
    "a test",
    {
        "name": Key(LINE, "what holds, as a sentence", required=True),
        "start": Key(START_TIME, "when it begins, in the default zone", shown="2026-01-05 12:00"),
        "until": Key(LENGTH, "when it ends", shown="an hour after the last alert"),
        "integration": Key(LINE, "whose alerts these are", shown="the file's"),
        "alerts": Key(Many(ALERT, least=1), "what comes, in order of time", required=True),
        "expect": Key(EXPECT, "what becomes of it", required=True),
    },
    _trial,
)

FILE = Record(
    "a file of tests",
    {
        "rules": Key(Many(LINE, alone=True), "files whose rules are tested, instead of the configuration's"),
        "integration": Key(LINE, "whose alerts these are"),
        "tests": Key(Many(TRIAL, least=1), "the tests", required=True),
    },
    lambda got, _reading: got,
)


def _tree(path: Path, shown: str) -> Tree:
    try:
        return read_tree(read_whole(path, MAX_BYTES).raw, shown)
    except Unreadable as wrong:
        return Tree(None, (Problem(Where(shown, 1, 1), "error", "file", wrong.of(shown)),), broken=True)


def read_trials(path: Path) -> TrialFile:
    """The tests of one file; with problems there are none."""
    shown = str(path)
    tree = _tree(path, shown)
    reading = Reading({}, INSTALLED, incomplete=tree.broken)
    reading.problems.extend(tree.problems)
    got = FILE.read(tree.top, reading) if tree.top is not None else BROKEN
    if reading.failed or isinstance(got, Nothing):
        return TrialFile(path, (), (), tuple(reading.problems))
    rules = tuple(path.parent / name for name in got.get("rules", ()))
    integration = got.get("integration")
    trials = tuple(_of(one, integration) for one in got.get("tests"))
    return TrialFile(path, rules, trials, _without_integration(trials))


def _of(trial: Trial, integration: str | None) -> Trial:
    default = trial.integration or integration
    alerts = tuple(replace(one, integration=one.integration or default) for one in trial.alerts)
    return replace(trial, integration=default, alerts=alerts)


def _without_integration(trials: tuple[Trial, ...]) -> tuple[Problem, ...]:
    return tuple(
        Problem(one.where, "error", "missing-key", "'integration' is missing here, in its test and in its file")
        for trial in trials
        for one in trial.alerts
        if one.integration is None
    )

"""Section rules: what each rule may say. `decide/routing/rules.py` compiles and walks them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tocsin.decide.routing import conditions
from tocsin.model import DAY, SEVERITIES, Flap, Rule, RuleSet, Threshold
from tocsin.settings.document.nodes import Mapping, Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import did_you_mean, nearest
from tocsin.settings.document.shapes import (
    BROKEN,
    Choice,
    Either,
    Flag,
    Got,
    Key,
    Many,
    Nothing,
    Record,
    Shape,
    Table,
    WholeNumber,
    Word,
    text,
)
from tocsin.settings.sections import lookups
from tocsin.settings.sections.plugin_options import DURATION
from tocsin.settings.sections.shared import IMPACT, LINE, MATCHERS, PRIORITY, SOME_TIME, TEMPLATE, URGENCY, is_template


class _Existing(Shape[str]):
    """A template, or the literal name of something that must exist."""

    def __init__(self, section: str) -> None:
        self.section = section

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        written = TEMPLATE.read(node, reading)
        if isinstance(written, Nothing) or is_template(written):
            return written
        return written if reading.knows(node, self.section, written) else BROKEN

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": f"a name out of {self.section}, or a template"}


class _Severity(Shape[str]):
    """A template, or one of the four words."""

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        written = TEMPLATE.read(node, reading)
        if isinstance(written, Nothing) or is_template(written) or written in SEVERITIES:
            return written
        instead = nearest(written, SEVERITIES) or " or ".join(SEVERITIES)
        reading.error(node, "bad-value", f"'{written}' is not a severity; write {instead}")
        return BROKEN

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(SEVERITIES)}, {"type": "string", "pattern": r"\{[{%]"}]}


class _Category(Shape[str]):
    """A template or text; where `categories` exists, one of these."""

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        written = TEMPLATE.read(node, reading)
        known = list(reading.names("categories"))
        if isinstance(written, Nothing) or is_template(written) or not known or written in known:
            return written
        reading.error(node, "unknown-name", f"no such category '{written}'{did_you_mean(written, known)}")
        return BROKEN

    def schema(self) -> dict[str, Any]:
        return TEMPLATE.schema()


_SET = Record(
    "what the rule sets",
    {
        "service": Key(_Existing("services"), "the service; a template may name one that is not configured"),
        "severity": Key(_Severity(), "the severity"),
        "impact": Key(IMPACT, "the impact, instead of the service's"),
        "urgency": Key(URGENCY, "the urgency, instead of the severity's"),
        "priority": Key(PRIORITY, "the priority, instead of the table's"),
        "category": Key(_Category(), "the category"),
        "title": Key(TEMPLATE, "the title"),
        "policy": Key(_Existing("policies"), "who is paged, instead of the service's policy"),
        "labels": Key(Table(TEMPLATE), "labels to add or replace"),
        "dedup_key": Key(TEMPLATE, "what makes alerts one incident"),
    },
    lambda got, _reading: RuleSet(**{**got.values, "labels": MappingProxyType(got.get("labels", {}))}),
)

_THRESHOLD = Record(
    "a threshold",
    {
        "count": Key(WholeNumber(2, 10_000), "so many firings …", required=True),
        "within": Key(SOME_TIME, "… within this time", required=True),
    },
    lambda got, _reading: Threshold(**got.values),
)

_FLAP = Record(
    "a flap",
    {
        "changes": Key(WholeNumber(2, 1_000), "so many changes between firing and resolved …", required=True),
        "within": Key(SOME_TIME, "… within this time", required=True),
        "settle": Key(SOME_TIME, "quiet for so long: no longer flapping", shown="15m"),
    },
    lambda got, _reading: Flap(**got.values),
)

_ENRICH: Shape[Any] = Either(
    word=lookups.KnownLookup(), mapped=Record("an enrichment", lookups.KEYS, lookups.enrichment)
)


def _condition(written: str) -> str:
    return conditions.condition(written).source


CONDITION = Word(_condition, "a CEL expression", "", 'severity == "critical" && has(labels.team)')


def _rule(got: Got, reading: Reading) -> Rule:
    for silent in ("drop", "suppress"):
        for key in ("threshold", "flap", "resolve_after"):
            if got.get(silent) and got.has(key):
                message = f"has no effect beside {silent}: true, which opens no incident; leave one of them out"
                reading.error(got.at(key), "contradiction", message)
    return Rule(
        name=got.get("name"),
        match=got.get("match", ()),
        set=got.get("set", RuleSet()),
        group_by=got.get("group_by"),
        join_within=got.get("join_within", DAY),
        hold=got.get("hold"),
        drop=got.get("drop", False),
        suppress=got.get("suppress", False),
        stop=got.get("stop", False),
        re_page=got.get("re_page"),
        auto_resolve=got.get("auto_resolve"),
        when=got.get("when"),
        resolve_after=got.get("resolve_after"),
        threshold=got.get("threshold"),
        flap=got.get("flap"),
        enrich=got.get("enrich"),
        where=got.node.at,
    )


RULE = Record(
    "a rule",
    {
        "name": Key(LINE, "unique; shown wherever the rule acted", required=True),
        "match": Key(MATCHERS, "Alertmanager matchers, all must hit", shown="every alert"),
        "when": Key(CONDITION, "a CEL expression that must be true as well (extra `cel`)"),
        "set": Key(_SET, "what a match sets; a later rule wins"),
        "group_by": Key(Many(text("a label's name"), alone=True), "alerts with the same values join one incident"),
        "join_within": Key(SOME_TIME, "later alerts open a new incident", shown="24h"),
        "hold": Key(DURATION, "wait so long before paging; healed by then: nobody is paged"),
        "resolve_after": Key(DURATION, "a resolve counts when it stayed quiet for so long after it"),
        "auto_resolve": Key(SOME_TIME, "resolve an alert that was not repeated for so long"),
        "threshold": Key(_THRESHOLD, "page only in bulk"),
        "flap": Key(_FLAP, "an alert that comes and goes pages once"),
        "enrich": Key(_ENRICH, "add labels out of a table, before `set`"),
        "drop": Key(Flag(), "keep nothing of it, end the walk", shown="false"),
        "suppress": Key(Flag(), "keep the alert, open no incident", shown="false"),
        "stop": Key(Flag(), "end the walk here", shown="false"),
        "re_page": Key(
            Choice(("raise", "any", "never")), "which joins page an acknowledged incident again", shown="raise"
        ),
    },
    _rule,
)

RULES = Many(RULE)


def check_names(nodes: list[Node], reading: Reading) -> None:
    """A rule's name names it in timelines and in `explain`, so each is unique."""
    seen: dict[str, Node] = {}
    for node in nodes:
        name = node.entries.get("name") if isinstance(node, Mapping) else None
        if not isinstance(name, Scalar):
            continue
        first = seen.setdefault(name.text, name)
        if first is not name:
            reading.error(name, "duplicate-name", f"a rule '{name.text}' exists already ({first.at}); names are unique")

"""Rules and their verdict on an alert: all that match apply, top to bottom; a later `set` wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from tocsin.decide.routing.alert_terms import Terms
from tocsin.decide.routing.conditions import Condition, condition
from tocsin.decide.routing.matchers import Matcher, parse
from tocsin.decide.routing.rule_index import Memory, Sieve
from tocsin.decide.routing.template_size import clipped, clipped_labels
from tocsin.decide.routing.templates import INPUTS, Broken, Template, Text, template
from tocsin.decide.text import TITLE, clean
from tocsin.decide.views import in_words
from tocsin.model import (
    DAY,
    EMPTY,
    SEVERITIES,
    Alert,
    Enrich,
    Flap,
    Impact,
    IntegrationConfig,
    Millis,
    Priority,
    Rule,
    Settings,
    Severity,
    Threshold,
    Urgency,
)

RAW_FIELDS = ("severity", "service", "title", "description", "source")
"""Fields an alert brings; rules may match on these, on `integration`, and on what rules set."""

IDENTITIES = frozenset({"dedup_key", "service"})
"""Texts of a rule that tell things apart, besides labels: one that is too long ends in a hash instead of being cut."""

_WORTH_KEEPING = 4096  # characters of one remembered label set: a sender must not choose how much we remember
_DESKS = 1024


class Verdict(NamedTuple):
    """Verdict: an alert after its integration's defaults and all rules. A tuple, since one is made per alert."""

    rules: tuple[str, ...]  # names of those that applied, in order
    severity: Severity
    service: str
    title: str
    category: str
    labels: Mapping[str, str]
    impact: Impact | None
    urgency: Urgency | None
    priority: Priority | None
    policy: str | None
    group_by: tuple[str, ...] | None
    join_within: Millis
    dedup_key: str | None
    hold: Millis | None
    auto_resolve: Millis | None
    re_page: str  # "raise", "any", "never"
    dropped_by: str | None
    suppressed_by: str | None
    errors: tuple[tuple[str, str], ...]  # (rule, what went wrong): counted by the caller, never raised
    written: frozenset[str] = frozenset()  # fields that a rule set: a bare name means these first
    terms: Terms | None = None  # threshold, flap, resolve_after; None where no rule says any of it
    source: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """Whether one rule applied, and why or why not."""

    name: str
    matched: bool
    because: str


class Rulebook:
    """The compiled rules of one configuration. Not shared between threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for a matcher or template that does not parse (settings/ refuses these before)."""
        self._rules = tuple(_Compiled(position, rule) for position, rule in enumerate(settings.rules))
        self._severity: Severity = settings.defaults.severity
        self._categories = frozenset(settings.categories)
        self._sieves = _sieves(self._rules)
        self._desks: dict[int, _Desk] = {}

    def walk(self, alert: Alert, integration: IntegrationConfig) -> Verdict:
        """The verdict on `alert`. Remembered for all alerts that look alike to the rules; bounded."""
        desk = self._desks.get(id(integration)) or self._open(integration)
        return desk.verdict(alert)

    def trace(self, alert: Alert, integration: IntegrationConfig) -> tuple[Traced, ...]:
        """Every rule in order, with yes or no and why; the same answers as `walk`, worked out one by one."""
        draft = _Desk(self, integration).draft(alert)
        return tuple(self._traced(draft))

    def _traced(self, draft: _Draft) -> Iterator[Traced]:
        over = ""
        for rule in self._rules:
            known = len(draft.errors)
            because = over or rule.missed(draft)
            if because:
                yield Traced(rule.name, False, because)
                continue
            draft.apply(rule)
            if rule.ends:
                over = f"not reached: {rule.name!r} {'dropped the alert' if rule.drop else 'ended the walk'}"
            yield Traced(rule.name, True, rule.hit(draft.errors[known:]))

    def _open(self, integration: IntegrationConfig) -> _Desk:
        if len(self._desks) >= _DESKS:
            self._desks.clear()
        desk = self._desks[id(integration)] = _Desk(self, integration)
        return desk

    def apply_all(self, draft: _Draft) -> None:
        """Apply every rule that matches `draft`, in order, until one ends the walk."""
        sieves = self._sieves
        refused = [sieve.refuses(draft.value(name)) for name, sieve in sieves]
        left = _left((1 << len(self._rules)) - 1, refused)
        while left:
            lowest = left & -left
            rule = self._rules[lowest.bit_length() - 1]
            left &= ~lowest
            if rule.when is not None and not rule.holds(rule.when, draft):
                continue
            draft.apply(rule)
            if rule.ends:
                return
            if rule.touches:
                for which in rule.touches:
                    name, sieve = sieves[which]
                    refused[which] = sieve.refuses(draft.value(name))
                left = _left(-(lowest << 1) & ((1 << len(self._rules)) - 1), refused)

    @property
    def rules(self) -> tuple[_Compiled, ...]:
        return self._rules

    @property
    def categories(self) -> frozenset[str]:
        """Names that a template may name; empty: any text."""
        return self._categories

    @property
    def default_severity(self) -> Severity:
        return self._severity


def value_of(verdict: Verdict, alert: Alert, integration_name: str) -> Callable[[str], str]:
    """Value of a matcher's name after the rules: for silences, inhibitions and maintenance."""
    fields = {**fields_of(verdict, integration_name), "description": alert.description, "source": alert.source}
    return lambda name: meaning(name, fields, verdict.labels, verdict.written)


def fields_of(verdict: Verdict, integration_name: str) -> dict[str, str]:
    """The fields of an alert after the rules, by name; what is not set is ""."""
    return {
        "severity": verdict.severity,
        "service": verdict.service,
        "title": verdict.title,
        "category": verdict.category,
        "impact": verdict.impact or "",
        "urgency": verdict.urgency or "",
        "priority": verdict.priority or "",
        "policy": verdict.policy or "",
        "source": verdict.source,
        "integration": integration_name,
    }


def meaning(name: str, fields: Mapping[str, str], labels: Mapping[str, str], written: Iterable[str]) -> str:
    """A bare name: what a rule set, else the label, else the field; `label.x` and `field.x` say which.

    An empty label is a missing one, as in Alertmanager.
    """
    if name.startswith("label."):
        return labels.get(name[6:], "")
    if name.startswith("field."):
        return fields.get(name[6:], "")
    if name in written:
        return fields[name]
    return labels.get(name) or fields.get(name, "")


class _Compiled:
    """A rule ready to be applied."""

    __slots__ = (
        "auto_resolve", "changes", "drop", "ends", "enrich", "fixed", "fixed_labels", "flap", "group_by", "hold",
        "join_within", "labels", "matchers", "name", "names_things", "position", "re_page", "resolve_after", "suppress",
        "terms", "texts", "threshold", "touches", "when", "where",
    )  # fmt: skip

    def __init__(self, position: int, rule: Rule) -> None:
        self.position = position
        self.name = rule.name
        self.where = rule.where
        self.matchers = tuple(_of_rule(rule, parse, text) for text in rule.match)
        self.when: Condition | None = None if rule.when is None else _of_rule(rule, condition, rule.when)
        texts = tuple((field, _of_rule(rule, template, text)) for field, text in _texts(rule))
        labels = tuple((label, _of_rule(rule, template, text)) for label, text in rule.set.labels.items())
        self.texts = tuple(pair for pair in texts if not _is_fixed(*pair))
        self.fixed = (*_fixed(rule), *((field, text.source.strip()) for field, text in texts if _is_fixed(field, text)))
        self.labels = tuple(pair for pair in labels if not pair[1].plain)
        self.fixed_labels = {label: text.source for label, text in labels if text.plain}
        self.names_things = bool(self.labels) or any(field in IDENTITIES for field, _ in self.texts)
        self.changes = frozenset(field for field, _ in (*self.texts, *self.fixed))
        self.group_by = rule.group_by
        self.join_within = rule.join_within if rule.group_by is not None or rule.join_within != DAY else None
        self.hold = rule.hold
        self.auto_resolve = rule.auto_resolve
        self.re_page = rule.re_page
        self.enrich = rule.enrich
        self.threshold = rule.threshold and replace(rule.threshold, rule=rule.name)
        self.flap = rule.flap and replace(rule.flap, rule=rule.name)
        self.resolve_after = rule.resolve_after
        self.terms = (rule.threshold, rule.flap, rule.resolve_after) != (None, None, None)
        self.drop = rule.drop
        self.suppress = rule.suppress
        self.ends = rule.drop or rule.stop
        self.touches: tuple[int, ...] = ()  # sieves whose value this rule may change

    def templates(self) -> Iterator[Template]:
        yield from (text for _, text in (*self.texts, *self.labels))

    def may_change(self, name: str) -> bool:
        """Whether the meaning of `name` in a matcher may be another one after this rule."""
        labels = {label for label, _ in self.labels} | self.fixed_labels.keys()
        if self.enrich is not None:
            labels |= self.enrich.set.keys()
        if name.startswith("label."):
            return name[6:] in labels
        return name.removeprefix("field.") in self.changes or name in labels

    def holds(self, when: Condition, draft: _Draft) -> bool:
        """Whether its `when` is true; one that cannot be told is not, and is counted."""
        found = when.holds(draft.labels, draft.fields)
        if found.error:
            draft.errors.append((self.name, f"when: {found.error}"))
        return found.holds

    def missed(self, draft: _Draft) -> str:
        """Reason why the rule does not match; "" when it does."""
        for matcher in self.matchers:
            if not matcher.hits(draft.value):
                return f"{matcher.text} does not fit: {_said(matcher.name, draft.value(matcher.name))}"
        if self.when is not None and not self.holds(self.when, draft):
            failed = draft.errors[-1:] and draft.errors[-1][0] == self.name
            return draft.errors[-1][1] if failed else f"when: {self.when.source} is not true"
        return ""

    def hit(self, errors: Iterable[tuple[str, str]]) -> str:
        asked = [matcher.text for matcher in self.matchers] + ([f"when {self.when.source}"] if self.when else [])
        because = " and ".join(asked) or "it matches every alert"
        return "; ".join((because, *self.also(), *(error for _, error in errors)))

    def also(self) -> Iterator[str]:
        """Effects beyond `set`, where that is not seen from the alert alone."""
        if self.enrich is not None:
            yield f"enrich: looks up {self.enrich.on} in {self.enrich.file}"
        if self.threshold is not None:
            yield f"threshold: {self.threshold.count} within {in_words(self.threshold.within)}"
        if self.flap is not None:
            yield f"flap: {self.flap.changes} changes within {in_words(self.flap.within)}"
        if self.resolve_after is not None:
            yield f"resolve_after: {in_words(self.resolve_after)}"


class _Draft:
    """Alert while the rules are at it."""

    __slots__ = (
        "auto_resolve", "categories", "dropped_by", "errors", "fields", "flap", "group_by", "hold", "join_within",
        "labels", "labels_set", "re_page", "resolve_after", "rules", "suppressed_by", "threshold", "written",
    )  # fmt: skip

    def __init__(
        self,
        fields: dict[str, str],
        labels: Mapping[str, str],
        auto_resolve: Millis | None,
        categories: frozenset[str] = frozenset(),
    ) -> None:
        self.categories = categories
        self.fields = fields
        self.labels = labels
        self.labels_set: dict[str, str] = {}
        self.written: set[str] = set()
        self.rules: list[str] = []
        self.errors: list[tuple[str, str]] = []
        self.group_by: tuple[str, ...] | None = None
        self.join_within = DAY
        self.hold: Millis | None = None
        self.auto_resolve = auto_resolve
        self.re_page = "raise"
        self.dropped_by: str | None = None
        self.suppressed_by: str | None = None
        self.threshold: Threshold | None = None
        self.flap: Flap | None = None
        self.resolve_after: Millis | None = None

    def value(self, name: str) -> str:
        return meaning(name, self.fields, self.labels, self.written)

    def apply(self, rule: _Compiled) -> None:
        """Everything the rule sets, its texts rendered from what held before it."""
        self.rules.append(rule.name)
        if rule.enrich is not None:
            self._enrich(rule.enrich)
        if rule.texts or rule.labels:
            self._write(rule)
        for field, value in rule.fixed:
            self._set(field, value)
        if rule.fixed_labels:
            self._add_labels(rule.fixed_labels)
        if rule.group_by is not None:
            self.group_by = rule.group_by
        if rule.join_within is not None:
            self.join_within = rule.join_within
        if rule.hold is not None:
            self.hold = rule.hold
        if rule.auto_resolve is not None:
            self.auto_resolve = rule.auto_resolve
        if rule.re_page is not None:
            self.re_page = rule.re_page
        if rule.terms:
            self._set_terms(rule)
        if rule.drop:
            self.dropped_by = rule.name
        if rule.suppress and self.suppressed_by is None:
            self.suppressed_by = rule.name

    @property
    def terms(self) -> Terms | None:
        if self.threshold is None and self.flap is None and not self.resolve_after:
            return None
        return Terms(self.threshold, self.flap, self.resolve_after or None)

    def _set_terms(self, rule: _Compiled) -> None:
        if rule.threshold is not None:
            self.threshold = rule.threshold
        if rule.flap is not None:
            self.flap = rule.flap
        if rule.resolve_after is not None:
            self.resolve_after = rule.resolve_after

    def _enrich(self, enrich: Enrich) -> None:
        """Labels out of the row of this alert, if there is one; an empty cell says nothing."""
        row = enrich.rows.get(self.value(enrich.on))
        if row is not None:
            self._add_labels({label: row[column] for label, column in enrich.set.items() if row.get(column)})

    def _write(self, rule: _Compiled) -> None:
        inputs = self._inputs(identity=False)
        whole = self._inputs(identity=True) if rule.names_things else inputs
        fields = [
            (field, self._text(rule, field, text, whole if field in IDENTITIES else inputs))
            for field, text in rule.texts
        ]
        labels = [(label, self._text(rule, f"labels.{label}", text, whole)) for label, text in rule.labels]
        for field, said in fields:
            if said:
                self._set(field, said)
        self._add_labels({label: said for label, said in labels if said is not None})

    def _inputs(self, *, identity: bool) -> dict[str, Any]:
        inputs: dict[str, Any] = {name: clipped(self.fields.get(name, ""), name, identity=identity) for name in INPUTS}
        inputs["labels"] = clipped_labels(self.labels, identity=identity)
        return inputs

    def _add_labels(self, more: Mapping[str, str]) -> None:
        self.labels_set.update(more)
        self.labels = {**self.labels, **more}

    def _set(self, field: str, value: str) -> None:
        self.fields[field] = value
        self.written.add(field)

    def _text(self, rule: _Compiled, what: str, text: Template, inputs: Mapping[str, Any]) -> str | None:
        """Text of the template, or None with the error noted: then the earlier value stays."""
        match text.render(inputs, identity=what in IDENTITIES or what.startswith("labels.")):
            case Broken(because):
                self.errors.append((rule.name, f"{what}: {because}"))
            case Text("") if not what.startswith("labels."):
                self.errors.append((rule.name, f"{what}: the template says nothing for this alert"))
            case Text(said) if what == "severity" and said not in SEVERITIES:
                self.errors.append((rule.name, f"severity: {said!r} is none of {', '.join(SEVERITIES)}"))
            case Text(said) if what == "category" and self.categories and said not in self.categories:
                known = ", ".join(sorted(self.categories))
                self.errors.append((rule.name, f"category: {said[:80]!r} is none of {known}"))
            case Text(said):
                return said
        return None


class _Outcome(NamedTuple):
    """Changes by the rules for all alerts that look alike to them; None leaves the alert's own."""

    rules: tuple[str, ...]
    severity: Severity | None
    service: str | None
    title: str | None
    category: str
    labels: Mapping[str, str]
    rest: tuple[Any, ...]  # impact and all that follows in a Verdict, up to `written`


class _Desk:
    """Judge of the alerts of one integration: its defaults, and what was decided lately."""

    __slots__ = (
        "_all_labels", "_book", "_defaults", "_fields", "_labels", "_memory", "_overrides", "_plain_labels",
        "_severity", "integration",
    )  # fmt: skip

    def __init__(self, book: Rulebook, integration: IntegrationConfig) -> None:
        self.integration = integration  # held, so that its id() stays its own
        self._book = book
        self._defaults = dict(integration.defaults)
        self._overrides = dict(integration.overrides)
        self._severity: Severity = self._defaults.get("severity") or book.default_severity
        self._plain_labels = not self._defaults.get("labels") and not self._overrides.get("labels")
        self._labels, self._fields, self._all_labels = _watched(book.rules)
        self._memory = Memory()

    def verdict(self, alert: Alert) -> Verdict:
        key = self._key(alert)
        outcome: _Outcome | None = self._memory.get(key)
        if outcome is None:
            outcome = self._decide(alert)
            if _length(key) <= _WORTH_KEEPING:
                self._memory.put(key, outcome)
        rules, severity, service, title, category, labels_set, rest = outcome
        labels = alert.labels if self._plain_labels else self._own_labels(alert)
        return Verdict._make(
            (
                rules,
                severity or self._own_severity(alert),
                service or self._own_service(alert),
                title or alert.title,
                category,
                {**labels, **labels_set} if labels_set else labels,
                *rest,
                alert.source,
            )
        )

    def draft(self, alert: Alert) -> _Draft:
        """The alert with its integration's defaults and `set`, before any rule."""
        fields = {
            "severity": self._own_severity(alert),
            "service": self._own_service(alert),
            "title": alert.title,
            "description": alert.description,
            "source": alert.source,
            "integration": self.integration.name,
        }
        policy = self._overrides.get("policy") or self._defaults.get("policy")
        if policy:
            fields["policy"] = policy
        return _Draft(fields, self._own_labels(alert), self.integration.auto_resolve, self._book.categories)

    def _key(self, alert: Alert) -> tuple[Any, ...]:
        """Values that any rule could look at. What none looks at does not make an alert a new one."""
        if self._all_labels:
            return (*sorted(alert.labels.items()), *[getattr(alert, field) for field in self._fields])
        if not self._fields:
            return tuple(map(alert.labels.get, self._labels))
        return (*map(alert.labels.get, self._labels), *[getattr(alert, field) for field in self._fields])

    def _decide(self, alert: Alert) -> _Outcome:
        draft = self.draft(alert)
        self._book.apply_all(draft)
        fields, written = draft.fields, draft.written
        return _Outcome(
            rules=tuple(draft.rules),
            severity=cast(Severity, fields["severity"]) if "severity" in written else None,
            service=fields["service"] if "service" in written else None,
            title=fields["title"] if "title" in written else None,
            category=clean(fields.get("category", ""), TITLE),
            labels=draft.labels_set,
            rest=(
                fields.get("impact"),
                fields.get("urgency"),
                fields.get("priority"),
                fields.get("policy"),
                draft.group_by,
                draft.join_within,
                fields.get("dedup_key"),
                draft.hold,
                draft.auto_resolve,
                draft.re_page,
                draft.dropped_by,
                draft.suppressed_by,
                tuple(draft.errors),
                frozenset(written),
                draft.terms,
            ),
        )

    def _own_severity(self, alert: Alert) -> Severity:
        return self._overrides.get("severity") or alert.severity or self._severity

    def _own_service(self, alert: Alert) -> str:
        return self._overrides.get("service") or alert.service or self._defaults.get("service") or ""

    def _own_labels(self, alert: Alert) -> Mapping[str, str]:
        if self._plain_labels:
            return alert.labels
        defaults, overrides = self._defaults.get("labels") or EMPTY, self._overrides.get("labels") or EMPTY
        return {**defaults, **alert.labels, **overrides}


def _sieves(rules: tuple[_Compiled, ...]) -> tuple[tuple[str, Sieve], ...]:
    """A sieve for each name that any rule asks for."""
    conditions: dict[str, list[tuple[int, Matcher]]] = {}
    for rule in rules:
        for matcher in rule.matchers:
            conditions.setdefault(matcher.name, []).append((rule.position, matcher))
    for rule in rules:
        rule.touches = tuple(which for which, name in enumerate(conditions) if rule.may_change(name))
    return tuple((name, Sieve(asked)) for name, asked in conditions.items())


def _watched(rules: tuple[_Compiled, ...]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """(labels, fields) that any matcher, look-up, condition or template reads, and whether one may read any label."""
    names = {matcher.name for rule in rules for matcher in rule.matchers}
    names |= {rule.enrich.on for rule in rules if rule.enrich is not None}
    texts: list[Template | Condition] = [text for rule in rules for text in rule.templates()]
    texts += [rule.when for rule in rules if rule.when is not None]
    labels = {name.removeprefix("label.") for name in names if not name.startswith("field.")}
    labels |= {label for text in texts for label in text.labels or ()}
    fields = {name.removeprefix("field.") for name in names if not name.startswith("label.")}
    fields |= {field for text in texts for field in text.fields}
    any_label = any(text.labels is None for text in texts)
    return tuple(sorted(labels)), tuple(field for field in RAW_FIELDS if field in fields), any_label


def _left(rules: int, refused: list[int]) -> int:
    for bits in refused:
        rules &= ~bits
    return rules


def _length(key: tuple[Any, ...]) -> int:
    return sum(len(part) if isinstance(part, str) else _length(part) for part in key if part is not None)


def _texts(rule: Rule) -> Iterator[tuple[str, str]]:
    for field in ("service", "severity", "category", "title", "policy", "dedup_key"):
        text = getattr(rule.set, field)
        if text is not None:
            yield field, text


def _fixed(rule: Rule) -> Iterator[tuple[str, str]]:
    for field in ("impact", "urgency", "priority"):
        value = getattr(rule.set, field)
        if value is not None:
            yield field, value


def _is_fixed(field: str, text: Template) -> bool:
    """Whether the text is the same for every alert and can be set without a look."""
    return text.plain and bool(text.source.strip()) and (field != "severity" or text.source in SEVERITIES)


def _of_rule(rule: Rule, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as wrong:
        raise ValueError(f"rule {rule.name!r}: {wrong}") from None


def _said(name: str, value: str) -> str:
    return f"{name} is {value!r}" if value else f"{name} is not there"

"""Grouping: the incident an alert belongs to, by one key per service and group; else the alert stands alone."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from tocsin.decide.routing.rules import Verdict, fields_of, meaning
from tocsin.decide.text import clean_identity

LONGEST = 512
"""Characters of a key; what is beyond is replaced by a hash of the whole."""

_PLAIN = re.compile(r"[\w.:-]+")


class Group(NamedTuple):
    """`key` names the incident while one is open under it; `grouped`: other alerts may share it."""

    key: str
    grouped: bool
    because: str


def group_of(verdict: Verdict, alert_source_key: str, integration: str) -> Group:
    """The group of an alert as the rules left it.

    `checkout{alertname="NodeDown",cluster="eu"}` for a group; `prometheus/4fd1…` for an alert alone;
    `prometheus#deploy-7` where a rule set `dedup_key`. The three shapes cannot be mistaken for each other.
    What a threshold counts without a group is one incident per service and rule: `checkout{rule="login failures"}`.
    """
    if verdict.group_by:
        values = _values(verdict, verdict.group_by, integration)
        if any(values.values()):
            return Group(_bounded(_named(verdict.service, values)), True, f"same {' and '.join(values)}")
        missing = f"none of {', '.join(values)} is there, so it stands alone"
    else:
        missing = "no rule groups it"
    if verdict.dedup_key is not None:
        key = _bounded(f"{integration}#{verdict.dedup_key}")
        return Group(key, True, f"a rule set its dedup_key to {verdict.dedup_key!r}")
    if verdict.terms is not None and verdict.terms.threshold is not None:
        rule = verdict.terms.threshold.rule
        return Group(_bounded(_named(verdict.service, {"rule": rule})), True, f"rule {rule!r} counts them together")
    return Group(_bounded(f"{integration}/{alert_source_key}"), False, missing)


def _values(verdict: Verdict, group_by: tuple[str, ...], integration: str) -> dict[str, str]:
    labels, written = verdict.labels, verdict.written
    names = _sorted(group_by)
    if all(labels.get(name) and name not in written and "." not in name for name in names):
        return {name: labels[name] for name in names}  # as `meaning` has it, without the fields
    fields = fields_of(verdict, integration)
    return {name: meaning(name, fields, labels, written) for name in names}


@lru_cache(maxsize=1024)
def _sorted(group_by: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(group_by)))


def _named(service: str, values: dict[str, str]) -> str:
    pairs = ",".join(f"{_bare(name)}={_quoted(value)}" for name, value in values.items())
    return f"{_bare(service)}{{{pairs}}}"


def _bare(text: str) -> str:
    return text if len(text) <= 256 and _is_plain(text) else _quoted(text)


@lru_cache(maxsize=4096)
def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None


def _quoted(text: str) -> str:
    if not text.isalnum():
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _bounded(key: str) -> str:
    """A key that any database can keep; two that differ stay apart."""
    return key if len(key) <= LONGEST and key.isascii() and key.isprintable() else clean_identity(key, LONGEST)

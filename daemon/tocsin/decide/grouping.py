"""Which incident does this alert belong to? One key per service and group, else the alert stands alone."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from tocsin.decide.rules import Verdict, fields_of, meaning

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
    """
    if verdict.group_by:
        values = _values(verdict, integration)
        if any(values.values()):
            return Group(_bounded(_named(verdict.service, values)), True, f"same {' and '.join(values)}")
        missing = f"none of {', '.join(values)} is there, so it stands alone"
    else:
        missing = "no rule groups it"
    if verdict.dedup_key is not None:
        key = _bounded(f"{integration}#{verdict.dedup_key}")
        return Group(key, True, f"a rule set its dedup_key to {verdict.dedup_key!r}")
    return Group(_bounded(f"{integration}/{alert_source_key}"), False, missing)


def _values(verdict: Verdict, integration: str) -> dict[str, str]:
    fields = fields_of(verdict, integration)
    names = sorted(set(verdict.group_by or ()))
    return {name: meaning(name, fields, verdict.labels, verdict.written) for name in names}


def _named(service: str, values: dict[str, str]) -> str:
    pairs = ",".join(f"{_bare(name)}={_quoted(value)}" for name, value in values.items())
    return f"{_bare(service)}{{{pairs}}}"


def _bare(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _bounded(key: str) -> str:
    if len(key) <= LONGEST:
        return key
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{key[: LONGEST - len(digest) - 1]}~{digest}"

"""Findings on integrations whose `map` asks for what cannot be computed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from tocsin.model import IntegrationConfig, Problem
from tocsin.settings.lint.facts import LintFacts
from tocsin.settings.sections.plugin_options import LITERAL_MAP_KEYS

KNOWN: dict[str, Any] = Functions.FUNCTION_TABLE


def findings(facts: LintFacts) -> Iterator[Problem]:
    for name, integration in facts.settings.integrations.items():
        if facts.sound("integrations", name):
            yield from _maps(facts, name, integration)


def _maps(facts: LintFacts, name: str, integration: IntegrationConfig) -> Iterator[Problem]:
    """Functions that JMESPath does not have, or that are given too few or too many arguments."""
    written = integration.options.get("map") if integration.type == "webhook" else None
    for part, expression in (written or {}).items():
        wrong = None if part in LITERAL_MAP_KEYS else _wrong(expression)
        if wrong is not None:
            costs = "every post is refused" if part == "each" else f"alerts page without their {part}"
            message = f"map.{part}: {wrong[0]}, so {costs}"
            yield facts.warn(facts.at("integrations", name, "map", part), "uncomputable-part", message, wrong[1])


def _wrong(expression: str) -> tuple[str, str] | None:
    """(what is wrong, what to write) with the first function that cannot be called."""
    try:
        tree = jmespath.compile(expression).parsed
    except (JMESPathError, RecursionError):
        return None  # the reader has said so
    for call in _calls(tree):
        name, given = str(call["value"]), len(call["children"])
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            fix = f"write {near[0]}(…)" if near else f"write one of {', '.join(sorted(KNOWN))}, or no function"
            return f"JMESPath has no function {name}()", fix
        signature = KNOWN[name]["signature"]
        many = any(one.get("variadic") for one in signature)
        if given < len(signature) or (given > len(signature) and not many):
            wanted = f"{'at least ' if many else ''}{len(signature)}"
            return f"{name}() is given {given} arguments and takes {wanted}", f"write {name} with {wanted} arguments"
    return None


def _calls(node: Any) -> Iterator[dict[str, Any]]:
    """Every function call of a parsed expression, the outer ones first."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "function_expression":
        yield node
    for child in node.get("children", ()):
        yield from _calls(child)

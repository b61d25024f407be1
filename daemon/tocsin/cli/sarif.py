"""Findings as SARIF 2.1.0, which code review shows beside the lines (GitHub, GitLab, Azure DevOps).

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; the numbers in comments are its sections.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tocsin import __version__
from tocsin.model import Problem
from tocsin.settings.finding_docs import codes, fix
from tocsin.settings.review import Ignored, Review

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}  # 3.27.10


def sarif(review: Review, *, usable: bool, lines: Mapping[str, Sequence[str]], root: Path) -> dict[str, Any]:
    """A SARIF log of one run. `lines`: of each file; `root`: the folder that artifact addresses are relative to
    (%SRCROOT%).
    """
    used = sorted({problem.code for problem in (*review.problems, *(one.problem for one in review.ignored))})
    place = {code: number for number, code in enumerate(used)}
    results = [_result(problem, place, lines, root) for problem in review.problems]
    results += [_suppressed(one, place, lines, root) for one in review.ignored]
    driver = {"name": "tocsin", "semanticVersion": __version__, "rules": [_rule(code) for code in used]}
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": usable}],  # 3.20.14
        "originalUriBaseIds": {"%SRCROOT%": {"uri": f"{root.as_uri()}/"}},
        "columnKind": "unicodeCodePoints",  # 3.14.17
        "results": _distinct(results),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(name: str) -> dict[str, Any]:
    code = codes()[name]
    return {
        "id": name,
        "shortDescription": {"text": code.title},
        "fullDescription": {"text": code.why},
        "help": {"text": f"{code.why}\n\nWhat to write: {code.fix}", "markdown": code.section},
        "defaultConfiguration": {"level": LEVELS[code.levels[0]]},
        "properties": {"tags": ["configuration", "on-call"]},
    }


def _result(
    problem: Problem, place: Mapping[str, int], lines: Mapping[str, Sequence[str]], root: Path
) -> dict[str, Any]:
    where = problem.where
    written = lines.get(where.file, ())
    line = written[where.line - 1] if where.line <= len(written) else ""
    region = {"startLine": where.line, "startColumn": where.column}
    location = {"artifactLocation": _address(where.file, root), "region": region}
    return {
        "ruleId": problem.code,
        "ruleIndex": place[problem.code],
        "level": LEVELS[problem.level],
        "message": {"text": f"{problem.message}\n{_sentence(fix(problem))}"},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"tocsin/v1": _fingerprint(problem, line)},
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _suppressed(one: Ignored, *about: Any) -> dict[str, Any]:
    """3.35: the finding is shown as dismissed, with the reason."""
    suppression = {"kind": "inSource", "status": "accepted", "justification": one.reason}
    return {**_result(one.problem, *about), "suppressions": [suppression]}


def _address(file: str, root: Path) -> dict[str, str]:
    """Relative to the root where the file lies below it."""
    path = Path(os.path.abspath(file))
    if path.is_relative_to(root):
        return {"uri": quote(path.relative_to(root).as_posix()), "uriBaseId": "%SRCROOT%"}
    return {"uri": path.as_uri()}


def _fingerprint(problem: Problem, line: str) -> str:
    """A hash that stays the same when the finding's line moves up or down (SARIF 2.1.0, 3.27.17)."""
    text = "\0".join((problem.code, Path(problem.where.file).name, line.strip(), str(problem.where.column)))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _distinct(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Equal lines have equal fingerprints; the second and later ones are numbered."""
    seen: dict[str, int] = {}
    found = []
    for result in results:
        print_ = result["partialFingerprints"]["tocsin/v1"]
        seen[print_] = seen.get(print_, 0) + 1
        found.append({**result, "partialFingerprints": {"tocsin/v1": f"{print_}:{seen[print_]}"}})
    return found

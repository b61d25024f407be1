"""Review of a configuration: what the reader found, what the lint found, less what is ignored.

A line's comment `# tocsin: ignore[gap] nobody works on Sundays` keeps warnings of that code at that line quiet. The
reason is required, and so is that there is something to ignore: a comment that outlived its finding is one itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tocsin.model import Instant, Problem, Where
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.finding_docs import codes
from tocsin.settings.lint import NO_DOUBTS, Doubts, lint
from tocsin.settings.loading import Loaded

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*tocsin:\s*ignore\b(?:\[(?P<codes>[^\]]*)\])?(?P<reason>.*)$")
_RANK = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Ignored:
    """A finding that a comment keeps quiet, and the reason it gives."""

    problem: Problem
    reason: str


@dataclass(frozen=True, slots=True)
class Review:
    """`problems`: by file (main first, then as included), line and column."""

    problems: tuple[Problem, ...]
    ignored: tuple[Ignored, ...]


@dataclass(slots=True)
class _Comment:
    where: Where
    codes: tuple[str, ...]
    reason: str
    hits: set[str] = field(default_factory=set)


def review(
    loaded: Loaded, now: Instant, *, doubts: Doubts = NO_DOUBTS, disabled: Collection[str] = frozenset()
) -> Review:
    """Errors are neither ignored nor disabled: the daemon would not start with them."""
    comments = {(one.where.file, one.where.line): one for one in _comments(loaded.files)}
    told: list[Problem] = []
    ignored: list[Ignored] = []
    for problem in (*loaded.problems, *lint(loaded, now, doubts)):
        comment = comments.get((problem.where.file, problem.where.line))
        if comment is not None and _ignores(comment, problem):
            comment.hits.add(problem.code)
            ignored.append(Ignored(problem, comment.reason))
        elif problem.level == "error" or problem.code not in disabled:
            told.append(problem)
    whole = loaded.settings is not None
    about = [found for one in comments.values() for found in _about(one, whole, disabled)]
    told += [problem for problem in about if problem.code not in disabled]
    return Review(_in_order(told, loaded), tuple(ignored))


def _ignores(comment: _Comment, problem: Problem) -> bool:
    return problem.level != "error" and problem.code in comment.codes and bool(comment.reason)


def _comments(files: Mapping[str, bytes]) -> Iterator[_Comment]:
    for file, raw in files.items():
        if b"tocsin:" not in raw:
            continue
        for number, line in enumerate(raw.decode("utf-8", "replace").split("\n"), 1):
            found = _COMMENT.search(line.rstrip("\r"))
            if found is not None:
                named = tuple(word.strip() for word in (found["codes"] or "").split(",") if word.strip())
                yield _Comment(Where(file, number, found.start() + 1), named, found["reason"].strip(" \t:-"))


def _about(comment: _Comment, whole: bool, disabled: Collection[str]) -> Iterator[Problem]:
    """Warn of what is wrong with the comment itself."""
    if not comment.codes:
        yield _warning(comment, "bad-ignore", "this comment names no code", "write # tocsin: ignore[CODE] reason")
    elif not comment.reason:
        fix = f"write # tocsin: ignore[{', '.join(comment.codes)}] and why it is all right"
        yield _warning(comment, "bad-ignore", "this comment gives no reason, so it ignores nothing", fix)
    for code in comment.codes:
        if code not in codes():
            message = f"there is no code '{code}'{did_you_mean(code, codes())}"
            yield _warning(comment, "bad-ignore", message, "write a code out of docs/checks.md")
        elif codes()[code].levels == ("error",):
            yield _warning(comment, "bad-ignore", f"{code} is an error, and errors cannot be ignored", "mend the error")
        elif whole and comment.reason and code not in comment.hits and code not in disabled:
            yield _warning(comment, "idle-ignore", f"there is no {code} in this line to ignore", "remove the comment")


def _warning(comment: _Comment, code: str, message: str, fix: str) -> Problem:
    return Problem(comment.where, "warning", code, message, fix)


def _in_order(problems: Sequence[Problem], loaded: Loaded) -> tuple[Problem, ...]:
    names = list(loaded.files)
    rank = {file: place for place, file in enumerate([*names[-1:], *names[:-1]])}

    def key(problem: Problem) -> tuple[int, str, int, int, int]:
        where = problem.where
        return rank.get(where.file, -1), where.file, where.line, where.column, _RANK[problem.level]

    return tuple(sorted(problems, key=key))

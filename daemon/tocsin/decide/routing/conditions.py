"""Conditions of `when:`: a CEL expression over one alert, by the optional package `common-expression-language`.

What an expression may contain is fixed when it is read, so that its cost is bounded by its own length: no macro within
a macro, known functions only, and it is given no more than the labels it names. An error is never raised while alerts
are judged: it means "did not match", and says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from tocsin.decide.routing.matchers import compiled
from tocsin.decide.text import DESCRIPTION, LABEL_VALUE, LABELS, cut
from tocsin.errors import is_bug

FIELDS = ("title", "description", "service", "severity", "source", "integration", "category", "policy")
"""Text variables beside `labels`; what is not set is ""."""

LONGEST = 2_000
MOST_MACROS, MOST_SUMS, SUMS_INSIDE = 8, 32, 4
MOST_PATTERN = 40_000  # instructions of all patterns that one evaluation compiles
FUNCTIONS = ("size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string", "min", "max")
MACROS = ("has", "all", "exists", "exists_one", "filter", "map")
MISSING = "needs the package common-expression-language; run: pip install tocsin[cel]"

_TEXT = re.compile(r"""[rR]?(\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""", re.DOTALL)
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")
_NAMED = re.compile(
    r"\blabels\s*(?:\.\s*([A-Za-z_]\w*)(?!\s*\(|\w)|\[\s*§(\d+)\s*\])"  # labels.x, labels["x"]
    r"|§(\d+)\s+in\s+labels\b(?!\s*[.\[])"  # "x" in labels
)
_MATCHES = re.compile(r"\bmatches\s*\((?:\s*§(\d+)\s*\)|(?:[^()]*,\s*§(\d+)\s*\))?)")
_USED = re.compile(r"(?<![.\w])labels\b")


class Held(NamedTuple):
    """Whether it holds; `error`: it could not be told, and why."""

    holds: bool
    error: str = ""


class Condition:
    """A compiled expression. `labels` and `fields` are what it reads; `labels` None: it may read any."""

    __slots__ = ("_run", "fields", "labels", "source")

    def __init__(self, source: str) -> None:
        """Raises ValueError with what is wrong and what to write instead."""
        self.source = source.strip()
        if len(self.source) > LONGEST:
            raise ValueError(f"the expression has {len(self.source)} characters; {LONGEST} are the most")
        program = _compiled(self.source)
        bare, texts = _without_texts(self.source)
        _refuse_nesting(bare)
        _refuse_growth(bare)
        _refuse_costly_patterns(bare, texts)
        _check_names(program, bare)
        self.labels = _labels_read(bare, texts)
        self.fields = frozenset(program.variables()) & frozenset(FIELDS)
        self._run: Callable[[dict[str, Any]], Any] = program.execute
        self._try_once()

    def holds(self, labels: Mapping[str, str], fields: Mapping[str, str]) -> Held:
        """For an alert with these labels and fields. Never raises."""
        try:
            found = self._run(self._inputs(labels, fields))
        except Exception as wrong:  # noqa: BLE001  # whatever it is: the rule does not match, the page goes out
            return Held(False, _because(wrong))
        except BaseException as wrong:  # the library may panic, which is no Exception
            if not is_bug(wrong):
                raise
            return Held(False, "the expression cannot be evaluated")
        return Held(found) if isinstance(found, bool) else Held(False, _no_answer(found))

    def _inputs(self, labels: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, Any]:
        inputs: dict[str, Any] = {name: cut(fields.get(name, ""), DESCRIPTION) for name in self.fields}
        if self.labels is None:
            inputs["labels"] = {name: cut(value, LABEL_VALUE) for name, value in list(labels.items())[:LABELS] if value}
        elif self.labels:
            inputs["labels"] = {name: cut(labels[name], LABEL_VALUE) for name in self.labels if labels.get(name)}
        else:
            inputs["labels"] = {}
        return inputs

    def _try_once(self) -> None:
        """Tell now what no alert could ever change: a wrong pattern, an answer that is not yes or no."""
        said = self.holds(dict.fromkeys(self.labels or (), "1"), dict.fromkeys(FIELDS, "1")).error
        if "regex" in said or said.startswith(("it gives", "Unsupported", "Undefined")):
            raise ValueError(f"{self.source!r}: {said}")


@lru_cache(maxsize=4096)
def condition(source: str) -> Condition:
    """The compiled expression of this source; one object for one text. Raises ValueError like Condition."""
    return Condition(source)


def _compiled(source: str) -> Any:
    try:
        from cel import compile as compile_cel  # noqa: PLC0415  # an extra: only who writes `when:` needs it
    except ImportError:
        raise ValueError(MISSING) from None
    if max(source.count("("), source.count("["), source.count("{")) > 100:
        raise ValueError("the expression has more than a hundred brackets; split it into several rules")
    try:
        return compile_cel(source)
    except BaseException as wrong:  # the library raises ValueError, for odd texts others, and it may panic
        if not is_bug(wrong):
            raise
        raise ValueError(f"{source!r} is no CEL expression: {_because(wrong)}") from None


def _because(wrong: BaseException) -> str:
    """The library's word in one line; an absent label is what it mostly is."""
    if isinstance(wrong, KeyError):
        return f"the alert has no {wrong.args[0]!r}; ask for it first: has(labels.{wrong.args[0]}) && …"
    said = [line.strip() for line in str(wrong).splitlines()]
    lines = [line for line in said if line and line[0] not in "|^"]
    if not lines:
        return type(wrong).__name__
    if lines[-1].startswith("error: "):  # of a pattern: first the pattern, at last what is wrong
        return f"{lines[0]} {lines[-1]}"[:300]
    return re.sub(r"^Failed to parse expression .*?: ERROR: <input>:", "", lines[0])[:300]


def _no_answer(found: object) -> str:
    return f"it gives {type(found).__name__} {str(found)[:40]!r} instead of true or false"


def _without_texts(source: str) -> tuple[str, list[str]]:
    """The expression with §0, §1 … in place of its texts, so that what stands in quotes is not read as names."""
    texts: list[str] = []

    def away(found: re.Match[str]) -> str:
        texts.append(found[1].strip(found[1][0]))
        return f"§{len(texts) - 1}"

    return _TEXT.sub(away, source), texts


def _refuse_nesting(bare: str) -> None:
    for found in _MACRO.finditer(bare):
        inside = _argument(bare, found.end())
        nested = _MACRO.search(inside)
        if nested is not None:
            raise ValueError(f".{nested[1]}() within .{found[1]}() could run for long; write two rules instead")


def _refuse_growth(bare: str) -> None:
    """Texts that are joined again and again, for every label, would become longer than any memory."""
    macros = list(_MACRO.finditer(bare))
    if len(macros) > MOST_MACROS:
        raise ValueError(f"the expression has {len(macros)} macros; {MOST_MACROS} are the most: write several rules")
    if sum(found[1] == "map" for found in macros) > 1:
        raise ValueError("one .map() is the most; write several rules")
    if bare.count("+") > MOST_SUMS:
        raise ValueError(f"the expression joins {bare.count('+')} times; {MOST_SUMS} are the most")
    for found in macros:
        if _argument(bare, found.end()).count("+") > SUMS_INSIDE:
            raise ValueError(f"within .{found[1]}() at most {SUMS_INSIDE} texts may be joined")


def _refuse_costly_patterns(bare: str, texts: list[str]) -> None:
    """A pattern is compiled each time it is asked for: within a macro for every label."""
    inside = [range(found.end(), found.end() + len(_argument(bare, found.end()))) for found in _MACRO.finditer(bare)]
    cost = 0
    for found in _MATCHES.finditer(bare):
        which = found[1] or found[2]
        if which is None:
            raise ValueError('the pattern of matches() is written into the rule: title.matches("^db-[0-9]+$")')
        times = LABELS if any(found.start() in each for each in inside) else 1
        cost += times * _size_of(texts[int(which)])
        if cost > MOST_PATTERN:
            raise ValueError("the patterns of this expression cost too much; repeat less, or use `match`")


def _size_of(pattern: str) -> int:
    """Instructions of a pattern, its classes as wide as CEL's; a wrong one costs nothing: it is refused later."""
    wide = pattern.replace("\\\\", "\\")
    for short, long in (("\\w", r"[\pL\pN_]"), ("\\W", r"[^\pL\pN_]"), ("\\d", r"\pN"), ("\\D", r"\PN")):
        wide = wide.replace(short, long)
    try:
        return int(compiled(wide, small=True).programsize)
    except ValueError as wrong:
        return MOST_PATTERN + 1 if "too costly" in str(wrong) else 0


def _argument(bare: str, start: int) -> str:
    depth = 1
    for position in range(start, len(bare)):
        depth += {"(": 1, ")": -1}.get(bare[position], 0)
        if depth == 0:
            return bare[start:position]
    return bare[start:]


def _check_names(program: Any, bare: str) -> None:
    bound = {found[2] for found in _MACRO.finditer(bare)}
    for name in program.variables():
        if name not in bound and name != "labels" and name not in FIELDS:
            known = ", ".join(("labels", *FIELDS))
            raise ValueError(f"'{name}' is not known here; for a label write labels.{name}, else one of {known}")
    for name in program.functions():
        if name[:1].isalpha() and name not in FUNCTIONS:
            raise ValueError(f"{name}() is not known here; the functions are {', '.join((*FUNCTIONS, *MACROS))}")


def _labels_read(bare: str, texts: list[str]) -> frozenset[str] | None:
    """The labels it names, where that is all it does with them."""
    named = list(_NAMED.finditer(bare))
    if len(named) < len(_USED.findall(bare)):
        return None
    found = (match[1] or texts[int(match[2] or match[3])] for match in named)
    names = frozenset(found)
    return None if any("\\" in name for name in names) else names

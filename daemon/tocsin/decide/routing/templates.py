"""Templates: Jinja2 in a sandbox, for what rules set; it fails to plain text.

A template is an expression over one alert, not a program: what it may contain is fixed when it is
read (no calls but a few methods of texts, no nested loops, no arithmetic that grows), and what it may do is
counted while it runs (decide/routing/render_budget.py), so that its time and output are bounded without a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tocsin.decide.routing import render_budget as budget
from tocsin.decide.routing.template_size import too_long
from tocsin.decide.text import cut_with_hash

LONGEST = 1024
"""Characters a rendered text may have; the rest is cut."""

DEEPEST = 50
TOO_DEEP = f"the template is nested or chained more than {DEEPEST} deep; write a plainer one"

INPUTS = frozenset({"labels", "title", "description", "service", "severity", "source", "integration"})
FILTERS = frozenset(
    [
        "capitalize",
        "d",
        "default",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "replace",
        "round",
        "sort",
        "string",
        "title",
        "trim",
        "truncate",
        "unique",
        "upper",
    ]
)
TESTS = frozenset(
    [
        "defined",
        "undefined",
        "in",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "equalto",
        "none",
        "number",
        "string",
        "even",
        "odd",
        "lower",
        "upper",
    ]
)
METHODS = frozenset(
    [
        "split",
        "rsplit",
        "strip",
        "lstrip",
        "rstrip",
        "partition",
        "rpartition",
        "lower",
        "upper",
        "title",
        "capitalize",
        "startswith",
        "endswith",
        "removeprefix",
        "removesuffix",
        "replace",
        "get",
        "items",
        "keys",
        "values",
    ]
)
LABEL_METHODS = frozenset({"get", "items", "keys", "values"})
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Filter, nodes.Test, nodes.Call, nodes.If, nodes.CondExpr, nodes.For, nodes.Assign,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Neg, nodes.Concat,
    nodes.List, nodes.Tuple, nodes.Keyword,
)  # fmt: skip


class _Missing(StrictUndefined):
    """An absent label: printing it is an error (the plain text is used), asking for it is not."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]  # Jinja2 declares that it always raises
        return False


class _Sandbox(ImmutableSandboxedEnvironment):
    """No globals, only the filters and tests named above; sums and methods are charged too."""

    intercepted_binops = frozenset({"+", "-"})

    def __init__(self) -> None:
        super().__init__(undefined=_Missing, autoescape=False, keep_trailing_newline=False)
        self.globals.clear()
        self.filters = {name: budget.charged(self.filters[name]) for name in FILTERS}
        self.filters["round"] = budget.rounded(self.filters["round"])
        self.filters |= {budget.COUNTED: budget.counted, budget.TOGETHER: budget.together}
        self.tests = {name: self.tests[name] for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`labels.x` is the label x, even where a dict has a method of that name (but the four of LABEL_METHODS)."""
        if isinstance(obj, dict) and attribute not in LABEL_METHODS:
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict):
            found = obj.get(argument)
            return self.undefined(hint=f"the alert has no label {argument!r}") if found is None else found
        return super().getitem(obj, argument)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        made = super().call(context, obj, *args, **kwargs)
        budget.charge(getattr(obj, "__self__", None), made)
        return made

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        budget.charge(left, right)
        return super().call_binop(context, operator, left, right)


_SANDBOX = _Sandbox()


@dataclass(frozen=True, slots=True)
class Text:
    """Text of the template, at most LONGEST characters."""

    text: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Failure of a template, and why; the caller uses the plain text."""

    because: str


class Template:
    """A compiled template. `labels` and `fields` are the names it reads; `labels` None: it may read any."""

    __slots__ = ("_root", "_template", "fields", "labels", "plain", "source")

    def __init__(self, source: str) -> None:
        """Raises ValueError with what is wrong and what to write instead."""
        self.source = source
        self.plain = not any(mark in source for mark in ("{{", "{%", "{#"))
        self.labels: frozenset[str] | None = frozenset()
        self.fields: frozenset[str] = frozenset()
        if not self.plain:
            if len(source) > budget.LONGEST_SOURCE:
                raise ValueError(f"a template of {len(source)} characters is too long: {budget.LONGEST_SOURCE} at most")
            try:
                self._compile(source)
            except (RecursionError, SyntaxError, MemoryError) as wrong:
                raise ValueError(f"{source[:80]!r}… is nested too deeply, or too long, for a template") from wrong

    def _compile(self, source: str) -> None:
        tree = _parsed(source)
        _check_depth(tree)
        _check(tree)
        _check_names(tree)
        _check_length(tree)
        self.labels, self.fields = _reads(tree)
        self._template = _SANDBOX.from_string(budget.Watched().visit(tree))

    def render(self, inputs: Mapping[str, Any], *, identity: bool = False) -> Text | Broken:
        """The text for these inputs (see INPUTS; `labels` maps text to text). Never raises.

        `identity`: the text tells things apart, so one that is too long ends in a hash of the whole.
        """
        if self.plain:
            return Text(self.source)
        try:
            budget.begin(inputs.values())
            context = self._template.new_context(dict(inputs))
            pieces = self._template.root_render_func(context)
            return Text(cut_with_hash("".join(pieces).strip(), LONGEST) if identity else _joined(pieces))
        except (TemplateError, SecurityError) as wrong:
            return Broken(wrong.message or type(wrong).__name__)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as wrong:
            return Broken(f"{type(wrong).__name__}: {wrong}")


@lru_cache(maxsize=4096)
def template(source: str) -> Template:
    """The compiled template of this source; one object for one text. Raises ValueError like Template."""
    return Template(source)


def _joined(pieces: Iterator[str]) -> str:
    taken: list[str] = []
    left = LONGEST
    for piece in pieces:
        taken.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    return "".join(taken).strip()


def _parsed(source: str) -> nodes.Template:
    try:
        return _SANDBOX.parse(source)
    except TemplateError as wrong:
        raise ValueError(f"{source!r} is not a template: {wrong.message}") from None
    except (RecursionError, MemoryError):
        raise ValueError(TOO_DEEP) from None


def _check_depth(tree: nodes.Template) -> None:
    """Neither the checks below nor Python's compiler may run out of stack, whoever calls."""
    depth = 0
    level: list[nodes.Node] = [tree]
    while level:
        depth += 1
        level = [child for node in level for child in node.iter_child_nodes()]
    if depth > DEEPEST:
        raise ValueError(TOO_DEEP)


def _check(tree: nodes.Node, looping: bool = False) -> None:
    for node in tree.iter_child_nodes():
        _check_one(node, looping)
        _check(node, looping or isinstance(node, nodes.For))


def _check_one(node: nodes.Node, looping: bool) -> None:
    match node:
        case nodes.For() if looping:
            _refuse("a loop within a loop")
        case nodes.For(recursive=True):
            _refuse("a recursive loop")
        case nodes.Assign() if looping:
            _refuse("{% set %} within a loop")
        case nodes.Call(node=nodes.Getattr(attr=name)) if name in METHODS:
            pass
        case nodes.Call(node=nodes.Getattr(attr=name)):
            _refuse(f".{name}()", f"the methods are {', '.join(sorted(METHODS))}")
        case nodes.Call():
            _refuse("a call", "use a filter, as in {{ title | upper }}")
        case nodes.Filter(name=name) if name not in FILTERS:
            _refuse(f"the filter {name!r}", f"the filters are {', '.join(sorted(FILTERS))}")
        case nodes.Test(name=name) if name not in TESTS:
            _refuse(f"the test {name!r}", f"the tests are {', '.join(sorted(TESTS))}")
        case nodes.Name(name=name, ctx="load"):
            pass
        case _ if not isinstance(node, _ALLOWED):
            _refuse(f"{type(node).__name__.lower()!r}")


def _check_names(tree: nodes.Template) -> None:
    for name in sorted(meta.find_undeclared_variables(tree) - INPUTS):
        raise ValueError(
            f"{name!r} is no input of a template; for a label write {{{{ labels.{name} }}}}, else one of "
            f"{', '.join(sorted(INPUTS - {'labels'}))}"
        )


def _check_length(tree: nodes.Template) -> None:
    size = too_long(tree)
    if size:
        instead = "replace and join by short texts"
        raise ValueError(f"a text here could grow to {size // 1_000_000:,} million characters; {instead}")


def _refuse(what: str, instead: str = "") -> NoReturn:
    raise ValueError(f"{what} is not for templates here" + (f"; {instead}" if instead else ""))


def _reads(tree: nodes.Template) -> tuple[frozenset[str] | None, frozenset[str]]:
    """(labels by name, or None when which ones depends on the alert; other inputs)."""
    names = {node.name for node in tree.find_all(nodes.Name)} & INPUTS
    known = [_label(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Call))]
    labels = frozenset(label for label in known if label is not None)
    uses = sum(1 for node in tree.find_all(nodes.Name) if node.name == "labels")
    all_named = uses == sum(1 for label in known if label is not None)
    return (labels if all_named else None), frozenset(names - {"labels"})


def _label(node: nodes.Node) -> str | None:
    """The label that `labels.x`, `labels["x"]` or `labels.get("x", …)` reads."""
    match node:
        case nodes.Call(
            node=nodes.Getattr(node=nodes.Name(name="labels"), attr="get"), args=[nodes.Const(value=x), *_]
        ):
            return str(x)
        case nodes.Getattr(node=nodes.Name(name="labels"), attr=str(x)) if x not in LABEL_METHODS:
            return x
        case nodes.Getitem(node=nodes.Name(name="labels"), arg=nodes.Const(value=str(x))):
            return x
        case _:
            return None

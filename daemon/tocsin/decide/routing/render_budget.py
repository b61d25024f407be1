"""Budget of one rendering: how many steps a template may take, whatever the alert says.

A step is an operation on some 64 characters. Filters, methods, sums and joined texts are charged for what they read and
make; a turn of a loop is charged for its whole body before it runs. What costs more than it may is an error like any
other in a template: the plain text is used, and the page goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

STEPS = 200_000
WIDTH = 64  # characters of one step
ELEMENT = 4  # steps for each element of a list: it may be sorted
LISTS = (list, tuple)
LONGEST_SOURCE = 20_000
DIGITS = 12  # that `round` may be asked for
COUNTED, TOGETHER = "_counted", "_together"


class Left:
    """Steps that are left, and how long the longest text is that an operation may meet."""

    __slots__ = ("longest", "steps")

    def __init__(self, longest: int) -> None:
        self.steps, self.longest = STEPS, longest

    def charge(self, steps: int) -> None:
        """Raises ValueError when there are no more."""
        self.steps -= steps
        if self.steps < 0:
            raise ValueError("the template takes too many steps for this alert")


_left: ContextVar[Left | None] = ContextVar("left", default=None)


def begin(inputs: Iterable[Any]) -> None:
    """A rendering with these inputs starts anew."""
    _left.set(Left(max((size_of(each) for each in inputs), default=0)))


def charge(*values: Any) -> None:
    left = _left.get()
    if left is not None:
        left.charge(1 + sum(ELEMENT * len(one) if isinstance(one, LISTS) else size_of(one) // WIDTH for one in values))


def size_of(value: Any) -> int:
    """Characters of a text, elements of a list; of labels the longest text."""
    if isinstance(value, dict):
        return max(map(len, value.values()), default=0)
    return len(value) if isinstance(value, str | list | tuple) else 1


def charged(filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, charged for what it is given and what it makes. Keeps what Jinja2 marks it with."""

    @wraps(filter_)
    def call(*args: Any, **kwargs: Any) -> Any:
        charge(*args[:3])
        made = filter_(*args, **kwargs)
        charge(made)
        return made

    return call


def counted(values: Any, nodes_: int) -> Iterator[Any]:
    """The elements of a loop; each is charged for the loop's body, as if all of it met the longest text."""
    left = _left.get()
    for value in values:
        if left is not None:
            left.charge(1 + nodes_ * (1 + left.longest // (WIDTH * 8)))
        yield value


def together(parts: Iterable[Any]) -> str:
    """Concatenation, as `~` makes it."""
    made = "".join([str(part) for part in parts])
    charge(made)
    return made


def rounded(round_: Callable[..., Any]) -> Callable[..., Any]:
    """`round` to few digits: a number with a hundred million of them takes seconds."""

    @wraps(round_)
    def call(value: Any, precision: int = 0, method: Any = "common") -> Any:
        if not isinstance(precision, int) or abs(precision) > DIGITS:
            raise ValueError(f"round: {str(precision)[:20]} is no number of digits from -{DIGITS} to {DIGITS}")
        return round_(value, precision, method)

    return call


class Watched(NodeTransformer):
    """A tree in which loops and `~` are charged; to be compiled, not to be checked."""

    def visit_For(self, node: nodes.For, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802  # Jinja2's name
        self.generic_visit(node)
        size = sum(1 for part in node.body for _ in part.find_all(nodes.Node))
        node.iter = nodes.Filter(
            node.iter, COUNTED, [nodes.Const(size)], [], None, None, lineno=node.lineno
        )  # fmt: skip
        return node

    def visit_Concat(self, node: nodes.Concat, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802  # Jinja2's name
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, TOGETHER, [], [], None, None, lineno=node.lineno)

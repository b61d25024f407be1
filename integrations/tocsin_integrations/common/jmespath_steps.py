"""JMESPath with a bound: how many steps one expression may take over one body, and how large its values may become.

An expression has no variables, but each `[@, @]` doubles what the next part of it sees, each `join` a text; two hundred
characters of that would fill any memory.
"""

from __future__ import annotations

from typing import Any

from jmespath import exceptions, visitor

STEPS = 200_000
LARGEST = 200_000  # elements of a value, and characters of its texts by the 64


class TooMuch(exceptions.JMESPathError):
    """The error of an expression that does too much with a body."""

    def __init__(self) -> None:
        super().__init__("it takes too many steps, or makes too large a value, for this body")


class Counted(visitor.TreeInterpreter):
    """The package's interpreter, that gives up when its steps are used up."""

    def __init__(self) -> None:
        super().__init__()
        self.left = STEPS

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise TooMuch
        return super().visit(node, *args, **kwargs)

    def visit_function_expression(self, node: Any, value: Any) -> Any:
        """A function looks at all of its arguments: their size is charged, whatever is shared in them."""
        for argument in node["children"]:
            if argument["type"] != "expref":
                self.left -= weight(self.visit(argument, value), self.left)
        return self._sized(super().visit_function_expression(node, value))

    def visit_flatten(self, node: Any, value: Any) -> Any:
        return self._sized(super().visit_flatten(node, value))

    def visit_comparator(self, node: Any, value: Any) -> Any:
        for side in node["children"]:
            self.left -= weight(self.visit(side, value), self.left)
        return super().visit_comparator(node, value)

    def _sized(self, value: Any) -> Any:
        self.left -= len(value) // 64 if isinstance(value, str) else len(value) if isinstance(value, list) else 0
        if self.left < 0:
            raise TooMuch
        return value


def search(parsed: Any, body: Any) -> Any:
    """The value that an expression (`jmespath.compile(…)`) finds in a body. Raises what the package does, TooMuch among
    it.
    """
    found = Counted().visit(parsed.parsed, body)
    if isinstance(found, list | dict) and found is not body:
        weight(found, LARGEST)
    return found


def weight(value: Any, most: int) -> int:
    """The size of a value, with all that is inside, as often as it is there. Raises TooMuch beyond `most`."""
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        total += 1
        if isinstance(one, str):
            total += len(one) // 64
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
        if total + len(waiting) > most:
            raise TooMuch
    return total

"""Base of values that are made by the thousand: frozen to the type checker, cheap at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["EMPTY", "changed", "record"]

Record = TypeVar("Record")

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(**options: Any) -> Any:
        """A frozen dataclass to the type checker, which is who polices it; at run time a plain one.

        A frozen `__init__` takes four times as long, and one of these is made for every alert.
        """
        return dataclass(**{**options, "frozen": False, "unsafe_hash": True})


class _Empty(dict[str, Any]):
    """The empty mapping every default shares; writing to it is an error."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # constant and never changed: hashable
        return 0

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("the shared empty mapping cannot be changed")


EMPTY: Mapping[str, Any] = _Empty()


@lru_cache(maxsize=64)
def _shape(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, int]]:
    names = [one.name for one in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


def changed(one: Record, **changes: Any) -> Record:
    """Replace fields as `dataclasses.replace` does for a wide record, in a third of its time: for what every alert
    costs.
    """
    kind: type = type(one)
    values_of, places = _shape(kind)
    values = [*values_of(one)]
    for name, value in changes.items():
        values[places[name]] = value
    return type(one)(*values)

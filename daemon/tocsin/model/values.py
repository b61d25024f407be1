"""What are values made of that are made by the thousand? Frozen to the type checker, cheap at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

__all__ = ["EMPTY", "record"]


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

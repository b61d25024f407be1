"""Installed kinds of sources and channels, loaded only when a configuration names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal

from tocsin.model import Option

Group = Literal["sources", "channels"]

COMING: Mapping[Group, Mapping[str, Mapping[str, Option]]] = MappingProxyType(
    {
        "sources": {
            "alertmanager_api": {},
            "opsgenie": {
                "api_key": Option("secret", "the key that senders put into `Authorization: GenieKey …`"),
                "api_keys": Option("keys", "several keys, each with a service of its own"),
            },
        },
        "channels": {
            "slack": {
                "bot_token": Option("secret", "the app's bot token (xoxb-…)", required=True),
                "signing_secret": Option("secret", "checks that answers come from Slack"),
                "api_base": Option("url", "another address than slack.com, for tests"),
                "allow_private": Option("flag", "let api_base be a private address", default=False),
            },
        },
    }
)
"""Kinds that the manual names and a later release brings: read in full, and without effect."""


@dataclass(frozen=True, slots=True)
class BrokenKind:
    """A kind that is installed and cannot be loaded."""

    because: str


@dataclass(slots=True)
class Kinds:
    """The installed kinds by type. `given` replaces what is installed, for tests and third parties."""

    given: Mapping[Group, Mapping[str, Any]] | None = None
    _loaded: dict[tuple[Group, str], Any] = field(default_factory=dict)
    _points: dict[Group, dict[str, EntryPoint]] = field(default_factory=dict)

    def types(self, group: Group) -> list[str]:
        """Every type one may write, coming ones included."""
        return sorted({*self.installed(group), *COMING[group]})

    def installed(self, group: Group) -> Iterable[str]:
        if self.given is not None:
            return list(self.given.get(group, {}))
        return list(self._entry_points(group))

    def kind(self, group: Group, type: str) -> Any | BrokenKind | None:
        """The kind itself; Broken when its module cannot be imported; None when there is no such type."""
        if (group, type) not in self._loaded:
            self._loaded[group, type] = self._load(group, type)
        return self._loaded[group, type]

    def _load(self, group: Group, type: str) -> Any | BrokenKind | None:
        if self.given is not None:
            return self.given.get(group, {}).get(type)
        point = self._entry_points(group).get(type)
        if point is None:
            return None
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            return BrokenKind(str(error))

    def _entry_points(self, group: Group) -> dict[str, EntryPoint]:
        if group not in self._points:
            self._points[group] = {point.name: point for point in entry_points(group=f"tocsin.{group}")}
        return self._points[group]


INSTALLED = Kinds()
"""Shared by every reading of this process: what is installed does not change while it runs."""

"""Difference a reload would make, in counts, and whether it needs a restart or a second thought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.model import Settings

NAMED = ("users", "teams", "schedules", "policies", "services", "integrations", "channels", "heartbeats")
GUARDED = ("users", "services", "rules")
NEVER_EMPTIED = ("users", "catch_all", "integrations")  # without them no alert comes in, or none reaches anybody
PLAIN = (
    "server", "retention", "defaults", "catch_all", "heartbeat_out", "fallbacks", "priorities", "throttle", "storm",
    "answers", "inhibitions", "maintenance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameChanges:
    """Names of a section that came, went, or say something else; each in its configuration's order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def count(self) -> ChangeCounts:
        return ChangeCounts(len(self.added), len(self.removed), len(self.changed))


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """The number of names of a section that came, went, or say something else."""

    added: int = 0
    removed: int = 0
    changed: int = 0

    def __str__(self) -> str:
        parts = (("+", self.added), ("-", self.removed), ("~", self.changed))
        return " ".join(f"{sign}{count}" for sign, count in parts if count)


@dataclass(frozen=True, slots=True)
class ReloadDifference:
    """`counts` by section, only those that changed; `names`: the same by name, where a section has names.
    `needs_restart`: what a reload cannot apply. `removes_most`: sections that lose more than half of their names: ask
    first. `empties`: sections that had something and have nothing left, so that nobody would be paged: ask first.
    `moved`: the rules that stay are walked in another order."""

    counts: Mapping[str, ChangeCounts]
    names: Mapping[str, NameChanges]
    needs_restart: tuple[str, ...] = ()
    removes_most: tuple[str, ...] = ()
    empties: tuple[str, ...] = ()
    moved: bool = False

    @property
    def objection(self) -> str:
        """The reason why the change should be meant before it is made; "" when nobody need be asked."""
        most = [name for name in self.removes_most if name not in self.empties]
        said = [f"leave nothing of: {', '.join(self.empties)}"] * bool(self.empties)
        said += [f"remove more than half of: {', '.join(most)}"] * bool(most)
        return f"this would {' and '.join(said)}" if said else ""

    def __bool__(self) -> bool:
        return bool(self.counts or self.needs_restart or self.moved)

    def __str__(self) -> str:
        told = [f"{section} {change}" for section, change in self.counts.items()]
        said = ", ".join([*told, *["rules in another order"] * self.moved]) or "nothing changed"
        return f"{said}; needs a restart: {', '.join(self.needs_restart)}" if self.needs_restart else said


def difference(old: Settings, new: Settings, started: Settings | None = None) -> ReloadDifference:
    """Compare `new` with `old`, which it replaces. `started`: the configuration the daemon began with, whose addresses
    hold.
    """
    names = {name: _compare(getattr(old, name), getattr(new, name)) for name in NAMED}
    names["rules"] = _compare(_rules(old), _rules(new))
    counts = {name: found.count for name, found in names.items()}
    counts |= {name: ChangeCounts(changed=int(_plain(old, name) != _plain(new, name))) for name in PLAIN}
    return ReloadDifference(
        counts={name: change for name, change in counts.items() if change != ChangeCounts()},
        names={name: found for name, found in names.items() if found != NameChanges()},
        needs_restart=tuple(_needs_restart(started or old, new)),
        removes_most=tuple(name for name in GUARDED if 2 * counts[name].removed > len(getattr(old, name))),
        empties=emptied(old, new),
        moved=_staying(old, new) != _staying(new, old),
    )


def emptied(old: Settings, new: Settings) -> tuple[str, ...]:
    """The sections that nobody can be paged without that had something in `old` and have nothing in `new`."""
    return tuple(name for name in NEVER_EMPTIED if getattr(old, name) and not getattr(new, name))


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> NameChanges:
    return NameChanges(
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(name for name in old if name in new and old[name] != new[name]),
    )


def _staying(one: Settings, other: Settings) -> list[str]:
    """The rules that both have, in the order of the first."""
    names = {rule.name for rule in other.rules}
    return [rule.name for rule in one.rules if rule.name in names]


def _rules(settings: Settings) -> Mapping[str, Any]:
    """The rules by name, without their places: a moved rule is no change."""
    return {rule.name: _without_place(rule) for rule in settings.rules}


def _without_place(rule: Any) -> tuple[Any, ...]:
    return tuple(getattr(rule, name) for name in rule.__slots__ if name != "where")


def _plain(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    return (value.public_url, value.trusted_proxies) if name == "server" else value


def _needs_restart(old: Settings, new: Settings) -> list[str]:
    unlike = {
        "listen": (old.server.host, old.server.port) != (new.server.host, new.server.port),
        "admin_listen": (old.server.admin_host, old.server.admin_port)
        != (new.server.admin_host, new.server.admin_port),
        "database": old.database != new.database,
    }
    return [name for name, changed in unlike.items() if changed]

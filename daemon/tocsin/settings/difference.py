"""What a reload would change, in counts, and whether it needs a restart or a second thought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.model import Settings

NAMED = ("users", "teams", "schedules", "policies", "services", "integrations", "channels")
GUARDED = ("users", "services", "rules")
PLAIN = (
    "server", "retention", "defaults", "catch_all", "heartbeat_out", "fallbacks", "priorities", "throttle", "answers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """How many names of one section came, went, or say something else."""

    added: int = 0
    removed: int = 0
    changed: int = 0

    def __str__(self) -> str:
        parts = (("+", self.added), ("-", self.removed), ("~", self.changed))
        return " ".join(f"{sign}{count}" for sign, count in parts if count)


@dataclass(frozen=True, slots=True)
class Difference:
    """`counts` by section, only those that changed. `needs_restart`: what a reload cannot apply.
    `removes_most`: sections that lose more than half of their names: ask first."""

    counts: Mapping[str, Change]
    needs_restart: tuple[str, ...] = ()
    removes_most: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.counts or self.needs_restart)

    def __str__(self) -> str:
        said = ", ".join(f"{section} {change}" for section, change in self.counts.items()) or "nothing changed"
        return f"{said}; needs a restart: {', '.join(self.needs_restart)}" if self.needs_restart else said


def difference(old: Settings, new: Settings) -> Difference:
    """What changes when `new` replaces `old`."""
    counts = {name: _compare(getattr(old, name), getattr(new, name)) for name in NAMED}
    counts["rules"] = _compare(_rules(old), _rules(new))
    counts |= {name: Change(changed=int(_plain(old, name) != _plain(new, name))) for name in PLAIN}
    return Difference(
        counts={name: change for name, change in counts.items() if change != Change()},
        needs_restart=tuple(_needs_restart(old, new)),
        removes_most=tuple(name for name in GUARDED if 2 * counts[name].removed > _size(old, name)),
    )


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    changed = sum(1 for name in old.keys() & new.keys() if old[name] != new[name])
    return Change(len(new.keys() - old.keys()), len(old.keys() - new.keys()), changed)


def _rules(settings: Settings) -> Mapping[str, Any]:
    """By name, without their places: a moved rule is no change."""
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


def _size(settings: Settings, name: str) -> int:
    return len(getattr(settings, name))

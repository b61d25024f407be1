"""Alerts, incidents, pages and attempts to put into a store: complete, and plain until told otherwise."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tocsin.model import (
    Attempt,
    Entry,
    Incident,
    Instant,
    Link,
    MadeOverride,
    Page,
    Post,
    Silence,
    StoredAlert,
    Swap,
    Token,
    Tombstone,
)

T = TypeVar("T")
T0 = Instant(1_767_225_600_000)  # 2026-01-01T00:00Z


def alert(id: int, incident: int | None = None, **other: Any) -> StoredAlert:
    plain: dict[str, Any] = {
        "id": id,
        "integration": "apps",
        "source_key": f"key-{id}",
        "content": id * 7,
        "status": "firing",
        "incident": incident,
        "post": None,
        "severity": "error",
        "title": f"alert {id}",
        "description": "",
        "service": "shop",
        "source": "host-1",
        "labels": {"alertname": "NodeDown", "ünï": '✓ "quoted"'},
        "links": (Link("https://runbook.example.org/1", "runbook"),),
        "rules": ("one", "two"),
        "started_at": T0,
        "received_at": T0,
        "last_seen_at": T0,
    }
    return StoredAlert(**{**plain, **other})


def incident(number: int, **other: Any) -> Incident:
    plain: dict[str, Any] = {
        "number": number,
        "key": f"apps/key-{number}",
        "status": "triggered",
        "title": f"incident {number}",
        "service": "shop",
        "severity": "error",
        "impact": "medium",
        "urgency": "high",
        "priority": "P2",
        "category": "",
        "integration": "apps",
        "policy": "default",
        "policy_hash": "abc",
        "created_at": T0,
        "updated_at": T0,
    }
    return Incident(**{**plain, **other})


def page(id: str, incident: int | None = 1, **other: Any) -> Page:
    plain: dict[str, Any] = {
        "id": id,
        "key": f"{incident}/1/1/1/user:ana/1/{id}",
        "kind": "page",
        "incident": incident,
        "cycle": 1,
        "round": 1,
        "step": 1,
        "rule": 1,
        "target": "user:ana",
        "user": "ana",
        "contact": "sms",
        "channel": "sms",
        "due_at": T0,
        "created_at": T0,
    }
    return Page(**{**plain, **other})


def attempt(id: str, page: str, **other: Any) -> Attempt:
    plain: dict[str, Any] = {
        "id": id,
        "page": page,
        "incident": 1,
        "channel": "sms",
        "address": "+351000",
        "number": 1,
        "owner": "replica-1",
        "started_at": T0,
    }
    return Attempt(**{**plain, **other})


def entry(incident: int, kind: str, at: int = T0, **other: Any) -> Entry:
    return Entry(**{"incident": incident, "at": Instant(at), "kind": kind, "actor": "user:ana", **other})


def post(id: int, **other: Any) -> Post:
    return Post(**{"id": id, "integration": "apps", "received_at": T0, "body": b"\x00zstd", "alerts": 1, **other})


def silence(id: str, **other: Any) -> Silence:
    plain: dict[str, Any] = {
        "id": id,
        "matchers": ('env="prod"',),
        "starts_at": T0,
        "ends_at": Instant(T0 + 1000),
        "author": "ana",
        "comment": "patching",
        "created_at": T0,
    }
    return Silence(**{**plain, **other})


def override(id: str, **other: Any) -> MadeOverride:
    plain: dict[str, Any] = {
        "id": id,
        "schedule": "primary",
        "users": ("bo",),
        "starts_at": T0,
        "ends_at": Instant(T0 + 1000),
        "replaces": None,
        "mode": "replace",
        "author": "ana",
        "reason": "dentist",
        "created_at": T0,
    }
    return MadeOverride(**{**plain, **other})


def swap(id: str, **other: Any) -> Swap:
    plain: dict[str, Any] = {
        "id": id,
        "schedule": "primary",
        "asker": "ana",
        "asked": "bo",
        "starts_at": T0,
        "ends_at": Instant(T0 + 1000),
        "back_from": None,
        "back_to": None,
        "reason": "",
        "created_at": T0,
    }
    return Swap(**{**plain, **other})


def token(id: str, **other: Any) -> Token:
    return Token(
        **{"id": id, "name": f"token {id}", "role": "responder", "user": "ana", "hash": "h", "created_at": T0, **other}
    )


def at(offset: int) -> Instant:
    """`offset` milliseconds after the beginning of 2026."""
    return Instant(T0 + offset)


def there(found: T | None) -> T:
    """What was found, which must be there."""
    assert found is not None
    return found


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What `condition` (plain or awaitable) answers once that is true; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.001)


def tombstone(
    key: str, ended_at: Instant, until: Instant, integration: str = "apps", incident: int | None = None
) -> Tombstone:
    return Tombstone(integration, key, ended_at, until, Instant(until + 5_000), incident)

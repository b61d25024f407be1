"""Words that everything else uses: instants and lengths, levels, states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NewType

Instant = NewType("Instant", int)
Millis = NewType("Millis", int)

SECOND = Millis(1_000)
MINUTE = Millis(60_000)
HOUR = Millis(3_600_000)
DAY = Millis(86_400_000)

Severity = Literal["critical", "error", "warning", "info"]
Urgency = Literal["high", "medium", "low"]
Impact = Literal["high", "medium", "low"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Role = Literal["viewer", "responder", "admin"]
Status = Literal["triggered", "acknowledged", "on_hold", "resolved", "closed", "canceled"]
SignalStatus = Literal["firing", "resolved", "acknowledged", "snoozed", "note", "change", "heartbeat"]

OPEN: frozenset[Status] = frozenset({"triggered", "acknowledged", "on_hold"})
SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning", "info")
PRIORITIES: tuple[Priority, ...] = ("P1", "P2", "P3", "P4", "P5")
URGENCY_OF: Mapping[Severity, Urgency] = MappingProxyType(
    {"critical": "high", "error": "high", "warning": "medium", "info": "low"}
)

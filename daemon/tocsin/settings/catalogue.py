"""The catalogue: every section of the configuration, its shape, and in which order they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tocsin.settings.document.shapes import Many, Shape, text
from tocsin.settings.sections import alerts, daemon, muting, people, rules, schedules
from tocsin.settings.sections.shared import TARGETS


@dataclass(frozen=True)
class Section:
    """A section of the configuration. `kind`: "one" is written in one file only; "names" is a mapping of names, to
    which any file may add; "list" likewise.
    """

    kind: Literal["one", "names", "list"]
    shape: Shape[Any]
    help: str
    later: bool = False


SECTIONS: Mapping[str, Section] = {
    "server": Section("one", daemon.SERVER, "where the daemon listens and how it is reached"),
    "database": Section("one", daemon.DATABASE, "where everything is kept"),
    "retention": Section("one", daemon.RETENTION, "how long things are kept"),
    "include": Section("list", Many(text("a file or pattern")), "further files; main file only"),
    "defaults": Section("one", daemon.DEFAULTS, "what holds where nothing is written"),
    "categories": Section("one", alerts.CATEGORIES, "the categories that rules may set; absent: any text"),
    "channels": Section("names", people.CHANNELS, "ways to reach people"),
    "fallbacks": Section("one", people.FALLBACKS, "channel → channels that are tried when it is failing"),
    "users": Section("names", people.USERS, "people"),
    "teams": Section("names", people.TEAMS, "groups of people"),
    "calendars": Section("names", alerts.CALENDARS, "named weekly hours and days off, for support_hours, SLAs, layers"),
    "schedules": Section("names", schedules.SCHEDULES, "who is on call when"),
    "policies": Section("names", schedules.POLICIES, "whom an escalation asks in which order"),
    "catch_all": Section("one", TARGETS, "who is paged when nobody else can be"),
    "lookups": Section("names", alerts.LOOKUPS, "tables that enrich alerts"),
    "services": Section("names", alerts.SERVICES, "what alerts are about"),
    "integrations": Section("names", alerts.INTEGRATIONS, "where alerts come from"),
    "priorities": Section("one", daemon.PRIORITIES_TABLE, "impact × urgency → priority"),
    "rules": Section("list", rules.RULES, "what is done with alerts; all that match apply, top to bottom"),
    "inhibitions": Section("list", Many(muting.INHIBITION), "alerts that mute others"),
    "maintenance": Section("list", Many(muting.MAINTENANCE), "planned windows without pages"),
    "heartbeats": Section("names", alerts.HEARTBEATS, "things that must report regularly"),
    "heartbeat_out": Section("one", daemon.HEARTBEAT_OUT, "tells an outside watcher that Tocsin works"),
    "storm": Section("one", alerts.STORM, "when many new incidents become one"),
    "throttle": Section("one", daemon.THROTTLE, "at most so many messages per person and channel"),
    "answers": Section("one", daemon.ANSWERS, "how answers must look"),
    "tokens": Section("one", daemon.TOKENS, "stays empty: API tokens are made by `tocsin token create`"),
}

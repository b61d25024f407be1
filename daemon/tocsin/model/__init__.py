"""The words of Tocsin as frozen values: what an alert, an incident, a page, a schedule is.

Instants are `Instant`: whole milliseconds since 1970-01-01T00:00Z; lengths are `Millis`. Both are
integers on every path (store, decisions, API) so that nothing is rounded and no time is naive.
Zones appear in `decide/oncall.py` and at the borders only.
"""

from __future__ import annotations

from tocsin.model.access import TOCSIN, Actor, Secret, Token, secret_matches
from tocsin.model.alerts import (
    Alert,
    ChangeEvent,
    Link,
    Parsed,
    Post,
    Rejected,
    Repeated,
    StoredAlert,
    Tombstone,
    later_start,
)
from tocsin.model.civil import instant, rfc3339
from tocsin.model.incidents import Arrival, Beat, DueKind, Entry, Incident, Related, Storm
from tocsin.model.pages import (
    Accepted,
    Attempt,
    AttemptState,
    Cancelled,
    Failed,
    Message,
    Outcome,
    Page,
    PageKind,
    PageStatus,
    Unknown,
)
from tocsin.model.people import Contact, ContactState, NotifyRule, Only, Policy, Step, Target, Team, User, Verification
from tocsin.model.problems import Option, Problem, Where
from tocsin.model.rules import Enrich, Flap, Inhibition, Maintenance, Rule, RuleSet, Silence, Threshold
from tocsin.model.schedules import (
    FeedCopy,
    FeedShift,
    Holidays,
    Hours,
    Ical,
    Layer,
    MadeOverride,
    Override,
    Rotation,
    Schedule,
    Swap,
    Unit,
)
from tocsin.model.settings import (
    DEFAULT_PRIORITIES,
    DEFAULT_THROTTLE,
    ChannelConfig,
    Defaults,
    Heartbeat,
    IntegrationConfig,
    Limit,
    Retention,
    Server,
    Service,
    Settings,
    StormLimit,
    Support,
)
from tocsin.model.values import EMPTY, changed, record
from tocsin.model.words import (
    DAY,
    HOUR,
    MINUTE,
    OPEN,
    PRIORITIES,
    SECOND,
    SEVERITIES,
    URGENCY_OF,
    Impact,
    Instant,
    Millis,
    Priority,
    Role,
    Severity,
    SignalStatus,
    Status,
    Urgency,
)

__all__ = [
    "changed", "record", "EMPTY",
    "Instant", "Millis", "SECOND", "MINUTE", "HOUR", "DAY", "Severity", "Urgency", "Impact", "Priority", "Role",
    "Status", "SignalStatus", "OPEN", "SEVERITIES", "PRIORITIES", "URGENCY_OF", "rfc3339", "instant",
    "Actor", "TOCSIN", "Token", "Secret", "secret_matches",
    "Link", "Alert", "Rejected", "Parsed", "StoredAlert", "Tombstone", "Post", "ChangeEvent", "Repeated", "later_start",
    "DueKind", "Incident", "Arrival", "Entry", "Related", "Beat", "Storm",
    "PageKind", "PageStatus", "AttemptState", "Page", "Attempt", "Accepted", "Failed", "Unknown", "Cancelled",
    "Outcome", "Message",
    "Contact", "NotifyRule", "User", "Team", "ContactState", "Verification", "Target", "Only", "Step", "Policy",
    "Unit", "Rotation", "Hours", "Holidays", "Layer", "FeedShift", "Override", "Ical", "Schedule", "MadeOverride",
    "Swap", "FeedCopy",
    "Option", "Where", "Problem",
    "RuleSet", "Threshold", "Flap", "Enrich", "Rule", "Silence", "Inhibition", "Maintenance",
    "Support", "Service", "IntegrationConfig", "ChannelConfig", "Limit", "Heartbeat", "StormLimit", "Server",
    "Defaults", "Retention", "DEFAULT_PRIORITIES", "DEFAULT_THROTTLE", "Settings",
]

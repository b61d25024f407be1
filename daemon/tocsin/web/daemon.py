"""The parts of the daemon that web/ may touch: `wiring.Daemon` as `make_app` takes it."""

from __future__ import annotations

from typing import Protocol

from tocsin.contracts import Chance, Clock, Store
from tocsin.metrics import Metrics
from tocsin.work.heartbeats.heartbeats import Heartbeats
from tocsin.work.incidents.actions import Actions
from tocsin.work.incidents.self_alerts import SelfAlerts
from tocsin.work.ingest.intake import Intake
from tocsin.work.muting.silences import Silences
from tocsin.work.oncall.calendar_links import Subscriptions
from tocsin.work.oncall.overrides import Overrides
from tocsin.work.oncall.swaps import Swaps
from tocsin.work.paging.contacts import Contacts
from tocsin.work.paging.replies import Replies
from tocsin.work.runtime import InForce
from tocsin.work.signing_keys import Keys
from tocsin.work.upkeep.api_tokens import Access
from tocsin.work.upkeep.health import Health
from tocsin.work.whatif.explain import Foresight


class Daemon(Protocol):
    """The parts of the daemon by their names. `live` is read anew for each request: a reload replaces it whole."""

    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def chance(self) -> Chance: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def live(self) -> InForce: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def actions(self) -> Actions: ...
    @property
    def silences(self) -> Silences: ...
    @property
    def heartbeats(self) -> Heartbeats: ...
    @property
    def overrides(self) -> Overrides: ...
    @property
    def swaps(self) -> Swaps: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def answers(self) -> Replies: ...
    @property
    def contacts(self) -> Contacts: ...
    @property
    def access(self) -> Access: ...
    @property
    def self_alerts(self) -> SelfAlerts: ...
    @property
    def health(self) -> Health: ...
    @property
    def foresight(self) -> Foresight: ...
    async def reload(self, yes: bool = False) -> str: ...

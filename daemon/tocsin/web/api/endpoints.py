"""Every endpoint of the API, from the files that answer them: what is routed, guarded and documented."""

from __future__ import annotations

from tocsin.web.api import calendars, contacts, explain, heartbeats, muting, overrides, resources, storms
from tocsin.web.api.resources import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *resources.ENDPOINTS, *contacts.ENDPOINTS, *calendars.ENDPOINTS, *overrides.ENDPOINTS,
    *muting.ENDPOINTS, *heartbeats.ENDPOINTS, *storms.ENDPOINTS, *explain.ENDPOINTS,
)  # fmt: skip

"""Every endpoint of the API, from the files that answer them: what is routed, guarded and documented."""

from __future__ import annotations

from tocsin.web import api, calendars, contacts, heartbeats, overrides, quiet, storms
from tocsin.web.api import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *api.ENDPOINTS, *contacts.ENDPOINTS, *calendars.ENDPOINTS, *overrides.ENDPOINTS,
    *quiet.ENDPOINTS, *heartbeats.ENDPOINTS, *storms.ENDPOINTS,
)  # fmt: skip

"""Every endpoint of the API, from the files that answer them: what is routed, guarded and documented."""

from __future__ import annotations

from tocsin.web.api import (
    actions,
    alerts,
    calendars,
    changes,
    configuration,
    contacts,
    explain,
    heartbeats,
    incidents,
    maintenance,
    oncall,
    overrides,
    silences,
    storms,
)
from tocsin.web.api.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *incidents.ENDPOINTS, *actions.ENDPOINTS, *alerts.ENDPOINTS, *oncall.ENDPOINTS, *silences.ENDPOINTS,
    *configuration.ENDPOINTS, *contacts.ENDPOINTS, *calendars.ENDPOINTS, *overrides.ENDPOINTS,
    *maintenance.ENDPOINTS, *changes.ENDPOINTS, *heartbeats.ENDPOINTS, *storms.ENDPOINTS, *explain.ENDPOINTS,
)  # fmt: skip

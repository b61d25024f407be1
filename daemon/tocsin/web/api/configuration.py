"""Endpoints for the configuration in force: services and policies, and to read it again."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tocsin.model import Policy, Service, Step
from tocsin.settings.document.scalars import spell
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.problem_json import json_answer


async def list_services(ask: Ask) -> web.Response:
    services = ask.settings.services.values()
    return await ask.apart(lambda: json_answer({"services": [service_view(service) for service in services]}))


def service_view(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "owner": service.owner,
        "policy": service.policy,
        "impact": service.impact,
        "depends_on": list(service.depends_on),
        "runbook": service.runbook,
    }


async def list_policies(ask: Ask) -> web.Response:
    policies = ask.settings.policies.values()
    return await ask.apart(lambda: json_answer({"policies": [policy_view(policy) for policy in policies]}))


def policy_view(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "steps": [step_view(step) for step in policy.steps],
        "repeat": policy.repeat,
        "ack_timeout": None if policy.ack_timeout is None else spell(policy.ack_timeout),
    }


def step_view(step: Step) -> dict[str, Any]:
    only = {"priority": list(step.only.priority), "urgency": list(step.only.urgency), "hours": step.only.hours}
    return {
        "notify": [str(each) for each in step.notify],
        "wait": spell(step.wait),
        "only": {name: value for name, value in only.items() if value},
        "pick": step.pick,
    }


async def reload(ask: Ask) -> web.Response:
    return json_answer({"said": await ask.daemon.reload(ask.read(bodies.Reload).yes)})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/v1/services", "viewer", list_services, "Services", "configuration", bodies.ServiceList),
    Endpoint("GET", "/v1/policies", "viewer", list_policies, "Escalation policies", "configuration", bodies.PolicyList),
    Endpoint(
        "POST", "/v1/reload", "admin", reload, "Read the configuration again", "configuration", bodies.Said,
        bodies.Reload,
    ),
)  # fmt: skip

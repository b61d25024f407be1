"""Endpoints for people and their contacts: how it stands with each, codes that prove them, test pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tocsin.decide.text import without_addresses
from tocsin.decide.views import shortened, when
from tocsin.model import SECOND, Actor, Attempt, Instant, Page, User, rfc3339
from tocsin.settings.document.scalars import did_you_mean, duration
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value
from tocsin.web.api.guard import actor_of, sees_all
from tocsin.web.problem_json import HttpProblem, json_answer
from tocsin.work.paging.contacts import ContactView, MessageStatus

LONGEST_WAIT = 10 * SECOND


async def list_users(ask: Ask) -> web.Response:
    users = list(ask.settings.users.values())
    views = await ask.daemon.contacts.all_views(users)
    return json_answer({"users": [user_view(user, views[user.key]) for user in users]})


async def show_user(ask: Ask) -> web.Response:
    user = user_of(ask)
    views = await ask.daemon.contacts.all_views([user])
    return json_answer(user_view(user, views[user.key]))


def user_view(user: User, contacts: Sequence[ContactView]) -> dict[str, Any]:
    """A person without addresses: a token that reads need not know phone numbers."""
    return {
        "key": user.key,
        "name": user.name,
        "timezone": user.timezone,
        "role": user.role,
        "contacts": [contact_view(contact) for contact in contacts],
    }


def contact_view(view: ContactView) -> dict[str, Any]:
    return {
        "name": view.contact.name,
        "channel": view.contact.channel,
        "verified": view.verified,
        "verified_at": when(view.verified_at),
        "usable": view.usable,
        "because": view.because or None,
        "code_expires_at": when(view.code_expires_at),
    }


def user_of(ask: Ask) -> User:
    """The person of the path. Raises HttpProblem 404 with the key that may be meant."""
    key, users = ask.request.match_info["key"], ask.settings.users
    if key not in users:
        raise HttpProblem(404, f"no such user {key[:80]!r}{did_you_mean(key[:80], users)}")
    return users[key]


# ---------------------------------------------------------------------------------- codes and tests


async def verify(ask: Ask) -> web.Response:
    user, contact = user_of(ask), ask.request.match_info["contact"]
    actor = own_or_admins(ask, user, ask.read(bodies.Act).user)
    page, expires = await ask.daemon.contacts.verify(user.key, contact, actor, admin=ask.token.role == "admin")
    said = f"A code is on its way over {contact}. Enter it: tocsin contact confirm {user.key} CODE"
    return json_answer({**named(page), "expires_at": rfc3339(expires), "said": said}, 202)


async def confirm(ask: Ask) -> web.Response:
    user, contact, body = user_of(ask), ask.request.match_info["contact"], ask.read(bodies.Code)
    actor = own_or_admins(ask, user, body.user)
    known = await ask.daemon.contacts.confirm(user.key, contact, body.code, actor)
    said = f"{contact} of {user.key} is verified."
    return json_answer({"user": user.key, "contact": contact, "verified_at": when(known.verified_at), "said": said})


async def send_test_page(ask: Ask) -> web.Response:
    user, body = user_of(ask), ask.read(bodies.TestPage)
    actor = own_or_admins(ask, user, body.user)
    pages = await ask.daemon.contacts.test(user.key, body.by or "", actor)
    return json_answer({"pages": [named(page) for page in pages]}, 202)


async def show_sent(ask: Ask) -> web.Response:
    user, page, wait = user_of(ask), ask.request.match_info["page"], waiting_time(ask)
    sent = await ask.daemon.contacts.settled(user.key, page, Instant(ask.now + wait))
    return json_answer(sent_view(sent, whole=sees_all(ask)))


def own_or_admins(ask: Ask, user: User, named: str | None) -> Actor:
    """The person this request acts as: `user` or an admin. Raises HttpProblem 403 for anybody else: a phone is not
    everybody's to ring.
    """
    actor = actor_of(ask, named)
    if ask.token.role != "admin" and actor.name != user.key:
        raise HttpProblem(403, f"only {user.key} or an admin may do this to the contacts of {user.key}")
    return actor


def waiting_time(ask: Ask) -> int:
    """`wait=5s`: answered when nothing more is to be heard, at the latest then."""
    text = ask.param("wait")
    if text is None:
        return 0
    try:
        return min(duration(text), LONGEST_WAIT)
    except ValueError as mistake:
        raise bad_value("wait", str(mistake)) from None


def named(page: Page) -> dict[str, Any]:
    return {"page": page.id, "user": page.user, "contact": page.contact, "channel": page.channel}


def sent_view(sent: MessageStatus, *, whole: bool) -> dict[str, Any]:
    return {
        **named(sent.page),
        "kind": sent.page.kind,
        "outcome": sent.outcome,
        "delivery": sent.delivery or None,
        "because": sent.because or None,
        "answered": sent.answered,
        "arrived": sent.arrived,
        "settled": sent.settled,
        "attempts": [attempt_view(attempt, whole=whole) for attempt in sent.attempts],
    }


def attempt_view(attempt: Attempt, *, whole: bool) -> dict[str, Any]:
    """An attempt without the address it went to; unless `whole`, without its id too."""
    return {
        "attempt": attempt.id if whole else shortened(attempt.id),
        "number": attempt.number,
        "channel": attempt.channel,
        "started_at": rfc3339(attempt.started_at),
        "ended_at": when(attempt.ended_at),
        "outcome": attempt.state,
        "because": without_addresses(attempt.because),
        "delivery": attempt.delivery or None,
    }


USER = "/v1/users/{key}"
CONTACT = USER + "/contacts/{contact}"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/v1/users", "viewer", list_users, "People and their contacts", "people", bodies.UserList),
    Endpoint("GET", USER, "viewer", show_user, "One person and their contacts", "people", bodies.UserShape),
    Endpoint(
        "POST", CONTACT + "/verify", "responder", verify, "Send a code over a contact", "people", bodies.CodeSent,
        bodies.Act, status=202,
    ),
    Endpoint(
        "POST", CONTACT + "/confirm", "responder", confirm, "The code that came: the contact is verified", "people",
        bodies.Confirmed, bodies.Code,
    ),
    Endpoint(
        "POST", USER + "/test-page", "responder", send_test_page, "Send a marked test page", "people", bodies.TestPages,
        bodies.TestPage, status=202,
    ),
    Endpoint(
        "GET", USER + "/pages/{page}", "viewer", show_sent, "What became of a test page, code or notice", "people",
        bodies.SentShape, params=(Param("wait", "Wait this long (at most `10s`) until nothing more is to be heard.",
                      {"type": "string", "pattern": "^([0-9]|10)s$"}),),
    ),
)  # fmt: skip

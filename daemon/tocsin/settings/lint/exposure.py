"""Findings on a daemon that is open to more people than it should be, or too sparing with messages."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tocsin.model import HOUR, MINUTE, Limit, Problem
from tocsin.settings.document.scalars import is_loopback, spell
from tocsin.settings.lint.facts import LintFacts

EVERYBODY = ("0.0.0.0/0", "::/0")


def findings(facts: LintFacts) -> Iterator[Problem]:
    if facts.sound("server"):
        yield from _open_admin(facts)
        yield from _public_url(facts)
        yield from _proxies(facts)
    if facts.sound("throttle"):
        yield from _throttle(facts)


def _open_admin(facts: LintFacts) -> Iterator[Problem]:
    server = facts.settings.server
    if not is_loopback(server.host) and server.admin_host is None:
        message = f"listens on {server.host} and has no admin_listen, so everyone who reaches it reads /metrics"
        where = facts.at("server", "listen")
        yield facts.warn(where, "open-admin", f"listen: {message}", "write admin_listen: 127.0.0.1:8421")


def _public_url(facts: LintFacts) -> Iterator[Problem]:
    url = facts.settings.server.public_url
    reaching = any(channel.type != "console" for channel in facts.settings.channels.values())
    if url is None and reaching:
        message = "server: without public_url pages carry no link to answer by, and callbacks cannot be verified"
        fix = "write public_url: https://… with the address under which phones and providers reach this daemon"
        yield facts.warn(facts.at("server"), "no-public-url", message, fix)
    if url is not None and url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
        message = f"public_url: {url} is not https, so links that acknowledge travel for everybody to read"
        fix = f"write https{url.removeprefix('http')}, with a proxy in front that has a certificate"
        yield facts.warn(facts.at("server", "public_url"), "insecure-url", message, fix)


def _proxies(facts: LintFacts) -> Iterator[Problem]:
    for place, proxy in enumerate(facts.settings.server.trusted_proxies):
        if proxy in EVERYBODY:
            message = f"trusted_proxies: {proxy} is everybody, so each client may claim any address for itself"
            where = facts.at("server", "trusted_proxies", place)
            yield facts.warn(where, "trusts-everyone", message, "write the addresses of your own proxies")


def _throttle(facts: LintFacts) -> Iterator[Problem]:
    """Warn of throttles that may hold a page about a P1 back for long. One slot of a window is kept for P1 where it has
    several.
    """
    for name, limits in facts.settings.throttle.items():
        for place, limit in enumerate(limits):
            if facts.written.node("throttle", name) is not None and _swallows(limit):
                shown = f"{limit.count}/{spell(limit.window)}"
                message = f"{name}: {shown} may keep a message about a P1 from a person for up to {spell(limit.window)}"
                fix = "write a shorter window, or two messages or more for it; the default is 1/1m, 5/15m, 11/1h"
                yield facts.warn(facts.at("throttle", name, place), "tight-throttle", message, fix)


def _swallows(limit: Limit) -> bool:
    alone = limit.count == 1 and limit.window > 15 * MINUTE
    return alone or limit.count * HOUR < limit.window

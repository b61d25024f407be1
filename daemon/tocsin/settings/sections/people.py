"""Sections users, teams and channels: who there is, and how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tocsin.model import ChannelConfig, Contact, NotifyRule, Option, Team, User
from tocsin.settings.document import nodes, scalars
from tocsin.settings.document.nodes import Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.shapes import (
    BROKEN,
    LEFT_OUT,
    Choice,
    Got,
    Key,
    Many,
    Name,
    Nothing,
    Record,
    Shape,
    Table,
    text,
    wrong_kind,
)
from tocsin.settings.sections.phones import PHONE, without_sms
from tocsin.settings.sections.plugin_options import DURATION, EMAIL, Kinded
from tocsin.settings.sections.shared import LINE, ZONE, default_zone

# --------------------------------------------------------------------------------------- channels

_ADDRESSES: Mapping[str, Shape[str]] = MappingProxyType(
    {"phone": PHONE, "email": EMAIL, "text": text("an address", longest=1000)}
)


def address_shape(kind: Any) -> Shape[str]:
    """The shape of an address for this kind of channel."""
    return _ADDRESSES[getattr(kind, "address", "text")]


def _channel_keys(kind: Any) -> Mapping[str, Key]:
    return {"to": Key(address_shape(kind), "a fixed destination; makes the channel a target: `channel:NAME`")}


def _channel(got: Got, reading: Reading, type: str, kind: Any) -> ChannelConfig:
    _check_sender(got, kind, reading)
    _check_api_base(got, reading)
    _check_private_url(got, kind, reading)
    return ChannelConfig(got.name, type, options_of(got, kind.options), got.get("to"))


def _check_sender(got: Got, kind: Any, reading: Reading) -> None:
    """A kind that takes either of two senders needs one of them."""
    senders = ("from", "messaging_service_sid")
    if (
        all(name in kind.options for name in senders)
        and not any(got.has(name) for name in senders)
        and not got.node.cut
    ):
        reading.error(got.node, "missing-key", "'from' or 'messaging_service_sid' is missing", at=got.node.key_at)


def _check_api_base(got: Got, reading: Reading) -> None:
    """Pages and credentials go to another address than the provider's only where that is said twice."""
    host = urlsplit(got.get("api_base", "")).hostname
    if host is None or got.get("allow_private") or scalars.is_loopback(host):
        return
    message = f"'{host}' is neither the provider nor loopback; write allow_private: true if that is meant"
    reading.error(got.at("api_base"), "api-base", message)


def _check_private_url(got: Got, kind: Any, reading: Reading) -> None:
    """A private address without the word for it is refused at each page, so say it before the first."""
    host = urlsplit(got.get("url", "")).hostname
    if host and "allow_private" in kind.options and not got.get("allow_private") and scalars.is_private(host):
        message = f"'{host}' is a private address, so pages will be refused; write allow_private: true if it is meant"
        reading.warn(got.at("url"), "private-address", message)


def options_of(got: Got, options: Mapping[str, Option]) -> Mapping[str, Any]:
    """The declared options that are written or have a default."""
    given = {name: got.get(name, option.default) for name, option in options.items()}
    return MappingProxyType({name: value for name, value in given.items() if value is not None})


CHANNELS = Table(Kinded("channels", _channel_keys, _channel), scalars.name, "channels")
FALLBACKS = Table(Many(Name("channels"), least=1, alone=True))


def fallbacks(
    written: Mapping[str, tuple[str, ...]], node: nodes.Mapping, reading: Reading
) -> dict[str, tuple[str, ...]]:
    """Channels to try when one is failing; both sides must exist, and be of one kind of address."""
    usable: dict[str, tuple[str, ...]] = {}
    for name, others in written.items():
        entry = node.entries[name]
        if not reading.knows(_key_node(name, entry), "channels", name):
            continue
        for other in others:
            _check_fallback(name, other, entry, reading)
        live = reading.values.get("channels", {})
        usable[name] = tuple(other for other in others if other in live)
    return {name: others for name, others in usable.items() if others and name in reading.values.get("channels", {})}


def _key_node(name: str, entry: Node) -> Node:
    return Scalar(entry.key_at, "fallbacks", entry.key_at, name, plain=True)


def _check_fallback(name: str, other: str, entry: Node, reading: Reading) -> None:
    if name == other:
        reading.error(entry, "fallback", f"'{name}' cannot stand in for itself")
        return
    live = reading.values.get("channels", {})
    if name not in live or other not in live:
        return
    kinds = [reading.kinds.kind("channels", live[each].type) for each in (name, other)]
    wants, offers = (getattr(kind, "address", "text") for kind in kinds)
    if wants != offers:
        reading.error(
            entry, "fallback", f"'{other}' needs {_A[offers]} and '{name}' {_A[wants]}; name a channel of the same kind"
        )


_A = {"phone": "a phone number", "email": "a mail address", "text": "a free address"}


# ------------------------------------------------------------------------------------------ users


@dataclass(frozen=True, eq=False)
class _ContactShape(Shape[Contact]):
    """`sms: "+351…"` (the channel of that name), or `second: {channel: sms, to: "+351…"}`."""

    @property
    def named(self) -> Shape[Any]:
        """The longer form's keys."""
        return _NAMED_CONTACT

    def read(self, node: Node, reading: Reading) -> Contact | Nothing:
        if isinstance(node, nodes.Mapping):
            return _NAMED_CONTACT.read(node, reading)
        if not isinstance(node, Scalar):
            return wrong_kind(node, reading, "an address, or {channel: …, to: …}")
        name = Scalar(node.key_at, "contacts", node.key_at, node.key, plain=True)
        return _contact(node.key, name, node, reading)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, _NAMED_CONTACT.schema()]}


def _named_contact(got: Got, reading: Reading) -> Contact | Nothing:
    return _contact(got.name, got.at("channel"), got.at("to"), reading)


class _Later(Shape[str]):
    """Read by whoever knows what it must be."""

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        return node.text if isinstance(node, Scalar) and not node.empty else wrong_kind(node, reading, "an address")

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


_NAMED_CONTACT = Record(
    "a contact",
    {
        "channel": Key(_Later(), "over which channel", required=True),
        "to": Key(_Later(), "the address there", required=True),
    },
    _named_contact,
)


def _contact(name: str, channel: Node, to: Node, reading: Reading) -> Contact | Nothing:
    written = channel.text if isinstance(channel, Scalar) else ""
    if not reading.knows(channel, "channels", written):
        return BROKEN
    if ("channels", written) in reading.left_out:
        reading.warn(
            channel, "left-out", f"the contact '{name}' is left out: the channel '{written}' has no effect now"
        )
        return LEFT_OUT
    config = reading.values.get("channels", {}).get(written)
    if config is None:
        return BROKEN
    kind = reading.kinds.kind("channels", config.type)
    address = address_shape(kind).read(to, reading)
    if isinstance(address, Nothing):
        return address
    _check_takes_sms(kind, address, to, reading)
    return Contact(name, written, address)


def _check_takes_sms(kind: Any, number: str, node: Node, reading: Reading) -> None:
    if getattr(kind, "address", "") == "phone" and getattr(kind, "throttle", "") == "sms":
        what = without_sms(number)
        if what:
            reading.warn(node, "landline", f"{number} is {what}, which takes no SMS; use a voice channel for it")


_NOTIFY_RULE = Record(
    "a notify rule",
    {
        "by": Key(Many(text("a contact's name"), least=1, alone=True), "which contacts, by name", required=True),
        "after": Key(DURATION, "how long after the step's page", shown="0s"),
    },
    lambda got, _reading: NotifyRule(got.get("by"), got.get("after", 0)),
)
_NOTIFY_RULES = Many(_NOTIFY_RULE, least=1, alone=True)
_NOTIFY_KEYS = {
    urgency: Key(_NOTIFY_RULES, f"rules for incidents of {urgency} urgency") for urgency in ("high", "medium", "low")
}
_CONTACTS = Table(_ContactShape(), scalars.name)


def _user(got: Got, reading: Reading) -> User:
    contacts = got.get("contacts", {})
    for name in _entries(got.at("contacts")) if got.has("contacts") else {}:
        if name not in contacts:
            reading.left_out[("contacts", f"{got.name}/{name}")] = "its channel has no effect now"
    _check_phones(got, contacts, reading)
    notify = {urgency: _usable(rules, contacts) for urgency, rules in _notify(got, contacts, reading).items()}
    return User(
        key=got.name,
        name=got.get("name", got.name),
        timezone=got.get("timezone") or default_zone(reading),
        role=got.get("role", "responder"),
        contacts=MappingProxyType(contacts),
        notify=MappingProxyType({urgency: rules for urgency, rules in notify.items() if rules}),
    )


def _entries(node: Node) -> Mapping[str, Node]:
    return node.entries if isinstance(node, nodes.Mapping) else {}


def _notify(got: Got, contacts: Mapping[str, Contact], reading: Reading) -> Mapping[str, tuple[NotifyRule, ...]]:
    """The rules as written, once every `by` is checked against the person's contacts."""
    written = _entries(got.at("contacts")) if got.has("contacts") else {}
    for node in nodes.walk(got.at("notify")) if got.has("notify") else ():
        if isinstance(node, Scalar) and node.key == "by" and node.text not in written:
            hint = scalars.did_you_mean(node.text, written)
            reading.error(node, "unknown-name", f"{got.name} has no contact '{node.text}'{hint}")
    found: Mapping[str, tuple[NotifyRule, ...]] = got.get("notify", {})
    return found


def _usable(rules: tuple[NotifyRule, ...], contacts: Mapping[str, Contact]) -> tuple[NotifyRule, ...]:
    kept = (NotifyRule(tuple(name for name in rule.by if name in contacts), rule.after) for rule in rules)
    return tuple(rule for rule in kept if rule.by)


def _check_phones(got: Got, contacts: Mapping[str, Contact], reading: Reading) -> None:
    """A phone belongs to one person: an answer from it must name one actor."""
    for name, contact in contacts.items():
        config = reading.values["channels"][contact.channel]
        if getattr(reading.kinds.kind("channels", config.type), "address", "") != "phone":
            continue
        node = _entries(got.at("contacts"))[name]
        owner, where = reading.phones.setdefault(contact.to, (got.name, node.at))
        if owner != got.name:
            reading.error(
                node,
                "shared-phone",
                f"{contact.to} is {owner}'s phone already ({where}); a phone belongs to one person",
            )


class _UserShape(Record):
    """A user; while it is read, its zone says of which country a national phone number may be."""

    def read(self, node: Node, reading: Reading) -> User | Nothing:
        zone = _entries(node).get("timezone")
        reading.zone = zone.text if isinstance(zone, Scalar) else ""
        found: User | Nothing = super().read(node, reading)
        reading.zone = ""
        return found


USERS = Table(
    _UserShape(
        "a user",
        {
            "name": Key(LINE, "as people read it", shown="its key"),
            "timezone": Key(ZONE, "for times shown to this person", shown="defaults.timezone"),
            "role": Key(Choice(("viewer", "responder", "admin")), "what the person may do", shown="responder"),
            "contacts": Key(_CONTACTS, "ways to reach this person, the first one first"),
            "notify": Key(
                Record("notify rules", _NOTIFY_KEYS, lambda got, _reading: dict(got.values)),
                "personal rules by the incident's urgency; `medium` absent: as `high`",
            ),
        },
        _user,
    ),
    scalars.name,
    "users",
)

TEAMS = Table(
    Record(
        "a team",
        {
            "members": Key(Many(Name("users"), least=1), "who belongs to it", required=True),
            "managers": Key(Many(Name("users")), "who leads it: `managers:NAME`"),
        },
        lambda got, _reading: Team(got.name, got.get("members"), got.get("managers", ())),
    ),
    scalars.name,
    "teams",
)

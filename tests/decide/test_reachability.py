"""Will the phone ring? What wakes a person, what is against it, and what nobody has proven."""

from __future__ import annotations

import pytest

from tocsin.decide.paging.reachability import ContactFacts, Rings, Unproven, Unreachable, will_ring
from tocsin.model import ChannelConfig, Contact, NotifyRule, Settings, User

SETTINGS = Settings(channels={name: ChannelConfig(name, "webhook") for name in ("sms", "voice", "mail")})


def judged(
    names: str = "sms voice mail", high: str = "sms voice", *, dead: str = "", failing: str = "", proven: str = ""
) -> Rings | Unproven | Unreachable:
    contacts = {name: Contact(name, name, "x") for name in names.split()}
    notify = {"high": tuple(NotifyRule((name,)) for name in high.split())} if high else {}
    lines = ContactFacts(
        unusable=lambda contact: "answered STOP" if contact.name in dead.split() else "",
        failing=lambda contact: "its channel fails" if contact.name in failing.split() else "",
        verified=lambda _user, contact: contact.name in proven.split(),
    )
    return will_ring(User("bo", "Bo", "UTC", contacts=contacts, notify=notify), SETTINGS, lines)


@pytest.mark.parametrize(
    ("case", "found"),
    [
        ({"proven": "sms"}, Rings()),
        ({"proven": "voice"}, Rings()),
        ({"proven": "mail"}, Unproven("sms and voice are not verified")),  # mail wakes nobody
        ({"proven": "sms", "dead": "sms"}, Unproven("voice is not verified")),
        ({"proven": "sms voice", "dead": "sms", "failing": "voice"},
         Unreachable("sms: answered STOP; voice: its channel fails")),
        ({"high": "", "proven": "mail"}, Rings()),  # without rules every contact is asked
        ({"names": "", "high": ""}, Unreachable("no contact is configured")),
    ],
)  # fmt: skip
def test_it_is_judged_by_what_would_wake_the_person(
    case: dict[str, str], found: Rings | Unproven | Unreachable
) -> None:
    assert judged(**case) == found

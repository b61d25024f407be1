"""`tocsin contact` and `tocsin test-page` against a scripted daemon; `check` beside a real database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted import Scripted
from tocsin.clock import SeededChance, SystemClock
from tocsin.contracts import Tx
from tocsin.model import ContactState, Instant, Verification
from tocsin.store import open_store


def contact(name: str, **state: Any) -> dict[str, Any]:
    plain = {"name": name, "channel": name, "verified": False, "verified_at": None, "usable": True, "because": None}
    return {**plain, "code_expires_at": None, **state}


def user(*contacts: dict[str, Any]) -> dict[str, Any]:
    return {"key": "ana", "name": "Ana", "timezone": "UTC", "role": "responder", "contacts": list(contacts)}


def asked(daemon: Scripted) -> list[tuple[str, str, Any]]:
    return [(method, path, body) for method, path, body, _ in daemon.asked]


def test_a_code_is_sent_over_the_only_contact(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/users/ana", user(contact("sms")))
    daemon.on("POST", "/v1/users/ana/contacts/sms/verify", {"said": "A code is on its way over sms."}, 202)

    done = tocsin("contact", "verify", "ana", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert (done.returncode, done.stdout) == (0, "A code is on its way over sms.\n")


def test_which_contact_must_be_said_where_there_are_several(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/users/ana", user(contact("sms"), contact("mail")))

    done = tocsin("contact", "verify", "ana", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == 2
    assert done.stderr == "tocsin: ana has several contacts; say which: --by sms or --by mail\n"


def test_a_code_goes_to_the_contact_that_waits_for_one(daemon: Scripted, tocsin: Run) -> None:
    waiting = contact("mail", code_expires_at="2026-01-05T09:00:00Z")
    daemon.on("GET", "/v1/users/ana", user(contact("sms"), waiting))
    daemon.on("POST", "/v1/users/ana/contacts/mail/confirm", {"said": "mail of ana is verified."})

    done = tocsin("contact", "confirm", "ana", "123456", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert (done.returncode, done.stdout) == (0, "mail of ana is verified.\n")
    assert asked(daemon)[-1] == ("POST", "/v1/users/ana/contacts/mail/confirm", {"code": "123456"})


def test_two_contacts_with_one_address_wait_for_one_code(daemon: Scripted, tocsin: Run) -> None:
    until = "2026-01-05T09:00:00.123Z"
    both = user(contact("sms", code_expires_at=until), contact("voice", code_expires_at=until))
    daemon.on("GET", "/v1/users/ana", both)
    daemon.on("POST", "/v1/users/ana/contacts/sms/confirm", {"said": "sms of ana is verified."})

    done = tocsin("contact", "confirm", "ana", "123456", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert (done.returncode, done.stdout) == (0, "sms of ana is verified.\n")


def test_a_code_that_nobody_waits_for_says_how_to_get_one(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/users/ana", user(contact("sms")))

    done = tocsin("contact", "confirm", "ana", "123456", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == 1
    assert "no code is under way for ana; send one with: tocsin contact verify ana --by CONTACT" in done.stderr


def test_contacts_are_listed_with_what_is_against_them(daemon: Scripted, tocsin: Run) -> None:
    stopped = contact("sms", usable=False, because="answered STOP")
    daemon.on("GET", "/v1/users", {"users": [user(stopped, contact("mail", verified_at="2026-01-05T09:00:00Z"))]})

    done = tocsin("contact", "list", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["ana", "sms"], ["ana", "mail"]]
    assert "no: answered STOP" in done.stdout


PAGE = {"page": "p1", "user": "ana", "contact": "sms", "channel": "sms"}


def sent(**state: Any) -> dict[str, Any]:
    plain = {**PAGE, "outcome": "accepted", "delivery": None, "because": None, "arrived": True, "settled": True}
    return {**plain, **state}


@pytest.mark.parametrize(
    ("became", "code", "said"),
    [
        (sent(delivery="delivered"), 0, "sms: accepted, delivered\n"),
        (sent(delivery="replied", because="you answered the test by SMS: ok"), 0,
         "sms: accepted, replied: you answered the test by SMS: ok\n"),
        (sent(settled=False), 0, "sms: accepted, no word of its delivery yet\n"),
        (sent(outcome="planned", arrived=False, settled=False), 1,
         "sms: not sent yet: the person's limit on messages (throttle), or pages that go first, keep it waiting\n"),
        (sent(outcome="failed", because="not a number", arrived=False), 1, "sms: failed: not a number\n"),
        (sent(outcome="accepted", delivery="undelivered", arrived=False), 1, "sms: accepted, undelivered\n"),
    ],
)  # fmt: skip
def test_what_became_of_a_test_page_decides_the_exit_code(
    daemon: Scripted, tocsin: Run, became: dict[str, Any], code: int, said: str
) -> None:
    daemon.on("POST", "/v1/users/ana/test-page", {"pages": [PAGE]}, 202)
    daemon.on("GET", "/v1/users/ana/pages/p1", became)

    done = tocsin("test-page", "ana", "--by", "sms", "--wait", "11s", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert (done.returncode, done.stdout) == (code, said)
    assert asked(daemon)[0] == ("POST", "/v1/users/ana/test-page", {"by": "sms"})
    waits = ["/v1/users/ana/pages/p1?wait=10s", "/v1/users/ana/pages/p1?wait=1s"]
    assert [path for _, path, _ in asked(daemon)[2:]] == ([] if became["settled"] else waits)


def test_a_test_page_is_json_for_a_script(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/users/ana/test-page", {"pages": [PAGE]}, 202)
    daemon.on("GET", "/v1/users/ana/pages/p1", sent())

    done = tocsin("test-page", "ana", "--json", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert json.loads(done.stdout) == {"pages": [sent()]}


# ------------------------------------------------------------------------------------------- check

CONFIG = """
server: {public_url: "https://tocsin.example.org"}
database: {url: "sqlite:tocsin.db"}
catch_all: [user:ana, user:bo]
channels:
  terminal: {type: console}
  mail: {type: smtp, host: mail.example.org, from: tocsin@example.org}
  sms: {type: twilio_sms, account_sid: AC1, auth_token: t, from: "+15005550006"}
users:
  ana: {contacts: {sms: "+15005550010", mail: ana@example.org}}
  bo: {contacts: {terminal: bo, sms: "+15005550011"}}
"""


def checked(tocsin: Run, folder: Path) -> list[tuple[int, str, str]]:
    done = tocsin("check", "--json", "-c", str(folder / "tocsin.yaml"))
    found = [one for one in json.loads(done.stdout)["problems"] if one["code"] == "unverified-contact"]
    return [(one["line"], one["level"], one["message"]) for one in found]


async def kept(folder: Path) -> None:
    store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=SystemClock(), chance=SeededChance(1))

    async def work(tx: Tx) -> None:
        tx.save_verification(Verification("ana", "smtp", "ana@example.org", Instant(1), "user:ana"))
        tx.save_verification(
            Verification("ana", "twilio_sms", "+15005550099", Instant(1), "user:ana")
        )  # another number
        tx.save_contact_state(ContactState("twilio_sms", "+15005550011", False, "answered STOP", Instant(1)))

    await store.write(work)
    await store.close()


def test_check_tells_which_contacts_are_not_verified_where_there_is_a_database(tocsin: Run, tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text(CONFIG)
    (tmp_path / "tocsin.yaml").chmod(0o600)
    assert checked(tocsin, tmp_path) == []
    assert not (tmp_path / "tocsin.db").exists()

    asyncio.run(kept(tmp_path))

    assert checked(tocsin, tmp_path) == [
        (10, "warning", "user ana: contact sms is not verified; run `tocsin contact verify ana --by sms`"),
        (11, "warning",
         "user bo: contact sms cannot be used: answered STOP; run `tocsin contact verify bo --by sms`"),
    ]  # fmt: skip

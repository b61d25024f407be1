"""What answers at TOCSIN_URL may be a proxy's page, or nothing: every client command says so, and believes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted import Scripted

FOREIGN = {
    "a page": b"<html><body>Please sign in</body></html>",
    "nothing": b"",
    "a list": b"[1, 2]",
    "null": b"null",
    "an empty object": b"{}",
    "another object": b'{"hello": "world"}',
    "wrong shapes": b'{"incidents": 5, "silences": null, "schedules": [null], "overrides": {}, "swaps": [1], "number": "x", "status": 7, '
                    b'"heartbeats": "x", "windows": 3, "alerts": 1, "contacts": [[]], "accepted": "many", "incident": [], "users": 4}',
    "very deep": b"[" * 100_000,
    "no text": b"\xff\xfe\x00",
}  # fmt: skip

COMMANDS = [
    ("incidents",), ("show", "1"), ("ack", "1"), ("ack", "1", "2"), ("unack", "1"), ("resolve", "1"), ("escalate", "1"), ("cancel", "1"),
    ("snooze", "1", "30m"), ("note", "1", "x"), ("page", "1", "bo"), ("trigger", "x"), ("send", "-i", "a", "-t", "x", "--token", "t"),
    ("contact", "list"), ("contact", "verify", "ana"), ("contact", "confirm", "ana", "123456"), ("test-page", "ana"),
    ("override", "add", "primary", "-u", "bo", "--for", "1h"), ("override", "list"), ("override", "remove", "x"),
    ("swap", "ask", "primary", "--with", "bo", "--from", "Tue 06:00", "--to", "Wed 06:00"), ("swap", "accept", "x"), ("swap", "list"),
    ("silence", "add", 'a="b"', "--for", "1h"), ("silence", "list"), ("heartbeat", "list"), ("heartbeat", "ping", "x"), ("maintenance", "list"),
    ("oncall",), ("oncall", "--from", "2030-01-01", "--to", "2030-01-02"), ("explain", "--title", "x"),
]  # fmt: skip


class Same(dict[Any, Any]):
    """One answer to everything."""

    body: tuple[int, bytes] = (200, b"")

    def get(self, key: object, default: object = None) -> tuple[int, bytes]:
        return self.body


@pytest.fixture
def anything(daemon: Scripted) -> Scripted:
    """A scripted daemon that answers everything alike."""
    daemon.answers = Same()
    return daemon


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_foreign_answer_is_one_line_and_never_success(
    anything: Scripted, tocsin: Run, words: tuple[str, ...]
) -> None:
    assert isinstance(anything.answers, Same)
    for status, name in [(302, "nothing"), *((200, name) for name in FOREIGN)] if words[0] in ("ack", "send") else [(200, "a page"), (200, "wrong shapes")]:  # fmt: skip
        anything.answers.body = (status, FOREIGN[name])

        done = tocsin(*words, TOCSIN_URL=anything.url, TOCSIN_TOKEN="t")

        assert done.returncode == 3 or (words[1:] == ("1", "2") and done.returncode != 0), (name, done)
        assert "Traceback" not in done.stderr
        assert "does not answer as Tocsin does" in done.stderr + done.stdout, (name, done)


@pytest.mark.parametrize(
    "url", ["http://x:99999", "http://[", "http://é.example", "ftp://x", "http://", "http://h:x", "http:///a"]
)
def test_an_address_that_is_none_is_one_line(tocsin: Run, url: str) -> None:
    done = tocsin("incidents", TOCSIN_URL=url, TOCSIN_TOKEN="t")

    assert done.returncode == 2
    assert "is not an address" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_error_of_ours_is_one_line_unless_somebody_wants_to_see_where(tocsin: Run) -> None:
    done = tocsin("incidents", "--limit", "1", TOCSIN_URL="http://127.0.0.1:1", TOCSIN_TOKEN="t", TOCSIN_TRACEBACK="1")

    assert done.returncode == 3
    assert "cannot reach the daemon" in done.stderr


def test_who_is_on_call_is_asked_of_the_daemon_where_there_is_no_configuration(daemon: Scripted, tocsin: Run) -> None:
    line = {
        "schedule": "primary",
        "at": "2030-01-01T09:00:00+01:00",
        "users": ["ana"],
        "because": "week",
        "layer": "week",
    }
    daemon.on("GET", "/v1/oncall", {"schedules": [line]})
    span = {"start": "2030-01-01T09:00:00+01:00", "end": "2030-01-02T09:00:00+01:00"}
    daemon.on(
        "GET",
        "/v1/schedules/primary/shifts",
        {"schedule": "primary", "shifts": [{**span, "users": ["ana"], "layer": "week"}], "gaps": []},
    )

    now = tocsin("oncall", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")
    window = tocsin(
        "oncall", "primary", "--from", "Tue 06:00", "--to", "Wed 06:00", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t"
    )
    diff = tocsin("oncall", "--load", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert now.returncode == 0, now.stderr
    assert "ana" in now.stdout
    assert window.returncode == 0, window.stderr
    assert "Tue 2030-01-01 09:00 +0100" in window.stdout
    assert (diff.returncode, "need the configuration" in diff.stderr) == (2, True)


def test_what_would_happen_is_asked_of_the_daemon_where_there_is_no_configuration(
    daemon: Scripted, tocsin: Run
) -> None:
    answer = {
        "at": "2030-01-01T09:00:00+01:00",
        "timezone": "Europe/Paris",
        "alerts": [],
        "rejected": [],
        "not_computed": [],
        "left_out": 0,
    }
    daemon.on("POST", "/v1/explain", answer)

    done = tocsin(
        "explain", "--title", "db down", "-l", "a=b", "--at", "Sunday 03:10", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t"
    )

    assert done.returncode == 0, done.stderr
    assert "Europe/Paris" in done.stdout
    assert daemon.asked == [
        ("POST", "/v1/explain", {"at": "Sunday 03:10", "alert": {"title": "db down", "labels": {"a": "b"}}}, "Bearer t")
    ]

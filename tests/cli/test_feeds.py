"""What `tocsin check`, `oncall` and `explain` know of a calendar feed: what the daemon last fetched, or what is there now."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tocsin.cli import app
from tocsin.clock import SystemChance, SystemClock
from tocsin.decide.oncall.feed_copies import source_of
from tocsin.decide.oncall.feeds import as_json
from tocsin.decide.oncall.ical import read_feed
from tocsin.model import DAY, FeedCopy, Ical, Instant, Secret
from tocsin.store import open_store

PATH = "/secret-of-ours/oncall.ics"
CONFIG = """
database: {{url: "sqlite:tocsin.db"}}
channels: {{terminal: {{type: console}}}}
users:
  ana: {{name: Ana Pires, contacts: {{terminal: Ana}}}}
schedules:
  primary: {{timezone: UTC, ical: {{url: "{url}", allow_private: true}}}}
policies:
  default: {{steps: [{{notify: [schedule:primary]}}]}}
defaults: {{timezone: UTC, policy: default}}
catch_all: [user:ana]
integrations: {{apps: {{type: webhook, token: secret}}}}
"""


def calendar(*titles: str) -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{n}\r\nSUMMARY:{title}\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T210000Z\r\n"
        "RRULE:FREQ=DAILY\r\nEND:VEVENT\r\n"
        for n, title in enumerate(titles)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n".encode()


class Feed(ThreadingHTTPServer):
    """A web server on loopback with one calendar; 404 when `body` is None."""

    body: bytes | None = calendar("Ana Pires", "Zoe Zed")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{PATH}"


@pytest.fixture
def server() -> Iterator[Feed]:
    class Calendars(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, Feed)
            there = self.server.body if self.path == PATH else None
            self.send_response(200 if there is not None else 404)
            self.send_header("Content-Length", str(len(there or b"")))
            self.end_headers()
            self.wfile.write(there or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = Feed(("127.0.0.1", 0), Calendars)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tocsin(tmp_path: Path, server: Feed) -> Callable[..., Result]:
    main = tmp_path / "tocsin.yaml"
    main.write_text(CONFIG.format(url=server.url))
    main.chmod(0o600)

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, [*args, "-c", str(main)])

    return run


def fetched(folder: Path, url: str, body: bytes, error: str = "", ago: int = 0) -> None:
    """What a daemon leaves in its database."""

    async def keep() -> None:
        store = await open_store(f"sqlite:{folder / 'tocsin.db'}", clock=SystemClock(), chance=SystemChance())
        now = Instant(SystemClock().now() // 1000 * 1000 - ago)
        events = as_json(read_feed(body, "UTC", Instant(now - 32 * DAY), Instant(now + 400 * DAY)))
        since = now if error else None

        async def work(tx: Any) -> None:
            tx.save_feed(
                FeedCopy(
                    "primary", source_of(Ical(Secret((url,)))), now, body=body, events=events, error=error, since=since
                )
            )

        await store.write(work)
        await store.close()

    asyncio.run(keep())


def found(result: Result) -> dict[str, str]:
    every = json.loads(result.stdout)["problems"]
    problems = [one for one in every if one["code"].startswith("feed") or one["code"] == "gap"]
    assert all((one["line"], one["column"]) == (7, 3) for one in problems), problems
    return {one["code"]: one["message"] for one in problems}


def test_check_fetches_nothing_and_says_that_it_knows_nothing(tocsin: Callable[..., Result]) -> None:
    assert found(tocsin("check", "--json")) == {
        "feed-not-read": "primary: its feed was not read: there is no database here; tocsin check --online fetches it now"
    }


def test_check_tells_what_the_daemon_met_and_the_gaps_of_what_it_fetched(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    fetched(tmp_path, server.url, calendar("Ana Pires", "Zoe Zed"), error="is answered 404")
    said = found(tocsin("check", "--json"))
    assert list(said) == ["feed-broken", "feed-unknown-name", "gap"]
    assert said["feed-broken"].startswith("primary: its feed is answered 404 since ")
    assert said["feed-unknown-name"] == (
        "primary: its feed names 'Zoe Zed', who is nobody here and is not paged; write people: {\"Zoe Zed\": KEY} under ical"
    )
    assert said["gap"].startswith("primary: nobody is on call from ")
    assert "secret-of-ours" not in tocsin("check").stdout


def test_check_says_when_the_daemon_has_not_fetched_for_long(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    fetched(tmp_path, server.url, calendar("Ana Pires"), ago=2 * DAY)
    assert "was last fetched" in found(tocsin("check", "--json"))["feed-not-read"]


def test_check_online_fetches_now_and_keeps_nothing(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    assert list(found(tocsin("check", "--json", "--online"))) == ["feed-unknown-name", "gap"]
    server.body = None
    assert found(tocsin("check", "--json", "--online")) == {
        "feed-broken": "primary: its feed is answered 404: there is nothing at this address (any more); it was never read, so nobody is on call by it",
    }
    assert not (tmp_path / "tocsin.db").exists()


def test_oncall_and_explain_answer_from_the_last_good_copy(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    fetched(tmp_path, server.url, calendar("Ana Pires"), error="is answered 404")
    when = "2999-01-01T10:00:00Z"
    noon = f"{json.loads(tocsin('oncall', 'primary', '--json').stdout)['at'][:10]}T12:00:00Z"
    assert json.loads(tocsin("oncall", "primary", "--at", noon, "--json").stdout)["users"] == ["ana"]
    assert json.loads(tocsin("oncall", "primary", "--at", when, "--json").stdout)["users"] == []
    alert = tmp_path / "alert.json"
    alert.write_text('{"title": "db down", "dedup_key": "db", "status": "firing"}')
    explained = tocsin("explain", str(alert), "--integration", "apps", "--at", noon, "--json")
    assert json.loads(explained.stdout)["alerts"][0]["plan"][0]["user"] == "ana"


def test_oncall_says_that_nothing_is_known_of_a_feed(tocsin: Callable[..., Result]) -> None:
    result = tocsin("oncall", "primary", "--json")
    assert json.loads(result.stdout)["users"] == []
    assert "primary: nothing of its feed is known here yet, so nobody is on call by it" in result.stderr


def test_what_if_compares_with_what_was_fetched(tocsin: Callable[..., Result], tmp_path: Path, server: Feed) -> None:
    fetched(tmp_path, server.url, calendar("Ana Pires"))
    other = tmp_path / "branch" / "new.yaml"
    other.parent.mkdir()
    other.write_text(
        (tmp_path / "tocsin.yaml")
        .read_text()
        .replace("Ana Pires", "Ana P.")
        .replace("allow_private: true", "allow_private: true, people: {Ana Pires: ana}")
    )
    other.chmod(0o600)
    changes = json.loads(tocsin("oncall", "primary", "--diff", str(other), "--json").stdout)["changes"]
    assert changes == []


def test_check_and_oncall_tell_what_was_left_out_kept_or_guessed_with_its_line(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    poisoned = calendar("Ana Pires", "Zoe").replace(b"SUMMARY:Zoe\r\n", b"SUMMARY:Zoe\r\nRDATE:soon\r\n")
    fetched(tmp_path, server.url, poisoned)
    note = "line 13: the event 'Zoe' has an RDATE that cannot be read: 'soon' is no time, and nothing is added by it"
    assert found(tocsin("check", "--json"))["feed-left-out"] == f"primary: of its feed, {note}"
    result = tocsin("oncall", "primary", "--json")
    assert f"primary: of its feed, {note}" in result.stderr
    assert note not in result.stdout


def test_check_online_says_what_the_daemon_would_keep(
    tocsin: Callable[..., Result], tmp_path: Path, server: Feed
) -> None:
    fetched(tmp_path, server.url, calendar("Ana Pires"))
    server.body = calendar("Ana Pires").replace(b"FREQ=DAILY", b"FREQ=OFTEN")
    said = found(tocsin("check", "--json", "--online"))
    assert said["feed-left-out"].endswith("it stays as the copy before has it")
    assert "feed-empty" not in said

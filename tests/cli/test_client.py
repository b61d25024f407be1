"""Client commands against a scripted daemon: what they ask, what they print, how they fail."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted import Scripted

INCIDENT = {
    "number": 7,
    "key": "demo/db",
    "status": "acknowledged",
    "title": "db down",
    "service": "checkout",
    "severity": "critical",
    "impact": "high",
    "urgency": "high",
    "priority": "P1",
    "category": "",
    "policy": "default",
    "step": 2,
    "acknowledged_by": "ana",
    "alerts": {"firing": 1, "resolved": 0, "total": 1},
    "created_at": "2026-07-01T10:00:00Z",
    "acknowledged_at": "2026-07-01T10:01:00Z",
    "resolved_at": None,
    "closed_at": None,
    "next_page_at": "2026-07-01T10:31:00Z",
    "url": "http://127.0.0.1:8420/incidents/7",
}
DONE = {**INCIDENT, "changed": True, "said": "INC 7 acknowledged by you. Paging stopped."}


def test_an_acknowledgement_says_what_the_daemon_said(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/incidents/7/acknowledge", DONE)

    done = tocsin("ack", "7", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t-1")

    assert (done.returncode, done.stdout, done.stderr) == (0, "INC 7 acknowledged by you. Paging stopped.\n", "")
    assert daemon.asked == [("POST", "/v1/incidents/7/acknowledge", {}, "Bearer t-1")]


@pytest.mark.parametrize(
    ("args", "path", "body"),
    [
        (["unack", "7"], "/v1/incidents/7/unacknowledge", {}),
        (["resolve", "7", "--user", "bo"], "/v1/incidents/7/resolve", {"user": "bo"}),
        (["escalate", "7"], "/v1/incidents/7/escalate", {}),
        (["cancel", "7"], "/v1/incidents/7/cancel", {}),
        (["snooze", "7", "30m"], "/v1/incidents/7/snooze", {"for": "30m"}),
        (["snooze", "7", "1h30m"], "/v1/incidents/7/snooze", {"for": "1h30m"}),
        (["snooze", "7", "2026-07-01 09:00"], "/v1/incidents/7/snooze", {"until": "2026-07-01T08:00:00Z"}),
        (["snooze", "7", "2026-07-01T09:00:00Z"], "/v1/incidents/7/snooze", {"until": "2026-07-01T09:00:00Z"}),
        (["note", "7", "the", "fan died"], "/v1/incidents/7/notes", {"text": "the fan died"}),
        (["page", "7", "bo"], "/v1/incidents/7/page", {"target": "user:bo"}),
        (
            ["page", "7", "schedule:night", "--user", "ana"],
            "/v1/incidents/7/page",
            {"target": "schedule:night", "by": "ana"},
        ),
        (
            ["trigger", "cold store warm", "--service", "cold", "--severity", "critical"],
            "/v1/incidents",
            {"title": "cold store warm", "service": "cold", "severity": "critical"},
        ),
    ],
)
def test_each_action_asks_the_api(
    daemon: Scripted, tocsin: Run, args: list[str], path: str, body: dict[str, str]
) -> None:
    daemon.on("POST", path, DONE, 201 if path == "/v1/incidents" else 200)

    done = tocsin(*args, TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == 0, done.stderr
    assert daemon.asked == [("POST", path, body, "Bearer t")]


def test_a_script_gets_the_incident_as_json(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/incidents/7/resolve", DONE)

    done = tocsin("resolve", "7", "--json", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert json.loads(done.stdout) == DONE


def test_several_are_acknowledged_although_one_is_refused(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/incidents/7/acknowledge", DONE)
    daemon.on("POST", "/v1/incidents/9/acknowledge", {**DONE, "said": "INC 9 acknowledged."})

    done = tocsin("ack", "7", "8", "9", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == 1
    assert "INC 8: there is no such thing" in done.stdout
    assert "INC 9 acknowledged." in done.stdout


def test_the_open_incidents_are_a_table_in_local_time(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [INCIDENT], "next": None})

    done = tocsin("incidents", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    heading, row = done.stdout.splitlines()
    assert heading.split() == ["NUMBER", "PRIORITY", "STATUS", "TITLE", "SERVICE", "WHO", "CREATED", "NEXT", "PAGE"]
    assert row.split("  ")[0] == "7"
    assert "07-01 11:00" in row
    assert daemon.asked[0][1] == "/v1/incidents?status=open&sort=priority&limit=50"


@pytest.mark.parametrize("status", ["resolved", "open,closed", "triggered,canceled"])
def test_with_ended_ones_the_newest_are_first(daemon: Scripted, tocsin: Run, status: str) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [INCIDENT], "next": None})

    tocsin("incidents", "--status", status, TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert "sort" not in daemon.asked[0][1]


def test_what_is_muted_does_not_look_as_if_it_paged(daemon: Scripted, tocsin: Run) -> None:
    muted = {**INCIDENT, "status": "triggered", "muted_by": "silence:0123456789abcdef", "next_page_at": None}
    daemon.on("GET", "/v1/incidents", {"incidents": [muted], "next": None})

    row = tocsin("incidents", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t").stdout.splitlines()[1]

    assert "triggered, muted" in row
    assert row.endswith("none: silence 0123456789ab")


def test_on_a_narrow_terminal_the_title_is_folded_never_lost(daemon: Scripted, tmp_path: Path) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [{**INCIDENT, "title": "the database is down"}], "next": None})

    shown = subprocess.run(
        ["script", "-qec", f"{sys.executable} -m tocsin incidents", "/dev/null"],
        env={
            "PATH": os.environ["PATH"],
            "TOCSIN_URL": daemon.url,
            "TOCSIN_TOKEN": "t",
            "COLUMNS": "80",
            "TERM": "xterm",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )

    assert "the database is" in shown.stdout
    assert "down" in shown.stdout
    assert "\x1b[" in shown.stdout


def test_the_filters_go_to_the_daemon(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [], "next": None})

    done = tocsin("incidents", "--all", "--service", "a&b", "-q", "db", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.stdout == "no incidents\n"
    assert daemon.asked[0][1] == "/v1/incidents?service=a%26b&q=db&limit=50"


def test_an_alerts_text_cannot_steer_the_terminal(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [{**INCIDENT, "title": "\x1b[2Jgone\x07"}], "next": None})

    done = tocsin("incidents", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "[2Jgone" in done.stdout


def test_show_gathers_alerts_pages_and_timeline(daemon: Scripted, tocsin: Run) -> None:
    entry = {
        "at": "2026-07-01T10:00:00Z",
        "kind": "opened",
        "actor": "integration:demo",
        "via": "",
        "channel": "",
        "because": "new",
    }
    page = {
        "page": "p",
        "cycle": 1,
        "round": 1,
        "step": 1,
        "rule": 1,
        "user": "ana",
        "channel": "sms",
        "outcome": "accepted",
    }
    daemon.on("GET", "/v1/incidents/7", INCIDENT)
    daemon.on("GET", "/v1/incidents/7/alerts", {"alerts": [], "next": None})
    daemon.on("GET", "/v1/incidents/7/pages", {"pages": [{**page, "attempts": [{}]}]})
    daemon.on("GET", "/v1/incidents/7/timeline", {"entries": [entry]})

    shown = tocsin("show", "7", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("INC 7  P1  acknowledged  db down\n")
    assert "2026-07-01 11:01:00 WEST by ana" in shown.stdout
    assert "integration:demo" in shown.stdout
    assert "accepted" in shown.stdout


@pytest.mark.parametrize(
    ("key", "total", "said"),
    [
        ("storm/service:shop", 0, "no alerts of its own: a storm, which pages for the incidents that it took in"),
        ("manual/7", 0, "no alerts: opened by hand"),
        ("apps/db", 3, "no alerts: they are not kept any more"),
    ],
)
def test_show_says_why_there_are_no_alerts(daemon: Scripted, tocsin: Run, key: str, total: int, said: str) -> None:
    counted = {**INCIDENT, "key": key, "alerts": {"firing": 0, "resolved": total, "total": total}}
    daemon.on("GET", "/v1/incidents/7", counted)
    daemon.on("GET", "/v1/incidents/7/alerts", {"alerts": [], "next": None})
    daemon.on("GET", "/v1/incidents/7/pages", {"pages": []})
    daemon.on("GET", "/v1/incidents/7/timeline", {"entries": []})
    daemon.on("GET", "/v1/incidents/7/members", {"incidents": [], "next": None})

    shown = tocsin("show", "7", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert said in shown.stdout, shown.stderr


# ------------------------------------------------------------------------------------- how it fails


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (401, {"detail": "unknown token"}, 4, "does not accept the token of TOCSIN_TOKEN: unknown token"),
        (403, {"detail": "this token belongs to no user: create it with --user"}, 4, "create it with --user"),
        (404, {"detail": "there is no incident 7"}, 1, "there is no incident 7"),
        (409, {"detail": "incident 7 is closed"}, 1, "incident 7 is closed"),
        (
            422,
            {"detail": "bad", "errors": [{"pointer": "/user", "detail": "no such user"}]},
            2,
            "bad; /user: no such user",
        ),
        (
            422,
            {"detail": "no such user 'x'", "errors": [{"pointer": "/target", "detail": "no such user 'x'"}]},
            2,
            "tocsin: no such user 'x'\n",
        ),
        (
            422,
            {
                "detail": "mistakes",
                "errors": [{"pointer": "", "detail": "a.yaml:1:1: b: c"}, {"pointer": "", "detail": "d"}],
            },
            2,
            "mistakes; a.yaml:1:1: b: c; d",
        ),
        (503, {"detail": "the database does not answer"}, 3, "answered 503: the database does not answer"),
        (502, b"<html>proxy</html>", 3, "answered 502: <html>proxy</html>"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(
    daemon: Scripted, tocsin: Run, status: int, body: bytes | dict[str, Any], code: int, said: str
) -> None:
    daemon.on("POST", "/v1/incidents/7/acknowledge", body, status)

    done = tocsin("ack", "7", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t")

    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_without_a_daemon_it_says_so(tocsin: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    done = tocsin("incidents", TOCSIN_URL=f"http://127.0.0.1:{port}", TOCSIN_TOKEN="t")

    assert done.returncode == 3
    assert done.stderr == (
        f"tocsin: cannot reach the daemon at http://127.0.0.1:{port}: Connection refused; is `tocsin serve` running?\n"
    )


def test_what_is_no_http_is_a_daemon_that_cannot_be_reached(tocsin: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(30)
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        door.listen()
        running = _answer_garbage_once(door)

        done = tocsin("incidents", TOCSIN_URL=url, TOCSIN_TOKEN="t")

        running.join()
    assert done.returncode == 3
    assert "cannot reach the daemon" in done.stderr


def _answer_garbage_once(door: socket.socket) -> Thread:
    def answer() -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"SSH-2.0-none\r\n\r\n")

    thread = Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize("url", ["localhost:8420", "ftp://host", "http://"])
def test_an_address_that_is_none_is_a_mistake_of_the_command_line(tocsin: Run, url: str) -> None:
    done = tocsin("incidents", TOCSIN_URL=url, TOCSIN_TOKEN="t")

    assert done.returncode == 2
    assert "write http://HOST:PORT" in done.stderr


def test_without_a_token_it_says_where_it_looked(tocsin: Run, tmp_path: Path) -> None:
    done = tocsin("incidents")

    assert done.returncode == 4
    assert ".tocsin/token" in done.stderr
    assert str(tmp_path / ".config/tocsin/token") in done.stderr
    assert "tocsin token create" in done.stderr


@pytest.mark.parametrize(("place", "named"), [(".tocsin", ".tocsin/token"), ("xdg/tocsin", "xdg/tocsin/token")])
def test_the_token_file_that_was_refused_is_named(
    daemon: Scripted, tocsin: Run, tmp_path: Path, place: str, named: str
) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "token").write_text("from-a-file\n")
    daemon.on("GET", "/v1/incidents", {"detail": "unknown token"}, 401)

    done = tocsin("incidents", TOCSIN_URL=daemon.url, XDG_CONFIG_HOME=str(tmp_path / "xdg"))

    assert daemon.asked[0][3] == "Bearer from-a-file"
    assert named in done.stderr


def test_the_folders_own_token_goes_before_the_users(daemon: Scripted, tocsin: Run, tmp_path: Path) -> None:
    for place, token in ((".tocsin", "near"), (".config/tocsin", "far")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "token").write_text(token)
    daemon.on("GET", "/v1/incidents", {"incidents": [], "next": None})

    tocsin("incidents", TOCSIN_URL=daemon.url)

    assert daemon.asked[0][3] == "Bearer near"


@pytest.mark.parametrize(
    "args",
    [
        ["ack"],
        ["ack", "seven"],
        ["ack", "0"],
        ["snooze", "7", "5 mins"],
        ["snooze", "7", "soon"],
        ["incidents", "--limit", "1000"],
        ["silence", "add", 'a="b"'],
        ["silence", "add", 'a="b"', "--for", "1h", "--until", "2026-07-01 09:00"],
        ["send", "-i", "demo"],
        ["send", "-i", "demo", "--resolve"],
        ["send", "-i", "demo", "-t", "x", "-l", "nonsense"],
        ["nonsense"],
    ],
)
def test_a_wrong_command_line_is_exit_code_two_and_asks_nobody(daemon: Scripted, tocsin: Run, args: list[str]) -> None:
    done = tocsin(*args, TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t", TOCSIN_INTEGRATION_TOKEN="t")

    assert done.returncode == 2, done.stdout + done.stderr
    assert daemon.asked == []
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("until", ["5", "5min", "soon", "30x"])
def test_what_is_no_snooze_is_told_how_to_write_one(tocsin: Run, until: str) -> None:
    assert "write 30m, 2026-01-05 09:00 or Sunday 03:10" in tocsin("snooze", "7", until, TOCSIN_TOKEN="t").stderr


# ----------------------------------------------------------------------------------- heartbeats


def test_alerts_are_listed_with_what_they_wait_for(daemon: Scripted, tocsin: Run) -> None:
    waits = {
        "dedup_key": "db", "status": "waiting", "severity": "critical", "title": "db down", "integration": "apps", "incident": None,
        "last_seen_at": "2026-07-02T03:00:00Z", "waits_until": "2026-07-02T03:00:15Z", "because": "it came right behind its resolve",
    }  # fmt: skip
    daemon.on("GET", "/v1/alerts", {"alerts": [waits], "next": None})
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t", "TZ": "UTC", "COLUMNS": "200"}

    listed = tocsin("alerts", "list", "--status", "waiting", **env)

    assert listed.returncode == 0, listed.stderr
    assert all(text in listed.stdout for text in ("db down", "waiting", "03:00:15", "right behind its resolve"))


def test_heartbeats_are_listed_and_checked_in(daemon: Scripted, tocsin: Run) -> None:
    nightly = {
        "name": "nightly", "state": "silent", "expects": "every 1d", "service": None, "severity": "error",
        "last_check_in": "2026-07-01T03:00:00Z", "last_by": "token:cron", "next_due": "2026-07-03T03:00:00Z",
        "silent_since": "2026-07-02T03:00:00Z", "incident_key": "heartbeat/nightly",
    }  # fmt: skip
    daemon.on("GET", "/v1/heartbeats", {"heartbeats": [nightly]})
    daemon.on("POST", "/v1/heartbeats/nightly", nightly)
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t", "TZ": "UTC"}

    listed, pinged = tocsin("heartbeat", "list", **env), tocsin("heartbeat", "ping", "nightly", **env)

    assert ("nightly" in listed.stdout, "silent" in listed.stdout, "every 1d" in listed.stdout) == (True, True, True)
    assert pinged.stdout.startswith("nightly is heard. Next due 2026-07-03 03:00")
    assert tocsin("heartbeat", "ping", "nobody", **env).returncode == 1


# ------------------------------------------------------------------------------- silences and send


def test_a_silence_is_added_listed_and_expired(daemon: Scripted, tocsin: Run) -> None:
    silence = {
        "id": "s1",
        "matchers": ['env="x"'],
        "starts_at": "2026-07-01T10:00:00Z",
        "ends_at": "2026-07-01T12:00:00Z",
        "author": "ana",
        "comment": "patching",
        "created_at": "2026-07-01T10:00:00Z",
        "state": "active",
    }
    daemon.on("POST", "/v1/silences", silence, 201)
    daemon.on("GET", "/v1/silences", {"silences": [silence]})
    daemon.on("DELETE", "/v1/silences/s1", silence)
    env = {"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t"}

    added = tocsin("silence", "add", 'env="x"', "--for", "2h", "-m", "patching", **env)
    listed = tocsin("silence", "list", **env)
    expired = tocsin("silence", "expire", "s1", **env)

    assert added.stdout == "s1\n"
    assert daemon.asked[0][2] == {"matchers": ['env="x"'], "comment": "patching", "for": "2h"}
    assert "2026-07-01 13:00:00 WEST" in listed.stdout
    assert expired.returncode == 0, expired.stderr
    assert [asked[0] for asked in daemon.asked] == ["POST", "GET", "DELETE"]


def test_an_alert_is_sent_with_the_integrations_token(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("POST", "/v1/webhooks/cron", {"accepted": 1, "incidents": [7], "rejected": []}, 202)

    done = tocsin(
        *("send", "-i", "cron", "-t", "backup failed", "--severity", "error", "--dedup-key", "b", "-l", "host=db1"),
        TOCSIN_URL=daemon.url,
        TOCSIN_INTEGRATION_TOKEN="secret",
    )

    assert done.stdout == "accepted 1: INC 7\n"
    body = {
        "status": "firing",
        "title": "backup failed",
        "severity": "error",
        "dedup_key": "b",
        "labels": {"host": "db1"},
    }
    assert daemon.asked == [("POST", "/v1/webhooks/cron", body, "Bearer secret")]


@pytest.mark.parametrize(("status", "code"), [(401, 4), (404, 4), (400, 2), (413, 1), (429, 3), (503, 3)])
def test_an_alert_that_was_not_taken_fails_the_script(daemon: Scripted, tocsin: Run, status: int, code: int) -> None:
    daemon.on("POST", "/v1/webhooks/cron", {"detail": "no"}, status)

    done = tocsin("send", "-i", "cron", "-t", "x", TOCSIN_URL=daemon.url, TOCSIN_INTEGRATION_TOKEN="s")

    assert done.returncode == code


# ---------------------------------------------------------------------------------------- start-up


@pytest.mark.parametrize("command", ["oncall", "check", "explain"])
def test_a_command_that_only_thinks_loads_no_daemon(command: str) -> None:
    code = (
        f"import sys, tocsin.cli.{command}\n"
        "heavy = {'aiohttp', 'asyncpg', 'icalendar', 'prometheus_client', 'pydantic', 'rich', 'structlog', 'twilio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_client_command_loads_no_storage_no_framework_no_tables(daemon: Scripted, tocsin: Run) -> None:
    daemon.on("GET", "/v1/incidents", {"incidents": [], "next": None})

    code = (
        "import sys; sys.argv = ['tocsin', 'incidents']\n"
        "from tocsin.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'pydantic', 'rich', 'twilio', 'yaml', 'sqlite3', 'asyncio', 'structlog', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TOCSIN_URL": daemon.url, "TOCSIN_TOKEN": "t"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "no open incidents\n[]\n", done.stderr


@pytest.mark.parametrize(
    ("status", "who", "fact"), [("acknowledged", "ana", "by ana\n"), ("triggered", "", "by ana; not any more\n")]
)
def test_what_pages_again_is_told_as_nobodys(daemon: Scripted, tocsin: Run, status: str, who: str, fact: str) -> None:
    again = {**INCIDENT, "status": status, "service": "shop"}
    daemon.on("GET", "/v1/incidents", {"incidents": [again], "next": None})
    daemon.on("GET", "/v1/incidents/7", again)
    for part, name in (("alerts", "alerts"), ("pages", "pages"), ("timeline", "entries")):
        daemon.on("GET", f"/v1/incidents/7/{part}", {name: []})

    row = tocsin("incidents", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t").stdout.splitlines()[-1].split()
    told = tocsin("show", "7", TOCSIN_URL=daemon.url, TOCSIN_TOKEN="t").stdout

    assert ("ana" in row) == bool(who)
    assert fact in told

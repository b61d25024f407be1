"""What systemd is told, what it hands over, and how little the unit may do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.systemd import Notify, inherited_sockets

UNITS = Path(__file__).parent.parent / "systemd"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(5)
        yield door


def test_the_manager_hears_that_the_daemon_is_ready_alive_and_stopping(manager: socket.socket) -> None:
    notify = Notify({"NOTIFY_SOCKET": manager.getsockname()}, os.getpid())

    notify.ready("3 users,\n2 schedules")
    notify.alive()
    notify.stopping()

    assert manager.recv(1000) == b"READY=1\nSTATUS=3 users, 2 schedules"
    assert manager.recv(1000) == b"WATCHDOG=1"
    assert manager.recv(1000) == b"STOPPING=1"


def test_a_reload_is_announced_with_its_monotonic_time(manager: socket.socket) -> None:
    Notify({"NOTIFY_SOCKET": manager.getsockname()}, os.getpid()).reloading(12.5)

    assert manager.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=12500000"


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(f"\0tocsin-test-{os.getpid()}")
        door.settimeout(5)

        Notify({"NOTIFY_SOCKET": f"@tocsin-test-{os.getpid()}"}, os.getpid()).ready()

        assert door.recv(100) == b"READY=1"


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_manager_nothing_happens(env: dict[str, str]) -> None:
    Notify(env, os.getpid()).ready("fine")


@pytest.mark.parametrize(
    ("env", "every"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 15_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_bites(env: dict[str, str], every: int | None) -> None:
    assert Notify(env, 77).watchdog_every == every


def test_a_socket_that_systemd_holds_is_taken_over() -> None:
    code = (
        "import os, sys; from tocsin.systemd import inherited_sockets; os.dup2(int(sys.argv[1]), 3)\n"
        "held = inherited_sockets({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}, os.getpid())\n"
        "print([one.getsockname()[1] for one in held], held[0].get_inheritable())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        said = subprocess.run(
            [sys.executable, "-c", code, str(door.fileno())],
            pass_fds=(door.fileno(),),
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert said.stdout == f"[{port}] False\n", said.stderr


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    assert inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, os.getpid()) == ()


@pytest.mark.peers("systemd-analyze")
def test_the_unit_may_do_little_more_than_it_needs() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(UNITS / "tocsin.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.peers("systemd-analyze")
@pytest.mark.parametrize("unit", ["tocsin.service", "tocsin.socket"])
def test_systemd_understands_every_line_of_the_unit(unit: str, tmp_path: Path) -> None:
    said = (UNITS / "tocsin.service").read_text().replace("/opt/tocsin/bin/tocsin", sys.executable)
    (tmp_path / "tocsin.service").write_text(said)
    (tmp_path / "tocsin.socket").write_text((UNITS / "tocsin.socket").read_text())

    judged = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(tmp_path / unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    complaints = [line for line in judged.stderr.splitlines() if "tocsin." in line]
    assert complaints == []
    assert "Unknown" not in judged.stderr


def test_the_unit_reports_readiness_is_watched_and_keeps_its_state() -> None:
    unit = (UNITS / "tocsin.service").read_text()

    for line in (
        "Type=notify",
        "WatchdogSec=30s",
        "StateDirectory=tocsin",
        "Restart=always",
        "StartLimitIntervalSec=0",
    ):
        assert line in unit.splitlines()
    assert "LoadCredential=" in unit
    assert "tocsin reload" in unit

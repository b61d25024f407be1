"""`tocsin check` is quick enough to run before every commit."""

from __future__ import annotations

import resource
import subprocess
import sys

from tests.settings.conftest import Folder

LIMIT = 1.5  # seconds of CPU, with the interpreter's start: what the wall clock shows on a quiet machine


def big() -> str:
    """200 rules, 100 users, 20 schedules of three layers, 20 policies, 40 services."""
    users = "\n".join(f"  u{n}: {{contacts: {{terminal: u{n}}}}}" for n in range(100))
    people = [f"u{n}" for n in range(100)]
    teams = "\n".join(f"  t{n}: {{members: [{', '.join(people[n * 5 : n * 5 + 5])}]}}" for n in range(20))
    schedules = "\n".join(
        f"  s{n}:\n    timezone: Europe/Paris\n    layers:\n"
        f"      - {{users: [{', '.join(people[n * 5 : n * 5 + 5])}], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}\n"
        f"      - {{users: [{', '.join(people[n * 5 : n * 5 + 3])}], rotation: {{every: 1d, start: 2026-01-05 09:00}},"
        " hours: {days: Mon-Fri, from: 09:00, to: 17:00}}\n"
        f"      - {{users: [{people[n * 5]}], hours: {{days: Sat, from: 22:00, to: 06:00}}}}"
        for n in range(20)
    )
    policies = "\n".join(
        f"  p{n}: {{steps: [{{notify: schedule:s{n}}}, {{notify: schedule:s{n}@next}}, {{notify: team:t{n}}}]}}"
        for n in range(20)
    )
    services = "\n".join(f"  v{n}: {{policy: p{n % 20}, owner: t{n % 20}}}" for n in range(40))
    rules = "\n".join(
        f"  - {{name: rule {n}, match: ['alertname=~\"Team{n}-.*|Other{n}-[0-9]+\"', 'env=~\"prod|live.*\"'], "
        f"set: {{service: v{n % 40}}}, group_by: [cluster, alertname]{', stop: true' if n % 2 else ''}}}"
        for n in range(200)
    )
    return (
        "channels: {terminal: {type: console}}\ndefaults: {policy: p0}\ncatch_all: [user:u0]\n"
        f"users:\n{users}\nteams:\n{teams}\nschedules:\n{schedules}\npolicies:\n{policies}\nservices:\n{services}\nrules:\n{rules}\n"
    )


def test_two_hundred_rules_and_a_hundred_users_take_a_second_and_a_half(folder: Folder) -> None:
    folder.write({"tocsin.yaml": big()})
    command = [sys.executable, "-m", "tocsin", "check", "--strict", "-c", str(folder.path / "tocsin.yaml")]

    best = min(timed(command) for _ in range(2))

    assert best < LIMIT


def timed(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

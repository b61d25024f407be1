"""Who may import whom, and that nothing but clock.py and transport.py touches real time, chance or tasks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted([*(ROOT / "daemon").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")])
MAY_TOUCH_TIME = {"daemon/tocsin/clock.py", "daemon/tocsin/transport.py"}
FORBIDDEN_MODULES = {"time", "random", "secrets", "sched", "threading"}
FORBIDDEN_NAMES = {
    "asyncio": {"sleep", "timeout", "timeout_at", "wait_for", "create_task", "ensure_future"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "aiohttp": {"ClientTimeout"},
    "os": {"urandom", "times"},
}
FORBIDDEN_METHODS = {"call_later", "call_at", "create_task"}


CIVIL = "daemon/tocsin/model/civil.py"
CALENDAR = re.compile(r"\bfromtimestamp\(|\.timestamp\(")


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def test_only_civil_time_turns_instants_into_a_calendar_and_back() -> None:
    """After a step of the clock the two differ. Milliseconds that are no instants say so on the line."""
    assert [
        f"{named(file)}:{number}: {line.strip()}"
        for file in CODE
        if named(file) != CIVIL
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if CALENDAR.search(line) and "# civil" not in line
    ] == []


def test_imports_point_one_way() -> None:
    """In a process of its own: import-linter switches off every logger that it did not make."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_time_chance_and_tasks_come_through_the_ports() -> None:
    assert [
        f"{named(file)}:{line}: {what}"
        for file in CODE
        if named(file) not in MAY_TOUCH_TIME
        for line, what in _touches(ast.parse(file.read_text()))
    ] == []


@pytest.mark.parametrize(
    ("line", "touched"),
    [
        ("import time", "time"),
        ("from time import monotonic", "time"),
        ("from random import choice", "random"),
        ("from asyncio import sleep", "asyncio.sleep"),
        ("await asyncio.wait_for(x, 3)", "asyncio.wait_for"),
        ("async with asyncio.timeout(3): pass", "asyncio.timeout"),
        ("asyncio.create_task(x())", "asyncio.create_task"),
        ("loop.call_later(3, f)", ".call_later"),
        ("datetime.now(UTC)", "datetime.now"),
        ("datetime.datetime.now()", "datetime.now"),
        ("uuid.uuid4()", "uuid.uuid4"),
        ("aiohttp.ClientTimeout(total=3)", "aiohttp.ClientTimeout"),
    ],
)
def test_the_guard_sees(line: str, touched: str) -> None:
    source = line if not line.startswith(("await", "async")) else f"async def f():\n    {line}"
    assert [what for _, what in _touches(ast.parse(source))] == [touched]


@pytest.mark.parametrize("line", ["clock.sleep(3)", "self.clock.now()", "spawn(x(), 'name')", "clock.timeout(3)"])
def test_the_guard_lets_the_ports_pass(line: str) -> None:
    assert list(_touches(ast.parse(line))) == []


def test_a_broad_except_says_why() -> None:
    """Allowed at a task's outermost loop only; whoever writes one owes the reader a reason on the line."""
    broad = re.compile(r"\bexcept\b\s*(?:\(?\s*(?:Base)?Exception\b[^:]*)?:(?P<rest>.*)")
    assert [
        f"{named(file)}:{number}: {line.strip()}"
        for file in CODE
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if (hit := broad.search(line)) and line.lstrip().startswith("except") and "#" not in hit["rest"]
        if not _reraises(file, number)
    ] == []


def test_each_file_says_what_it_answers() -> None:
    assert [
        str(file) for file in CODE if file.stat().st_size and not ast.get_docstring(ast.parse(file.read_text()))
    ] == []


MOST_FILES = 17


def test_no_room_is_so_full_that_it_must_be_searched() -> None:
    rooms = {named(file.parent) for file in CODE if re.match(r"daemon/tocsin/(decide|work)/", named(file))}
    full = {room: len([file for file in (ROOT / room).glob("*.py") if file.name != "__init__.py"]) for room in rooms}
    assert {room: files for room, files in full.items() if files > MOST_FILES} == {}


def _touches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names if name.name in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=module, names=names) if module in FORBIDDEN_MODULES:
                yield node.lineno, module or ""
            case ast.ImportFrom(module=module, names=names):
                forbidden = FORBIDDEN_NAMES.get(module or "", set())
                yield from ((node.lineno, f"{module}.{name.name}") for name in names if name.name in forbidden)
            case ast.Attribute(attr=name, value=ast.Name(id=owner)) if name in FORBIDDEN_NAMES.get(owner, ()):
                yield node.lineno, f"{owner}.{name}"
            case ast.Attribute(attr=name, value=ast.Attribute(attr=owner)) if name in FORBIDDEN_NAMES.get(owner, ()):
                yield node.lineno, f"{owner}.{name}"
            case ast.Attribute(attr=name) if name in FORBIDDEN_METHODS:
                yield node.lineno, f".{name}"


def _reraises(file: Path, line: int) -> bool:
    """Clean-up that raises again hides nothing."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ExceptHandler) and node.lineno == line:
            last = node.body[-1]
            return isinstance(last, ast.Raise) and last.exc is None
    return False

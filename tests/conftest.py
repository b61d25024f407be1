"""What holds in every test: nobody shouts unheard, nobody leaves a task behind."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.postgres import Server, running_server
from tocsin.model import Millis
from tocsin.model.civil import set_ahead


class Shouts(logging.Handler):
    """Keeps what was logged as ERROR or worse."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{record.name}: {record.getMessage()}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shouts: this test provokes ERROR lines in the log on purpose")


@pytest.fixture(autouse=True)
def no_unexpected_errors(request: pytest.FixtureRequest) -> Iterator[Shouts]:
    """An ERROR line fails the test, unless it is marked `shouts`, or takes them out of `.heard` itself."""
    shouts = Shouts()
    root = logging.getLogger()
    root.addHandler(shouts)
    try:
        yield shouts
    finally:
        root.removeHandler(shouts)
    if request.node.get_closest_marker("shouts") is None:
        assert shouts.heard == [], "errors were logged that this test does not expect"


@pytest.fixture(autouse=True)
def civil_time_is_the_line_again() -> Iterator[None]:
    """A test that steps the clock does not do so for the next one."""
    yield
    set_ahead(Millis(0))


@pytest.fixture(autouse=True)
def no_task_left_behind(request: pytest.FixtureRequest) -> None:
    """A task that outlives its test has no owner. Costs nothing where there is no event loop."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("tasks_end_with_the_test")


@pytest.fixture
async def tasks_end_with_the_test() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(20):  # what was told to end may need some turns of the loop to do so
        left = [task for task in asyncio.all_tasks() - before if not task.done() and task is not asyncio.current_task()]
        if not left:
            return
        await asyncio.sleep(0)
    assert not left, f"left behind: {sorted(task.get_name() for task in left)}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One real PostgreSQL for the whole session."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """A fresh, empty database."""
    return postgres_server.database()

"""Which real neighbours this machine has, and that nothing is skipped where everything is required.

`@pytest.mark.peers("prometheus", "initdb")` names the commands a test needs: without them it is skipped,
or, with TOCSIN_REQUIRE_ALL=1 (set by .ci/run), the run fails and says what is missing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REQUIRE_ALL = os.environ.get("TOCSIN_REQUIRE_ALL", "") not in ("", "0")


def command(name: str) -> Path | None:
    """Where a neighbour's command is; Debian keeps PostgreSQL's outside the PATH."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peers"):
        missing = [name for name in mark.args if command(name) is None]
        if missing:
            pytest.skip(f"not on this machine: {', '.join(missing)}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if REQUIRE_ALL and exitstatus == pytest.ExitCode.OK and _skipped(session):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = len(terminalreporter.stats.get("skipped", []))
    if REQUIRE_ALL and skipped:
        terminalreporter.write_line(f"{skipped} skipped although everything is required", red=True)


def _skipped(session: pytest.Session) -> bool:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return bool(reporter and reporter.stats.get("skipped"))

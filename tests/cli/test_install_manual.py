"""docs/install.md: its steps, run where they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
STEPS = re.findall(r"^    ((?:cp|mkdir|install|CREDENTIALS_DIRECTORY)\b.*?)(?:  #.*)?$", PAGE, re.MULTILINE)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for folder in ("etc/tocsin", "etc/systemd/system", "etc/sysusers.d", "etc/tmpfiles.d", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("systemd-sysusers", "systemd-tmpfiles"):
        shutil.copy("/bin/true", tmp_path / "bin" / name)
    (tmp_path / "bin" / "tocsin").write_text(f'#!/bin/sh\nexec {sys.executable} -m tocsin "$@"\n')
    (tmp_path / "bin" / "tocsin").chmod(0o755)
    return tmp_path


def test_the_steps_leave_a_configuration_that_check_takes(machine: Path) -> None:
    assert len(STEPS) >= 5

    for step in STEPS:
        here = step.replace("/etc/", f"{machine}/etc/").replace("CONFIG/", f"{ROOT}/config/")
        done = subprocess.run(
            ["sh", "-ec", here], cwd=ROOT / "systemd", capture_output=True, text=True, timeout=60,
            env={"PATH": f"{machine}/bin:/usr/bin:/bin", "PYTHONUTF8": "1"},
        )  # fmt: skip
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"

    assert (machine / "etc/tocsin/people.yaml").is_file()

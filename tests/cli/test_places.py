"""The command line on a server finds the state of the systemd unit, whose environment it does not have."""

from __future__ import annotations

from pathlib import Path

from tocsin.settings.paths import of_the_unit, state_directory


def test_a_configuration_in_etc_has_its_state_in_var(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()

    assert of_the_unit(tmp_path / "etc" / "tocsin.yaml", tmp_path / "etc", tmp_path / "var") == tmp_path / "var"


def test_without_the_unit_the_state_lies_beside_the_configuration(tmp_path: Path) -> None:
    assert of_the_unit(tmp_path / "etc" / "tocsin.yaml", tmp_path / "etc", tmp_path / "none") is None


def test_a_configuration_elsewhere_has_nothing_to_do_with_the_unit(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()

    assert of_the_unit(tmp_path / "mine" / "tocsin.yaml", tmp_path / "etc", tmp_path / "var") is None


def test_what_systemd_says_goes_first(tmp_path: Path) -> None:
    assert (
        state_directory(tmp_path / "tocsin.yaml", {"STATE_DIRECTORY": f"{tmp_path}/a:{tmp_path}/b"}) == tmp_path / "a"
    )

"""Paths of the files shipped with Tocsin: inside an installed wheel, or beside the code in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent


def folder(name: str) -> Path:
    """The shipped folder of that name ("config", "rules", "systemd"). The wheel's own copy comes first.

    Raises FileNotFoundError when the installation is incomplete.
    """
    for place in (_PACKAGE / "shipped" / name, _CHECKOUT / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"this installation of Tocsin lacks its folder {name!r}; install it again")


def starter() -> Path:
    """The main file of the starter configuration. May be read-only."""
    return folder("config") / "tocsin.yaml"

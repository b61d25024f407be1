"""Who gives way when one more connection comes: the idlest, of the same address first; never one that is being served."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tocsin.web.connections import LEAST, Connections


@dataclass(eq=False)
class Opened:
    address: str
    left: list[str]
    name: str
    busy: bool = False

    def is_idle(self) -> bool:
        return not self.busy

    def leave(self) -> None:
        self.left.append(self.name)


@dataclass
class Hall:
    """Connections from anywhere, opened in turn."""

    most: int
    trusted: tuple[str, ...] = ()
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connections = Connections(lambda: self.trusted, self.most)

    def come(self, address: str, name: str = "", *, busy: bool = False) -> tuple[bool, Opened]:
        one = Opened(address, self.left, name, busy)
        return self.connections.opened(one), one


def test_beyond_all_that_may_be_open_the_idlest_is_closed() -> None:
    hall = Hall(40)
    opened = [hall.come(f"10.0.0.{number}", f"{number}")[1] for number in range(40)]
    hall.connections.used(opened[0])

    assert hall.come("10.0.1.1", "one more")[0]
    assert (hall.left, len(hall.connections)) == (["1"], 40)


def test_one_address_closes_its_own_and_nobody_elses() -> None:
    hall = Hall(100)
    hall.come("10.0.0.1", "early bird")
    for number in range(200):
        assert hall.come("10.0.0.66", f"{number}")[0]

    assert (len(hall.connections), hall.left[0], "early bird" in hall.left) == (51, "0", False)


def test_a_trusted_proxy_has_no_share_of_its_own() -> None:
    hall = Hall(100, trusted=("10.0.0.0/8",))
    for number in range(100):
        hall.come("10.0.0.66", f"{number}")

    assert (len(hall.connections), hall.left) == (100, [])


def test_where_all_are_being_served_one_more_is_refused() -> None:
    hall = Hall(LEAST)
    for number in range(LEAST):
        hall.come(f"10.0.0.{number}", busy=True)

    assert hall.come("10.0.1.1")[0] is False
    assert (hall.left, len(hall.connections)) == ([], LEAST)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_closed_is_counted_once(times: int) -> None:
    hall = Hall(40)
    _, one = hall.come("10.0.0.1")
    for _ in range(times):
        hall.connections.closed(one)

    assert len(hall.connections) == 0
    assert hall.come("10.0.0.1")[0]

"""What a reload says it would change."""

from __future__ import annotations

from dataclasses import replace

from tests.settings.conftest import Folder
from tocsin.settings import difference

BEFORE = """\
channels: {terminal: {type: console}}
users: {ana: {}, bo: {}, chen: {}}
services: {shop: {}, ledger: {impact: low}}
rules: [{name: a}, {name: b}]
"""


def test_a_reload_is_told_in_counts(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": BEFORE}).settings()
    after = folder.write(
        {
            "tocsin.yaml": BEFORE.replace("chen: {}", "dora: {}, eve: {}").replace("impact: low", "impact: high")
            + "throttle: {sms: 1/5m}\n"
        }
    ).settings()

    change = difference(before, after)

    assert str(change) == "users +2 -1, services ~1, throttle ~1"
    assert (change.needs_restart, change.removes_most) == ((), ())
    assert change.names["users"].added == ("dora", "eve")
    assert change.names["users"].removed == ("chen",)
    assert change.names["services"].changed == ("ledger",)


def test_rules_that_change_places_are_a_difference(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": BEFORE}).settings()
    after = folder.write({"tocsin.yaml": BEFORE.replace("{name: a}, {name: b}", "{name: b}, {name: a}")}).settings()

    change = difference(before, after)

    assert change
    assert str(change) == "rules in another order"


def test_the_same_configuration_is_no_difference_even_when_its_lines_move(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": BEFORE}).settings()
    after = folder.write({"tocsin.yaml": "# moved\n\n" + BEFORE}).settings()

    assert not difference(before, after)
    assert str(difference(before, after)) == "nothing changed"


def test_losing_more_than_half_of_the_people_asks_first(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": BEFORE}).settings()
    after = folder.write(
        {"tocsin.yaml": BEFORE.replace(", bo: {}, chen: {}", "").replace(", {name: b}", "")}
    ).settings()

    assert difference(before, after).removes_most == ("users",)  # one of two rules is half, not more


def test_addresses_and_the_database_need_a_restart(folder: Folder) -> None:
    before = folder.write({"tocsin.yaml": BEFORE}).settings()
    after = replace(
        before, server=replace(before.server, port=1, admin_host="::1", admin_port=2), database="sqlite:/elsewhere"
    )

    assert difference(before, after).needs_restart == ("listen", "admin_listen", "database")
    assert str(difference(before, after)) == "nothing changed; needs a restart: listen, admin_listen, database"


def test_what_needs_a_restart_is_told_until_there_was_one_and_not_once_it_is_put_back(folder: Folder) -> None:
    started = folder.write({"tocsin.yaml": BEFORE}).settings()
    moved = replace(started, server=replace(started.server, port=1))

    assert difference(moved, moved, started).needs_restart == ("listen",)
    assert difference(moved, started, started).needs_restart == ()

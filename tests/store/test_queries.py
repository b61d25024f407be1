"""Named queries in files by capability: what a dialect reads, and that no name stands twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.errors import StoreError
from tocsin.store.named_queries import gathered, load


def test_a_dialect_reads_what_is_common_and_what_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "alerts.sql").write_text("-- name: one\n-- Said.\nselect 1;\n\n-- name: two\n-- Said.\nselect 2;\n")
    (tmp_path / "alerts.sqlite.sql").write_text("-- name: own\n-- Said.\nselect 3;\n")
    (tmp_path / "alerts.postgres.sql").write_text("-- name: own\n-- Said.\nselect 4;\n")
    assert gathered(tmp_path, "sqlite") == {"one": "select 1", "two": "select 2", "own": "select 3"}
    assert gathered(tmp_path, "postgres") == {"one": "select 1", "two": "select 2", "own": "select 4"}


@pytest.mark.parametrize("file", ["alerts.sql", "pages.sql", "alerts.sqlite.sql"])
def test_a_name_that_stands_twice_is_refused_and_both_places_are_named(tmp_path: Path, file: str) -> None:
    (tmp_path / "alerts.sql").write_text("-- name: one\n-- Said.\nselect 1;\n")
    with (tmp_path / file).open("a") as more:
        more.write("-- name: one\n-- Said.\nselect 2;\n")
    with pytest.raises(StoreError, match=rf"{file}: the query one stands in alerts.sql too; rename one"):
        gathered(tmp_path, "sqlite")


def test_each_dialect_has_what_the_other_has_but_for_what_it_alone_needs() -> None:
    """A query that one database lacks is found at the first use of it; here at once."""
    sqlite, postgres = ({*queries.texts, *queries.inserts} for queries in (load("sqlite"), load("postgres")))
    assert sqlite - postgres == {"add_arrived_alerts", "add_arrived_incidents", "last_numbers"}
    assert postgres - sqlite == {
        "database_now", "exercise", "exercise_claim", "held", "hold", "lock_alerts", "lock_keys", "still_here",
        "take_numbers", "this_transaction", "what_became_of", "which_server",
    }  # fmt: skip

"""Tables beside the rules: what they may look like, where a broken row is told, and that they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.conftest import Folder
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import Alert, IntegrationConfig
from tocsin.settings import LastGood

MAIN = """\
lookups:
  hosts: {file: tables/hosts.csv, on: instance, set: {team: owner, tier: tier}}
rules:
  - {name: owners, match: ['instance!=""'], enrich: hosts, set: {title: "{{ labels.team }}: {{ title }}"}}
  - {name: gold, match: ['tier="gold"'], set: {impact: high}}
"""
HOSTS = "host,owner,tier\ndb-1,payments,gold\nweb-1,shop,\n"


def labels(folder: Folder, **given: str) -> tuple[str, dict[str, str], str | None]:
    alert = Alert("firing", "k", title="down", labels=given)
    verdict = Rulebook(folder.settings()).walk(alert, IntegrationConfig("apps", "webhook"))
    return verdict.title, dict(verdict.labels), verdict.impact


def test_an_alert_gets_the_columns_of_its_row_and_later_rules_see_them(folder: Folder) -> None:
    folder.write({"tocsin.yaml": MAIN, "tables/hosts.csv": HOSTS})
    assert labels(folder, instance="db-1") == (
        "payments: down", {"instance": "db-1", "team": "payments", "tier": "gold"}, "high",
    )  # fmt: skip


def test_an_empty_cell_and_an_absent_row_add_nothing(folder: Folder) -> None:
    folder.write({"tocsin.yaml": MAIN, "tables/hosts.csv": HOSTS})
    assert labels(folder, instance="web-1", tier="own")[1] == {"instance": "web-1", "tier": "own", "team": "shop"}
    assert labels(folder, instance="unknown")[0] == "down"


def test_a_table_may_be_yaml(folder: Folder) -> None:
    main = MAIN.replace("hosts.csv", "hosts.yaml")
    folder.write({"tocsin.yaml": main, "tables/hosts.yaml": "db-1: {owner: payments, tier: gold}\n"})
    assert labels(folder, instance="db-1")[0] == "payments: down"


def test_a_rule_may_write_its_table_out(folder: Folder) -> None:
    folder.write({"hosts.csv": HOSTS})
    folder.write({"tocsin.yaml": "rules: [{name: r, enrich: {file: hosts.csv, on: host, set: {team: owner}}}]"})
    assert labels(folder, host="db-1")[1]["team"] == "payments"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("hosts.csv", "host,owner,tier\ndb-1,payments\n", "2:1: 2 cells, where the first line names 3 columns; quote a cell that holds a comma"),
        ("hosts.csv", HOSTS + "db-1,x,y\n", "4:1: a row 'db-1' exists already; what is looked up is unique"),
        ("hosts.csv", HOSTS + ",x,y\n", "4:1: the first cell (host) is empty: nothing could be looked up"),
        ("hosts.csv", "host,owner,owner\n", "1:1: two columns are named 'owner'"),
        ("hosts.csv", "", "1:1: the table is empty; its first line names the columns, as in host,owner,tier"),
        ("hosts.csv", HOSTS + '"open,x,y\n', "4:1: this row cannot be read: unexpected end of data"),
        ("hosts.csv", HOSTS + f"a,{'x' * 3000},y\n", "4:1: a cell has more than 2048 characters"),
        ("hosts.yaml", "db-1: {owner: a, tier: b}\nweb: shop\n", "2:1: 'web' is no row; write web: {column: value}"),
        ("hosts.yaml", "db-1: {owner: [a], tier: b}\n", "1:15: db-1.owner: is not one short text"),
        ("hosts.yaml", "db-1: {owner: a\n", "2:1: syntax: expected ',' or '}', got '<stream end>'"),
    ],
    ids=["few cells", "twice", "no key", "columns", "empty", "quote", "long", "no row", "no text", "syntax"],
)  # fmt: skip
def test_a_broken_row_is_told_at_its_own_line(folder: Folder, name: str, content: str, problem: str) -> None:
    loaded = folder.write({"tocsin.yaml": MAIN.replace("hosts.csv", name), f"tables/{name}": content}).load()
    assert loaded.settings is None
    first = folder.said(loaded, "error")
    assert any(line.startswith(f"tables/{name}:{problem.split(' ')[0]}") for line in first), first
    if "syntax" not in problem:
        assert f"tables/{name}:{problem}" in first


def test_a_table_that_is_absent_lacks_a_column_or_may_be_written_by_others_is_told_where_it_is_named(
    folder: Folder,
) -> None:
    assert "cannot read" in folder.errors(MAIN)[0]
    folder.write({"tables/hosts.csv": HOSTS.replace("owner", "team")})
    assert folder.errors(MAIN) == ["2:61: team: tables/hosts.csv has no column 'owner'; it has host, team, tier"]
    (folder.path / "tables/hosts.csv").chmod(0o666)
    assert any("others can write" in line for line in folder.errors(MAIN))


def test_a_changed_table_is_another_configuration(folder: Folder) -> None:
    folder.write({"tocsin.yaml": MAIN, "tables/hosts.csv": HOSTS})
    before = folder.settings().hash
    folder.write({"tables/hosts.csv": HOSTS.replace("gold", "silver")})
    assert folder.settings().hash != before


def test_the_last_good_configuration_has_its_tables(folder: Folder, tmp_path: Path) -> None:
    folder.write({"tocsin.yaml": MAIN, "tables/hosts.csv": HOSTS})
    LastGood(tmp_path / "state").keep(folder.load())
    folder.write({"tables/hosts.csv": "broken"})

    kept = LastGood(tmp_path / "state").load()

    assert kept is not None
    assert kept.settings is not None
    enrich = kept.settings.rules[0].enrich
    assert enrich is not None
    assert enrich.rows["db-1"]["owner"] == "payments"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("threshold: {count: 0, within: 5m}", "count: 0 is too small; write 2 or more"),
        ("threshold: {count: 3, within: 0s}", "within: '0s' is no time at all"),
        ("threshold: {count: 100000, within: 1h}", "count: 100000 is too large; write 10000 or less"),
        ("threshold: {count: 3}", "'within' is missing"),
        ("flap: {changes: 1, within: 5m}", "changes: 1 is too small; write 2 or more"),
        ("flap: {changes: 4, within: 5m, settle: 0s}", "settle: '0s' is no time at all"),
        ("resolve_after: soon", "resolve_after: 'soon' is not a duration"),
        ("when: 'labels.a =='", "when: 'labels.a ==' is no CEL expression"),
        ("when: 'env == \"x\"'", "when: 'env' is not known here"),
        ("enrich: nobody", "no such lookup 'nobody'"),
        ("match: ['a=~\"(?=x)\"']", "RE2 has no look-around"),
        ("set: {title: '{{ title'}", "is not a template"),
    ],
)
def test_a_mistake_in_a_rule_is_told_at_its_place(folder: Folder, rule: str, problem: str) -> None:
    (line,) = folder.errors(f"rules:\n  - name: r\n    {rule}\n")
    assert line.startswith("3:")
    assert problem in line

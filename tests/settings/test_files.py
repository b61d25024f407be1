"""Includes, secrets, where state lies, the last good configuration."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from pathlib import Path

import pytest

from tests.settings.conftest import Folder
from tocsin.model import Secret
from tocsin.settings import LastGood, find, load, state_directory
from tocsin.settings.document.trusted_files import others_can_write

TERMINAL = "channels: {terminal: {type: console}}\n"


# --------------------------------------------------------------------------------------- includes


def test_included_files_are_walked_as_listed_and_the_main_file_last(folder: Folder) -> None:
    folder.write(
        {
            "config/tocsin.yaml": "include: [b.yaml, ../rules/*.yaml, a.yaml]\nrules: [{name: main}]\n",
            "config/a.yaml": "rules: [{name: a}]\n",
            "config/b.yaml": "rules: [{name: b}]\n",
            "rules/20.yaml": "rules: [{name: twenty}]\n",
            "rules/10.yaml": "rules: [{name: ten}]\n",
            "rules/.hidden.yaml": "rules: [{name: hidden}]\n",
        }
    )

    loaded = folder.load("config/tocsin.yaml")

    assert loaded.settings is not None
    assert [rule.name for rule in loaded.settings.rules] == ["b", "ten", "twenty", "a", "main"]
    assert [str(Path(name).relative_to(folder.path)) for name in loaded.files] == [
        "config/b.yaml", "rules/10.yaml", "rules/20.yaml", "config/a.yaml", "config/tocsin.yaml",
    ]  # fmt: skip


def test_a_file_reached_twice_is_read_once(folder: Folder) -> None:
    folder.write({"tocsin.yaml": "include: [a.yaml, '*.yaml', link.yaml]\n", "a.yaml": "rules: [{name: a}]\n"})
    (folder.path / "link.yaml").symlink_to("a.yaml")

    assert [rule.name for rule in folder.settings().rules] == ["a"]


def test_only_the_main_file_includes(folder: Folder) -> None:
    folder.write({"tocsin.yaml": "include: [a.yaml]\n", "a.yaml": "include: [b.yaml]\n", "b.yaml": "nonsense: 1\n"})

    assert folder.said(folder.load()) == ["a.yaml:1:1: include: only the main file may include others"]


def test_an_include_without_a_file_is_an_error_at_its_line(folder: Folder) -> None:
    folder.write({"tocsin.yaml": "include:\n  - gone.yaml\n  - none/*.yaml\n", "dir.yaml/x": ""})

    assert folder.said(folder.load()) == [
        "tocsin.yaml:2:5: cannot read gone.yaml: No such file or directory",
        f"tocsin.yaml:3:5: include: no file matches 'none/*.yaml' (looked in {folder.path})",
    ]


def test_names_are_unique_across_files(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "include: [a.yaml]\nusers: {ana: {}}\ndefaults: {}\nrules: [{name: x}]\n",
            "a.yaml": "users: {ana: {}}\ndefaults: {}\nrules: [{name: x}]\n",
        }
    )

    assert folder.said(folder.load()) == [
        "tocsin.yaml:2:9: users: a user 'ana' exists already (a.yaml:1:9); names are unique",
        "tocsin.yaml:3:1: defaults: is written in a.yaml:2:1 already",
        "tocsin.yaml:4:16: name: a rule 'x' exists already (a.yaml:3:16); names are unique",
    ]


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o622])
def test_a_file_that_others_can_write_is_an_error(folder: Folder, mode: int) -> None:
    folder.write({"tocsin.yaml": TERMINAL})
    (folder.path / "tocsin.yaml").chmod(mode)

    said = folder.said(folder.load(), "error")

    assert said == [f"tocsin.yaml:1:1: others can write this file (mode {mode:o}); run chmod go-w tocsin.yaml"]


def test_a_group_of_others_counts_as_others() -> None:
    def about(mode: int, group: int) -> os.stat_result:
        return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, 0, group, 0, 0, 0, 0))

    assert others_can_write(about(0o664, 4))
    assert not others_can_write(about(0o644, 4))


# ---------------------------------------------------------------------------------------- secrets

HOOK = TERMINAL + "integrations:\n  a: {type: webhook, token: %s}\n"


def token(folder: Folder) -> Secret | None:
    return folder.settings().integrations["a"].token


def test_a_secret_is_text_a_file_a_variable_or_several_of_these(folder: Folder) -> None:
    folder.env = {"TOKEN": "from-env"}
    folder.write({"conf/a.yaml": HOOK % "[plain, {file: key}, {env: TOKEN}]", "conf/key": "from-file\n"})
    folder.write({"tocsin.yaml": "include: [conf/a.yaml]\n", "key": "the wrong one\n"})

    assert token(folder) == Secret(("plain", "from-file", "from-env"))


def test_one_trailing_newline_is_dropped_and_nothing_else(folder: Folder) -> None:
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": " a b \n\n"})

    assert token(folder) == Secret((" a b \n",))


def test_the_credentials_directory_goes_first(folder: Folder) -> None:
    folder.env = {"CREDENTIALS_DIRECTORY": str(folder.path / "credentials")}
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": "beside", "credentials/key": "given by systemd"})

    assert token(folder) == Secret(("given by systemd",))


MISSING = [
    ("{file: nope}", "3:36: file: cannot read the secret file {folder}/nope: No such file or directory"),
    ("{file: empty}", "3:36: file: the secret file {folder}/empty is empty"),
    ("{file: .}", "3:36: file: {folder} is not a file but a directory"),
    ("{file: binary}", "3:36: file: the secret file {folder}/binary is not text in UTF-8"),
    ("{env: NOPE}", "3:35: env: the environment variable NOPE is not set"),
]


@pytest.mark.parametrize(("written", "said"), MISSING)
def test_a_missing_secret_is_an_error_at_its_line(folder: Folder, written: str, said: str) -> None:
    folder.write({"empty": "\n"})
    (folder.path / "binary").write_bytes(b"\xff\xfe")

    errors = folder.errors(HOOK % written)

    assert errors == [said.replace("{folder}/", "").replace("{folder}", str(folder.path))]


def test_a_secret_file_that_everyone_can_read_is_a_warning(folder: Folder) -> None:
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": "x"})
    (folder.path / "key").chmod(0o644)

    loaded = folder.load()

    assert loaded.settings is not None
    assert folder.said(loaded) == [
        "tocsin.yaml:3:36: file: the secret file key can be read by everyone; run chmod 600 key"
    ]


def test_a_secret_file_that_others_can_write_is_an_error(folder: Folder) -> None:
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": "x"})
    (folder.path / "key").chmod(0o602)

    assert folder.said(folder.load(), "error") == [
        "tocsin.yaml:3:36: file: others can write the secret file key (mode 602); run chmod 600 key"
    ]


def test_on_the_last_good_configuration_a_secret_that_others_can_write_is_used_and_told(folder: Folder) -> None:
    """It is loud already; without its secret it would be mute as well."""
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": "x"})
    (folder.path / "key").chmod(0o602)

    loaded = folder.load(lenient_secrets=True)

    assert loaded.settings is not None
    assert loaded.settings.integrations["a"].token == Secret(("x",))
    assert [problem.level for problem in loaded.problems] == ["warning"]


STRANGER = 54_321
OF_A_STRANGER = {
    "tocsin.yaml": "tocsin.yaml:1:1: this file belongs to user 54321, who can write it; run chown {me} tocsin.yaml",
    "people.yaml": "people.yaml:1:1: this file belongs to user 54321, who can write it; run chown {me} people.yaml",
    "key": "tocsin.yaml:4:36: file: the secret file key belongs to user 54321, who can write it; run chown {me} key",
    "hosts.csv": "tocsin.yaml:5:25: file: this file belongs to user 54321, who can write it; run chown {me} hosts.csv",
    "days": "tocsin.yaml:6:40: holidays: this file belongs to user 54321, who can write it; run chown {me} days",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", OF_A_STRANGER)
def test_a_file_of_another_user_is_an_error(folder: Folder, name: str) -> None:
    folder.write(
        {
            "tocsin.yaml": (
                f"include: [people.yaml]\n{HOOK % '{file: key}'}"
                "lookups: {hosts: {file: hosts.csv, on: host, set: {team: owner}}}\n"
                "calendars: {off: {days: Mon, holidays: days}}\n"
            ),
            "people.yaml": "users: {}\n", "key": "x", "hosts.csv": "host,owner\na,b\n", "days": "2026-01-01\n",
        }
    )  # fmt: skip
    assert folder.load().settings is not None
    os.chown(folder.path / name, STRANGER, -1)

    said = [line.replace(f"{folder.path}/", "") for line in folder.said(folder.load(), "error")]

    assert said == [OF_A_STRANGER[name].format(me=pwd.getpwuid(0).pw_name)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_checks_the_files_of_the_daemons_own_user(folder: Folder) -> None:
    folder.write({"tocsin.yaml": TERMINAL})
    os.chown(folder.path / "tocsin.yaml", STRANGER, -1)
    (folder.path / ".tocsin").mkdir()
    os.chown(folder.path / ".tocsin", STRANGER, -1)

    assert folder.said(folder.load(), "error") == []


def test_after_a_bad_start_a_missing_secret_switches_off_only_what_needs_it(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": (
                "catch_all: [user:ana, channel:mail]\n"
                "channels:\n"
                "  terminal: {type: console}\n"
                "  mail: {type: smtp, host: h, from: a@b.c, to: x@y.z, password: {file: gone}}\n"
                "users: {ana: {contacts: {mail: a@b.c, terminal: ana}}}\n"
                "integrations:\n"
                "  a: {type: webhook, token: {env: GONE}}\n"
                "  b: {type: webhook, token: [{env: GONE}, here]}\n"
            )
        }
    )

    loaded = folder.load(lenient_secrets=True)

    assert loaded.settings is not None
    assert list(loaded.settings.channels) == ["terminal"]
    assert list(loaded.settings.users["ana"].contacts) == ["terminal"]
    assert [str(target) for target in loaded.settings.catch_all] == ["user:ana"]
    assert {name: integration.token for name, integration in loaded.settings.integrations.items()} == {
        "b": Secret(("here",))
    }
    assert {problem.level for problem in loaded.problems} == {"warning"}


def test_secrets_are_never_shown(folder: Folder) -> None:
    settings = folder.write({"tocsin.yaml": HOOK % "hush-hush"}).settings()

    assert "hush-hush" not in repr(settings)


# ------------------------------------------------------------------------------ where things lie


def test_the_main_file_is_the_one_asked_for_else_the_first_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tocsin.yaml").touch()

    assert find("x.yaml", {"TOCSIN_CONFIG": "y.yaml"}) == Path("x.yaml")
    assert find(None, {"TOCSIN_CONFIG": "y.yaml"}) == Path("y.yaml")
    assert find(None, {}) == Path("tocsin.yaml")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tocsin.yaml").touch()
    assert find(None, {}) == Path("config/tocsin.yaml")


DATABASES = [
    ("sqlite:tocsin.db", {}, "sqlite:{folder}/tocsin.db"),
    ("sqlite:/var/lib/x.db", {}, "sqlite:/var/lib/x.db"),
    ("sqlite:tocsin.db", {"STATE_DIRECTORY": "/var/lib/tocsin:/other"}, "sqlite:/var/lib/tocsin/tocsin.db"),
    ("postgresql://tocsin@db/tocsin", {"STATE_DIRECTORY": "/x"}, "postgresql://tocsin@db/tocsin"),
]


@pytest.mark.parametrize(("url", "env", "meant"), DATABASES)
def test_a_relative_database_lies_with_the_state(folder: Folder, url: str, env: dict[str, str], meant: str) -> None:
    folder.env = env
    folder.write({"tocsin.yaml": f"database: {{url: '{url}'}}\n"})

    assert folder.settings().database == meant.replace("{folder}", str(folder.path))


def test_state_lies_beside_the_main_file_or_where_systemd_says(tmp_path: Path) -> None:
    assert state_directory(tmp_path / "tocsin.yaml", {}) == tmp_path / ".tocsin"
    assert state_directory(tmp_path / "tocsin.yaml", {"STATE_DIRECTORY": "/var/lib/tocsin"}) == Path("/var/lib/tocsin")


# ------------------------------------------------------------------------------------- last good


def test_the_last_good_configuration_is_kept_whole_and_for_its_owner_only(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "include: [a.yaml]\n" + TERMINAL,
            "a.yaml": "integrations:\n  a: {type: webhook, token: {file: key}}\n",
            "key": "k",
        }
    )
    good = folder.load()
    kept = LastGood(folder.path / "state", env={})
    kept.keep(good)
    folder.write({"tocsin.yaml": "users: [", "a.yaml": "rules: 5"})

    again = LastGood(folder.path / "state", env={}).load()

    assert folder.load().settings is None
    assert again is not None
    assert again.settings == good.settings
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert sorted(path.name for path in kept.path.parent.iterdir()) == ["last-good.json"]


def test_on_the_last_good_configuration_a_missing_secret_is_no_obstacle(folder: Folder) -> None:
    folder.write({"tocsin.yaml": HOOK % "{file: key}", "key": "k"})
    LastGood(folder.path, env={}).keep(folder.load())
    (folder.path / "key").unlink()

    again = LastGood(folder.path, env={}).load()

    assert again is not None
    assert again.settings is not None
    assert dict(again.settings.integrations) == {}


def test_nothing_usable_kept_is_none(folder: Folder) -> None:
    kept = LastGood(folder.path, env={})

    assert kept.load() is None
    for damaged in (b"", b"[]", b"{}", b'{"main": "x", "files": [{}]}', b"\xff"):
        kept.path.write_bytes(damaged)
        assert kept.load() is None


def test_what_was_kept_for_another_main_file_is_not_used(folder: Folder) -> None:
    folder.write({"tocsin.yaml": TERMINAL})
    LastGood(folder.path, env={}).keep(folder.load())

    assert LastGood(folder.path, folder.path / "tocsin.yaml", env={}).load() is not None
    assert LastGood(folder.path, folder.path / "other.yaml", env={}).load() is None


def test_a_bad_configuration_is_never_kept(folder: Folder) -> None:
    bad = folder.write({"tocsin.yaml": "users: ["}).load()

    with pytest.raises(ValueError, match="only a good configuration is kept"):
        LastGood(folder.path, env={}).keep(bad)


def test_the_starter_lies_read_only_and_keeps_its_state_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Path(__file__).parents[2] / "config" / "tocsin.yaml"
    monkeypatch.chdir(tmp_path)

    loaded = load(starter, env={})

    assert loaded.settings is not None
    assert loaded.settings.database == f"sqlite:{tmp_path}/.tocsin/tocsin.db"
    assert state_directory(starter, {}) == tmp_path / ".tocsin"
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------- what is no plain file

NAMED = {
    "main": "",
    "an include": "include: [odd]\n",
    "an include by pattern": "include: ['od[d]']\n",
    "a secret": HOOK % "{file: odd}",
    "a lookup": "lookups: {hosts: {file: odd, on: host, set: {team: owner}}}\n",
    "a lookup in YAML": "lookups: {hosts: {file: odd.yaml, on: host, set: {team: owner}}}\n",
    "a calendar": "calendars: {off: {days: Mon, holidays: odd}}\n",
    "a folder of credentials": HOOK % "{file: odd}",
}
ODD = ("fifo", "socket", "directory", "zero", "full", "loop", "endless", "empty", "unreadable text")


def make_odd(path: Path, kind: str) -> None:
    """Something at `path` that a careless reader waits for, or drowns in."""
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as door:
                door.bind(str(path))
        case "directory":
            path.mkdir()
        case "zero" | "full":
            path.symlink_to(f"/dev/{kind}")
        case "loop":
            path.symlink_to(path.name)
        case "endless":
            with path.open("wb") as file:
                file.truncate(1 << 40)
            path.chmod(0o600)
        case "unreadable text":
            path.write_bytes(b"\xff\0" * 100)
            path.chmod(0o600)
        case _:
            path.touch(0o600)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("place", NAMED)
def test_whatever_stands_where_a_file_should_is_told_and_never_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    folder = Folder(tmp_path)
    name = "tocsin.yaml" if place == "main" else "odd.yaml" if "YAML" in place else "odd"
    if place == "a folder of credentials":
        folder.env = {"CREDENTIALS_DIRECTORY": "."}
    if place != "main":
        folder.write({"tocsin.yaml": NAMED[place]})
    make_odd(Path(name), kind)

    loaded = folder.load()

    fine = kind == "empty" and place in ("main", "an include", "an include by pattern", "a calendar")
    fine |= place == "a lookup in YAML" and kind == "empty"
    assert (loaded.settings is not None) == fine, folder.said(loaded)
    assert all(problem.code != "internal" for problem in loaded.problems)


def test_a_file_that_is_replaced_while_it_is_read_is_read_whole(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes it in place empties it first: half of it would be a configuration that nobody wrote."""
    folder.write({"tocsin.yaml": TERMINAL + "users: {ana: {contacts: {terminal: ana}}}\n"})
    main, whole = folder.path / "tocsin.yaml", (folder.path / "tocsin.yaml").read_bytes()
    real = os.fstat
    seen: list[int] = []

    def writing(descriptor: int) -> os.stat_result:
        about = real(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_ino == main.stat().st_ino and len(seen) < 4:
            seen.append(about.st_size)
            main.write_bytes(whole if len(seen) % 2 == 0 else whole[:30])
        return about

    monkeypatch.setattr(os, "fstat", writing)
    loaded = folder.load()

    assert len(seen) == 4
    assert loaded.settings is not None
    assert list(loaded.settings.users) == ["ana"]

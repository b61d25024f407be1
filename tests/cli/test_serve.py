"""Starting, stopping, reloading; tokens with and without the daemon; what systemd hears of all that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import tocsin
from tests.daemon import TOCSIN, Daemon, free_port, until

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
integrations:
  demo: {type: webhook, token: demo}
channels:
  terminal: {type: console}
users:
  ana: {name: Ana, role: admin, contacts: {terminal: Ana}}
  bo: {name: Bo, contacts: {terminal: Bo}}
policies:
  default: {steps: [{notify: [user:ana]}]}
defaults: {policy: default}
"""
LISTENS = CONFIGURATION.replace("{database}", "sqlite:tocsin.db")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    one = Daemon(tmp_path, CONFIGURATION)
    yield one
    await one.kill()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd would hear."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.setblocking(False)
        yield door


async def heard(manager: socket.socket, wanted: str) -> str:
    """Wait until systemd was told something that begins with `wanted`."""

    def ask() -> str:
        with contextlib.suppress(BlockingIOError):
            while said := manager.recv(4096).decode():
                if said.startswith(wanted):
                    return said
        return ""

    return str(await until(ask, within=30, what=f"systemd to hear {wanted}"))


async def command(daemon: Daemon, *words: str, **env: str) -> tuple[int | None, str, str]:
    """Exit code, stdout, stderr of a command in the daemon's folder."""
    process = await asyncio.create_subprocess_exec(
        *TOCSIN,
        *words,
        cwd=daemon.folder,
        env=daemon._environment({"TOCSIN_URL": daemon.url, **env}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    return process.returncode, said.decode(), wrong.decode()


# ---------------------------------------------------------------------------------- start and stop


async def test_a_signal_ends_it_politely_and_nothing_is_left_open(daemon: Daemon) -> None:
    await daemon.start()

    assert await daemon.stop() == 0

    assert not (daemon.folder / ".tocsin" / "control.sock").exists()
    assert "Traceback" not in daemon.log


async def test_it_starts_again_after_a_kill(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.kill()

    await daemon.start()

    assert await daemon.stop() == 0


async def test_idle_senders_take_no_file_from_the_pager(daemon: Daemon) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        await daemon.launch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    await daemon.until_ready()

    soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)

    assert soft == min(hard, 65_536) > 256


async def test_a_bad_configuration_is_told_in_full_and_ends_with_two(daemon: Daemon) -> None:
    daemon.main.write_text(LISTENS.replace("user:ana", "user:anna").replace("console", "consol"))

    code, _, said = await command(daemon, "serve", "-c", "tocsin.yaml")

    assert code == 2
    assert "tocsin.yaml:7:" in said
    assert "tocsin.yaml:12:" in said
    assert "did you mean" in said
    assert said.splitlines()[-1].endswith("errors in the configuration, and no last good one is kept")
    assert "Traceback" not in said


async def test_a_missing_configuration_says_how_to_give_one(daemon: Daemon) -> None:
    code, _, said = await command(daemon, "serve", "-c", "nowhere.yaml")

    assert code == 2
    assert "nowhere.yaml: no such file" in said


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            "a damaged database",
            "is not an SQLite database, and is left as it is; restore a backup with `tocsin db restore FILE`",
        ),
        ("a state folder that is a file", "/.tocsin: cannot be the state folder: File exists"),
    ],
)
async def test_what_it_cannot_keep_its_state_in_is_one_line(daemon: Daemon, trouble: str, said: str) -> None:
    if trouble == "a damaged database":
        (daemon.folder / "tocsin.db").write_bytes(bytes(range(256)) * 40)
    else:
        (daemon.folder / ".tocsin").write_text("")

    code, _, told = await command(daemon, "serve", "-c", "tocsin.yaml")

    assert code == 3
    assert said in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("trouble", ["mistaken", "gone"])
async def test_with_a_bad_file_the_last_good_configuration_is_used_loudly(daemon: Daemon, trouble: str) -> None:
    await daemon.start()
    await daemon.stop()
    good = daemon.main.read_text()
    if trouble == "gone":
        daemon.main.unlink()
    else:
        daemon.main.write_text(good.replace("user:ana", "user:anna"))

    await daemon.start()
    posted = await daemon.post("/v1/webhooks/demo", {"title": "x"}, bearer="demo")
    metrics = await daemon.ask("GET", "/metrics")
    status, health = await daemon.ask("GET", "/readyz")

    assert posted["accepted"] == 1
    assert (status, health["status"]) == (200, "degraded")
    assert health["checks"]["configuration"].startswith("the last good one is in force: 1 error")

    daemon.main.write_text(good)
    await daemon.command("reload", "-c", "tocsin.yaml")

    assert (await daemon.get("/readyz"))["status"] == "ready"
    assert "RUNNING ON THE LAST GOOD CONFIGURATION" in daemon.log
    assert "tocsin_config_running_on_last_good 1.0" in metrics[1]


async def test_a_second_daemon_on_the_same_database_refuses_to_start(daemon: Daemon) -> None:
    await daemon.start()
    other = daemon.folder / "other.yaml"
    other.write_text(daemon.main.read_text().replace(str(daemon.port), str(free_port())))

    code, _, said = await command(daemon, "serve", "-c", "other.yaml")

    assert code == 3
    assert "Traceback" not in said
    assert str(daemon.pid) in said


async def test_an_address_in_use_is_one_line(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", daemon.port)):
        code, _, said = await command(daemon, "serve", "-c", "tocsin.yaml")

    assert code == 3
    assert f"cannot listen on http://127.0.0.1:{daemon.port}" in said
    assert "Traceback" not in said


# ----------------------------------------------------------------------------------------- systemd


async def test_systemd_hears_of_start_progress_reload_and_stop(daemon: Daemon, manager: socket.socket) -> None:
    await daemon.start(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="1000000")

    assert "2 users" in await heard(manager, "READY=1")
    for _ in range(3):
        await heard(manager, "WATCHDOG=1")
    os.kill(daemon.pid, signal.SIGHUP)
    await heard(manager, "RELOADING=1\nMONOTONIC_USEC=")
    await heard(manager, "READY=1")
    stopping = asyncio.ensure_future(daemon.stop())
    await heard(manager, "STOPPING=1")
    assert await stopping == 0


# ------------------------------------------------------------------------------------------ reload


async def test_a_hangup_puts_the_new_configuration_in_force(daemon: Daemon) -> None:
    await daemon.start()
    daemon.main.write_text(daemon.main.read_text().replace("token: demo", "token: fresh"))

    os.kill(daemon.pid, signal.SIGHUP)
    await until(lambda: '"reloaded"' in daemon.log, within=20, what="the reload")

    assert (await daemon.ask("POST", "/v1/webhooks/demo", {"title": "x"}, bearer="demo"))[0] == 401
    assert (await daemon.ask("POST", "/v1/webhooks/demo", {"title": "x"}, bearer="fresh"))[0] == 202


async def test_a_hangup_with_mistakes_changes_nothing(daemon: Daemon) -> None:
    await daemon.start()
    daemon.main.write_text(
        daemon.main.read_text().replace("token: demo", "token: fresh").replace("user:ana", "user:anna")
    )

    os.kill(daemon.pid, signal.SIGHUP)
    await until(lambda: "was not reloaded" in daemon.log, within=20, what="the refusal")

    assert (await daemon.ask("POST", "/v1/webhooks/demo", {"title": "x"}, bearer="demo"))[0] == 202


async def test_reload_answers_with_the_difference(daemon: Daemon) -> None:
    await daemon.start()
    daemon.main.write_text(
        daemon.main.read_text().replace("users:", "users:\n  cy: {name: Cy, contacts: {terminal: Cy}}")
    )

    code, said, wrong = await command(daemon, "reload", "-c", "tocsin.yaml")

    assert (code, said.strip(), wrong) == (0, "users +1", "")


async def test_reload_lists_mistakes_and_ends_with_two(daemon: Daemon) -> None:
    await daemon.start()
    daemon.main.write_text(daemon.main.read_text().replace("user:ana", "user:anna"))

    code, _, said = await command(daemon, "reload", "-c", "tocsin.yaml")

    assert code == 2
    assert "tocsin.yaml:12:" in said
    assert "nothing was changed" in said


async def test_tokens_and_reload_need_no_secret_of_the_daemons(daemon: Daemon) -> None:
    """As under systemd, where the credentials are the unit's alone."""
    secrets = daemon.folder / "credentials"
    secrets.mkdir()
    (secrets / "demo_token").write_text("demo")
    daemon.main.write_text(daemon.main.read_text().replace("token: demo", "token: {file: demo_token}"))
    offline = await command(daemon, "token", "create", "--name", "a", "--role", "viewer", "-c", "tocsin.yaml")
    await daemon.start(CREDENTIALS_DIRECTORY=str(secrets))

    online = await command(daemon, "token", "create", "--name", "b", "--role", "viewer", "-c", "tocsin.yaml")
    reloaded = await command(daemon, "reload", "-c", "tocsin.yaml")

    assert (offline[0], online[0]) == (0, 0), offline[2] + online[2]
    assert (reloaded[0], reloaded[1].strip()) == (0, "nothing changed"), reloaded[2]


async def test_removing_most_users_must_be_meant(daemon: Daemon) -> None:
    more = "".join(f"  u{i}: {{name: U, contacts: {{terminal: U}}}}\n" for i in range(5))
    fewer = daemon.main.read_text()
    daemon.main.write_text(fewer.replace("users:\n", f"users:\n{more}"))
    await daemon.start()
    daemon.main.write_text(fewer)

    refused = await command(daemon, "reload", "-c", "tocsin.yaml")
    meant = await command(daemon, "reload", "--yes", "-c", "tocsin.yaml")

    assert refused[0] == 1
    assert "--yes" in refused[2]
    assert (meant[0], meant[1].strip()) == (0, "users -5")


async def test_reload_without_a_daemon_says_so(daemon: Daemon) -> None:
    code, _, said = await command(daemon, "reload", "-c", "tocsin.yaml")

    assert code == 3
    assert "is `tocsin serve` running?" in said


# ------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize("running", [False, True])
async def test_a_token_is_made_whether_the_daemon_runs_or_not(daemon: Daemon, running: bool) -> None:
    if running:
        await daemon.start()

    code, said, wrong = await command(
        daemon, "token", "create", "--name", "laptop", "--role", "responder", "--user", "ana", "-c", "tocsin.yaml"
    )
    if not running:
        await daemon.start()

    assert code == 0, wrong
    assert said == said.strip() + "\n"
    await daemon.post("/v1/webhooks/demo", {"title": "x"}, bearer="demo")
    assert (await daemon.ask("POST", "/v1/incidents/1/acknowledge", {}, bearer=said.strip()))[0] == 200


@pytest.mark.parametrize("running", [False, True])
async def test_a_revoked_token_is_useless_at_once(daemon: Daemon, running: bool) -> None:
    await daemon.start()
    bearer = await daemon.token(user="ana", name="lost")
    assert (await daemon.ask("GET", "/v1/incidents"))[0] == 200
    if not running:
        await daemon.stop()

    code, said, wrong = await command(daemon, "token", "revoke", "lost", "-c", "tocsin.yaml")

    assert code == 0, wrong
    assert said.startswith("revoked lost")
    if not running:
        await daemon.start()
    assert (await daemon.ask("GET", "/v1/incidents", bearer=bearer))[0] == 401


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--name", "x", "--role", "responder", "--user", "nobody"], 1, "nobody"),
        (["--name", "x", "--role", "root"], 2, "write one of viewer, responder, admin"),
        (["--name", " ", "--role", "viewer"], 1, "name is needed"),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    daemon: Daemon, running: bool, words: list[str], code: int, said: str
) -> None:
    if running:
        await daemon.start()

    done = await command(daemon, "token", "create", *words, "-c", "tocsin.yaml")

    assert (done[0], done[1]) == (code, "")
    assert said in done[2]


async def test_tokens_are_listed_without_their_secrets(daemon: Daemon) -> None:
    await daemon.start()
    bearer = await daemon.token(user="ana", name="laptop")

    code, said, _ = await command(daemon, "token", "list", "-c", "tocsin.yaml")
    asjson = await command(daemon, "token", "list", "--json", "-c", "tocsin.yaml")

    assert code == 0
    assert "laptop" in said
    assert bearer not in said + asjson[1]
    assert '"hash"' not in asjson[1]


async def test_keys_are_rotated_while_the_daemon_runs(daemon: Daemon) -> None:
    await daemon.start()

    code, said, wrong = await command(daemon, "token", "rotate-keys", "-c", "tocsin.yaml")

    assert code == 0, wrong
    assert "a new key" in said


async def test_the_back_door_is_the_daemons_own(daemon: Daemon) -> None:
    await daemon.start()

    assert stat.S_IMODE((daemon.folder / ".tocsin" / "control.sock").stat().st_mode) == 0o600


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are closed again whenever another pytest starts."""
    with tempfile.TemporaryDirectory(prefix="tocsin-open-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_a_token_made_by_root_leaves_no_file_of_roots(daemon: Daemon, open_folder: Path) -> None:
    state = open_folder / "state"
    state.mkdir()
    os.chown(state, 65534, 65534)
    # a checkout may be root's alone; what Python compiles beside it, other tests write at this very moment
    shutil.copytree(
        Path(tocsin.__file__).parent, open_folder / "code" / "tocsin", ignore=shutil.ignore_patterns("__pycache__")
    )

    code, _, wrong = await command(
        daemon, "token", "create", "--name", "x", "--role", "viewer", "-c", "tocsin.yaml",
        STATE_DIRECTORY=str(state), PYTHONPATH=str(open_folder / "code"),
    )  # fmt: skip

    assert code == 0, wrong
    assert {path.stat().st_uid for path in state.iterdir()} == {65534}


# --------------------------------------------------------------------------------- send, end to end


async def test_send_reads_the_token_from_the_configuration(daemon: Daemon) -> None:
    await daemon.start()

    sent = await command(daemon, "send", "-i", "demo", "-t", "disk full", "--dedup-key", "d", "-c", "tocsin.yaml")
    ended = await command(daemon, "send", "-i", "demo", "--resolve", "--dedup-key", "d", "-c", "tocsin.yaml")

    assert sent[:2] == (0, "accepted 1: INC 1\n")
    assert ended[:2] == (0, "accepted 1: INC 1\n")
    await daemon.token(user="ana")
    assert (await daemon.get("/v1/incidents/1"))["status"] == "resolved"


async def test_every_client_command_works_against_a_real_daemon(daemon: Daemon) -> None:
    await daemon.start()
    await daemon.token(user="ana")
    await daemon.post("/v1/webhooks/demo", {"title": "db down", "labels": {"env": "prod"}}, bearer="demo")
    env = {"TOCSIN_TOKEN": daemon.bearer}

    for words in (
        ["incidents"],
        ["show", "1"],
        ["ack", "1"],
        ["note", "1", "looking"],
        ["unack", "1"],
        ["escalate", "1"],
        ["page", "1", "bo"],
        ["snooze", "1", "30m"],
        ["resolve", "1"],
        ["trigger", "by hand", "--severity", "error"],
        ["cancel", "2"],
        ["incidents", "--all", "--json"],
        ["silence", "add", 'env="prod"', "--for", "1h"],
        ["silence", "list"],
        ["silence", "list", "--json"],
    ):
        code, said, wrong = await command(daemon, *words, **env)
        assert code == 0, f"{words}: {wrong}"
        assert said, words
    silence = (await command(daemon, "silence", "list", "--all", **env))[1].splitlines()[1].split()[0]
    assert (await command(daemon, "silence", "expire", silence, **env))[0] == 0
    assert (await command(daemon, "ack", "999", **env))[0] == 1


async def test_senders_wait_at_the_socket_that_systemd_holds(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", daemon.port)) as door, (daemon.folder / "daemon.log").open("ab") as log:
        daemon.process = await asyncio.create_subprocess_exec(
            *("bash", "-c", f'exec 3<&{door.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "bash"),
            *(*TOCSIN, "serve", "-c", "tocsin.yaml"),
            cwd=daemon.folder,
            env=daemon._environment({}),
            pass_fds=(door.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        posted = await daemon.post("/v1/webhooks/demo", {"title": "while it starts"}, bearer="demo")

    assert posted["accepted"] == 1
    assert await daemon.stop() == 0

"""`tocsin db`: bring the database up to date, copy it, bring a copy back, look whether it is sound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tocsin.cli.configuration import control_socket, load_or_fail
from tocsin.cli.tables import print_json, say
from tocsin.cli.token import accepted, as_owner_of, ask_daemon
from tocsin.cli.trouble import REFUSED, UNREACHABLE, WRONG, Trouble
from tocsin.clock import SystemChance, SystemClock
from tocsin.contracts import Store
from tocsin.errors import StoreBusy, StoreError, StoreUnavailable
from tocsin.store import is_postgres, open_reader, open_store, sqlite_path
from tocsin.store.backup import (
    QUARANTINE,
    backup_postgres,
    backup_sqlite,
    problems_of,
    reason,
    restore_postgres,
    restore_sqlite,
)

T = TypeVar("T")
app = typer.Typer(help="The database: bring it up to date, copy it, bring a copy back.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="The daemon's configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command()
def migrate(config: Config = None) -> None:
    """Bring the schema up to date. The daemon does this itself when it starts."""
    main, url = database_of(config)
    as_owner_of(control_socket(main).parent)

    async def nothing(store: Store) -> None:
        """Opening it is all there is to do."""

    with told():
        asyncio.run(on_store(url, nothing))
    say(f"{shown(url)}: the schema is up to date")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="The new file.")], config: Config = None) -> None:
    """Copy the whole database into FILE, while the daemon runs or not."""
    _, url = database_of(config)
    with told():
        if is_postgres(url):
            backup_postgres(url, file)
        else:
            backup_sqlite(Path(sqlite_path(url)), file)
    say(f"{file}: a copy of {shown(url)}, {file.stat().st_size:,} bytes")


@app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(help="A file that `tocsin db backup` made.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="End the quarantine: page again.")] = False,
    config: Config = None,
) -> None:
    """Put a backup in the database's place, in quarantine: it pages nobody until confirmed.

    Stop the daemon, restore FILE, start the daemon, look at what it shows; then `tocsin db restore --confirm`.
    """
    main, url = database_of(config)
    if confirm == (file is not None):
        raise Trouble("write either the FILE to restore, or --confirm alone to end the quarantine", WRONG)
    if file is None:
        end_quarantine(main, url)
        return
    as_owner_of(control_socket(main).parent)
    with told():
        replaced = bring_back(url, file)
    if replaced is not None:
        say(f"the database before is kept as {replaced}")
    say(f"{shown(url)}: restored from {file}, in quarantine: nobody is paged until `tocsin db restore --confirm`")


@app.command()
def verify(config: Config = None, as_json: AsJson = False) -> None:
    """Look whether the database is sound and its schema is known. Exit code 1 when it is not."""
    _, url = database_of(config)
    with told():
        problems = [] if is_postgres(url) else problems_of_file(url)
        quarantine = None if problems else asyncio.run(look(url))
    if as_json:
        print_json({"database": shown(url), "problems": problems, "quarantine": quarantine})
    else:
        for problem in problems:
            say(f"{shown(url)}: {problem}")
        if not problems:
            say(f"{shown(url)}: sound" + (f"; in quarantine: {quarantine}" if quarantine else ""))
    if problems:
        raise typer.Exit(REFUSED)


def database_of(config: Path | None) -> tuple[Path, str]:
    main, settings = load_or_fail(config)
    return main, settings.database


def shown(url: str) -> str:
    """The database's name without its password."""
    return url.rpartition("@")[2] if is_postgres(url) else sqlite_path(url)


def problems_of_file(url: str) -> list[str]:
    path = Path(sqlite_path(url))
    if not path.is_file():
        raise StoreUnavailable(f"{path}: there is no database yet")
    return problems_of(path)


def bring_back(url: str, file: Path) -> Path | None:
    """Returns where the database before went; PostgreSQL keeps none."""
    now = SystemClock().now()
    if not is_postgres(url):
        return restore_sqlite(Path(sqlite_path(url)), file, now)
    restore_postgres(url, file)
    asyncio.run(on_store(url, lambda store: store.set_meta(QUARANTINE, reason(file, now))))
    return None


def end_quarantine(main: Path, url: str) -> None:
    """Through the running daemon where it alone may write; else on the database itself."""
    answer = None if is_postgres(url) else ask_daemon(main, {"do": "db.confirm"})
    if answer is not None:
        accepted(answer)
    else:
        as_owner_of(control_socket(main).parent)
        with told():
            asyncio.run(on_store(url, lambda store: store.set_meta(QUARANTINE, "")))
    say(f"{shown(url)}: confirmed; it pages again")


async def look(url: str) -> str | None:
    """The reason why the database is in quarantine; None or "" when it is not."""
    reader = await open_reader(url, SystemClock())
    try:
        return await reader.meta(QUARANTINE)
    finally:
        await reader.close()


async def on_store(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something to the database while no daemon holds it."""
    store = await open_store(url, clock=SystemClock(), chance=SystemChance())
    try:
        return await work(store)
    finally:
        await store.close()


@contextmanager
def told() -> Iterator[None]:
    """The store's errors as one line."""
    try:
        yield
    except (StoreBusy, StoreUnavailable) as error:
        raise Trouble(str(error), UNREACHABLE) from None
    except StoreError as error:
        raise Trouble(str(error), REFUSED) from None

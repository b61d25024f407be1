"""Every error Tocsin raises on purpose; the docstring of each is the message people see first."""

from __future__ import annotations


class TocsinError(Exception):
    """An error that Tocsin expects to be able to happen."""


def is_bug(error: BaseException) -> bool:
    """Whether something went wrong that nobody expected: any Exception, and a panic inside a library, which is none."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


class BadBody(TocsinError):
    """The posted body cannot be read as alerts.

    `pointer` is an RFC 6901 JSON pointer to the culprit ("" = the whole body).
    """

    def __init__(self, detail: str, pointer: str = "", *, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.status = status


class Refused(TocsinError):
    """An action was asked for that this actor, or this incident's state, does not allow.

    `culprits` are (RFC 6901 pointer, what is wrong there), where single values of what was asked are wrong.
    """

    def __init__(self, because: str, *, status: int = 409, culprits: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(because)
        self.because = because
        self.status = status
        self.culprits = culprits


class NoSuchIncident(Refused):
    """There is no incident with that number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no incident {number}", status=404)


class StoreError(TocsinError):
    """The database could not do what was asked; nothing of the transaction was kept."""


class StoreBusy(StoreError):
    """Another process holds this database: its lock file is taken."""


class StoreUnavailable(StoreError):
    """The database does not answer; try again later."""


class Conflict(StoreError):
    """A uniqueness promise would have been broken; run the transaction again on fresh facts."""


class SchemaTooNew(StoreError):
    """The database was written by a newer Tocsin; run that version, or restore a backup."""


class NotSent(TocsinError):
    """The request surely did not reach the provider: not one byte of it left.

    `permanent`: the server refuses this recipient for good; `account`: it refuses us.
    """

    def __init__(self, because: str, *, permanent: bool = False, account: bool = False) -> None:
        super().__init__(because)
        self.permanent = permanent
        self.account = account


class MaybeSent(TocsinError):
    """Bytes of the request left, and no usable answer came back."""


class GateClosed(TocsinError):
    """The last look before writing the request said no; nothing was sent."""


class SettingsError(TocsinError):
    """The configuration has mistakes; `problems` lists every one with file, line and column."""

    def __init__(self, problems: tuple[object, ...]) -> None:
        super().__init__(f"{len(problems)} mistake{'' if len(problems) == 1 else 's'} in the configuration")
        self.problems = problems


class BadFeed(TocsinError):
    """A calendar feed cannot be fetched or read; the message says why, without the feed's address."""

"""Pages and the attempts to send them, as the store keeps them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from tocsin.model import Attempt, Instant, Page

EVERY_RANK = 1 << 30
"""Above the rank of whatever waits to be sent."""


class PagingChanges(Protocol):
    """The part of `Tx` that is about pages and attempts."""

    async def due_pages(self, channel: str, now: Instant, limit: int) -> list[Page]:
        """Planned pages of this channel with `due_at` <= now, by (rank, due_at, id). Not locked: load their
        incidents, then ask `pages` for them where others write too."""

    async def late_pages(self, channel: str, user: str, until: Instant, limit: int) -> list[Page]:
        """Planned pages (kind "page") of this person on this channel that were put off, due by `until`; not locked."""

    async def count_late_pages(self, channel: str, user: str, until: Instant) -> int:
        """The number of pages that `late_pages` would give without a limit."""

    async def put_off(
        self, channel: str, user: str, now: Instant, at: Instant, because: str, delayed: str, but: Sequence[int]
    ) -> int:
        """Let this person's due pages on this channel, but for those of the ranks `but`, wait until `at`; each that was
        not put off before gets a line in its timeline. Returns how many lines."""

    async def planned_channels(self) -> list[str]:
        """The names of the channels that planned pages wait for, whenever they are due. Not locked."""

    async def pages(self, ids: Sequence[str]) -> dict[str, Page]: ...

    async def pages_of(self, incident: int, cycle: int | None = None) -> list[Page]:
        """Pages of the incident (and cycle), oldest first."""

    async def unsent_pages(self, incidents: Sequence[int]) -> list[Page]:
        """Pages of kind "page" with status planned or waiting."""

    async def page_keys(self, keys: Sequence[str]) -> set[str]:
        """The subset of these keys that a page has, whatever became of it."""

    async def attempt(self, id: str) -> Attempt | None: ...

    async def attempts(self, ids: Sequence[str]) -> dict[str, Attempt]: ...

    async def attempts_of(self, page: str) -> list[Attempt]: ...

    async def carried_by(self, attempt: Attempt) -> list[Attempt]:
        """The bundled attempts of pages that travel in this attempt's summary."""

    async def unconfirmed(self, now: Instant, limit: int) -> list[Attempt]:
        """Unknown attempts with confirm_by <= now whose page is `waiting`."""

    async def sent_since(self, user: str, channel: str, since: Instant, kinds: Collection[str] = ()) -> list[Instant]:
        """The starts of attempts to this person over this channel, cancelled and failed ones left out;
        with `kinds` only those for pages of these kinds."""

    async def pages_to(self, address: str, since: Instant) -> list[tuple[Page, Attempt]]:
        """Pages that went to this address since then, newest first. Whose answer this may be."""

    def add_pages(self, pages: Sequence[Page]) -> None:
        """A page whose key exists already is left as it is, silently (I3)."""

    def save_pages(self, pages: Sequence[Page]) -> None: ...

    def add_attempts(self, attempts: Sequence[Attempt]) -> None: ...

    def save_attempts(self, attempts: Sequence[Attempt]) -> None: ...


class PagingReads(Protocol):
    """The part of `Store` that is about pages and attempts: a recent committed state, without a lock."""

    async def pages(self, number: int, limit: int = ..., after: int = ...) -> list[tuple[Page, list[Attempt]]]:
        """An incident's pages, the oldest first, with their attempts: at most `limit`, behind the first `after`."""

    async def summaries(self, number: int) -> set[str]:
        """The incident's attempts that went out as one message with pages of other incidents."""

    async def page(self, id: str) -> Page | None: ...

    async def attempt(self, id: str) -> Attempt | None: ...

    async def attempts_of(self, page: str) -> list[Attempt]:
        """In the order they were made."""

    async def sent(self, channel: str, since: Instant, limit: int) -> list[tuple[str, Instant]]:
        """(user, or "" for a channel target; when) of pages' attempts over this channel, what is no page and
        cancelled and failed ones left out, the newest first."""

    async def next_due_page(self, channel: str, below: int = EVERY_RANK) -> Instant | None:
        """The earliest due_at of this channel's planned pages with a rank below `below`."""

    async def next_confirmation(self) -> Instant | None:
        """The earliest confirm_by of unknown attempts whose page is `waiting`."""

    async def open_intents(self, limit: int) -> list[tuple[str, str, Instant]]:
        """(attempt, owner, started_at) of calls that were begun and have no outcome, the oldest first; not held."""

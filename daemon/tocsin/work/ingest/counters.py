"""Counts of thresholds and flap rules: firings and changes, as stored and as this batch adds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tocsin.contracts import Tx
from tocsin.decide.noise.counters import Mark
from tocsin.model import EMPTY, Instant, Millis, StoredAlert


class Counters:
    """The counts one batch looks at, all at one instant. `alerts`: stored ones that may join when enough came."""

    def __init__(self, tx: Tx, now: Instant) -> None:
        self.alerts: dict[int, StoredAlert] = {}
        self._tx, self._now = tx, now
        self._marks: dict[str, dict[str, Mark]] = {}
        self._since: dict[str, Instant] = {}
        self._have: dict[tuple[str, Millis], int] = {}

    async def read(self, asked: Mapping[str, Instant]) -> None:
        """Read what is counted under these names since then, unless it is here already."""
        missing = {tally: since for tally, since in asked.items() if since < self._since.get(tally, since + 1)}
        for tally, rows in (await self._tx.tallied(missing)).items():
            self._marks[tally] = {row[2]: Mark(*row) for row in rows}
            self._since[tally] = missing[tally]
        self._have.clear()

    async def read_alerts(self, ids: Iterable[int]) -> None:
        self.alerts.update(await self._tx.alerts([id for id in ids if id not in self.alerts]))

    def marks(self, tally: str) -> Mapping[str, Mark]:
        """By what they are."""
        return self._marks.get(tally, EMPTY)

    def count(self, tally: str, mark: Mark) -> None:
        """Count one more, unless the very same was counted before."""
        marks = self._marks.setdefault(tally, {})
        if mark.what not in marks:
            marks[mark.what] = mark
            self._tx.add_tallies([(tally, mark.at, mark.alert, mark.what)])
            for known in self._have:
                self._have[known] += known[0] == tally

    def have(self, tally: str, within: Millis) -> int:
        """Count those not older than this. Looked through once a batch: a window may hold thousands."""
        known = self._have.get((tally, within))
        if known is None:
            marks = self._marks.get(tally, {}).values()
            known = self._have[(tally, within)] = sum(mark.at > self._now - within for mark in marks)
        return known

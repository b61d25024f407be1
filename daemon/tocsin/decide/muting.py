"""Which silence mutes this alert? The active silences, with their matchers compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tocsin.decide.matchers import Matcher, hit_all, parse
from tocsin.decide.rules import meaning
from tocsin.model import Instant, Silence, StoredAlert


@dataclass(frozen=True, slots=True)
class Mute:
    """Why an alert does not page now, and until when."""

    reason: str
    until: Instant


class Mutes:
    """The silences this process knows; refreshed from the store, changed with each silence made here."""

    def __init__(self) -> None:
        self._silences: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}
        self._looked = self._looked_before = Instant(0)

    def replace(self, silences: Iterable[Silence]) -> None:
        self._silences = {one.id: (one, tuple(parse(text) for text in one.matchers)) for one in silences}

    def among(self, silences: Iterable[Silence]) -> Mutes:
        """These silences instead; what was compiled here is used again."""
        others = Mutes()
        for one in silences:
            known = self._silences.get(one.id)
            if known is not None and known[0] == one:
                others._silences[one.id] = known
            else:
                others.set(one)
        return others

    def set(self, silence: Silence) -> None:
        self._silences[silence.id] = (silence, tuple(parse(text) for text in silence.matchers))

    def changed(self, silences: Iterable[Silence], now: Instant) -> frozenset[str]:
        """Which of those known here mute otherwise, or no longer, according to `silences`."""
        newer = {one.id: one for one in silences}
        return frozenset(id_ for id_, (one, _) in self._silences.items() if one.ends_at > now and newer.get(id_) != one)

    def starting(self, now: Instant) -> list[Silence]:
        """Silences that were made for later and whose time has come since the last call."""
        begun = [one for one, _ in self._silences.values() if self._looked < one.starts_at <= now < one.ends_at]
        self._looked, self._looked_before = now, self._looked
        return begun

    def next_start(self, after: Instant) -> Instant | None:
        """When the next silence begins that begins later than `after`."""
        return min((one.starts_at for one, _ in self._silences.values() if one.starts_at > after), default=None)

    def starts_at(self, now: Instant) -> bool:
        """Whether one begins at this very instant."""
        return any(one.starts_at == now for one, _ in self._silences.values())

    def hitting(self, value_of: Callable[[str], str], now: Instant) -> list[Silence]:
        """All active ones whose matchers hit, the one that ends last first."""
        hit = [
            silence
            for silence, matchers in self._silences.values()
            if silence.starts_at <= now < silence.ends_at and hit_all(matchers, value_of)
        ]
        return sorted(hit, key=lambda silence: silence.ends_at, reverse=True)

    def look_again(self) -> None:
        """As if the last call of `starting` had not been."""
        self._looked = self._looked_before

    def of(self, value_of: Callable[[str], str], now: Instant) -> Mute | None:
        """The longest-lasting active silence whose matchers all hit; None: the alert may page."""
        found: Mute | None = None
        for silence, matchers in self._silences.values():
            if silence.starts_at <= now < silence.ends_at and hit_all(matchers, value_of):
                if found is None or silence.ends_at > found.until:
                    found = Mute(f"silence:{silence.id}", silence.ends_at)
        return found

    def __bool__(self) -> bool:
        return bool(self._silences)


def stored_values(alert: StoredAlert) -> Callable[[str], str]:
    """What matchers see of a stored alert: names as they stand after the rules."""
    fields = {
        "integration": alert.integration,
        "service": alert.service,
        "severity": alert.severity,
        "title": alert.title,
        "source": alert.source,
        "description": alert.description,
    }

    return lambda name: meaning(name, fields, alert.labels, alert.written)

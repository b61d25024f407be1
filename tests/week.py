"""A week of alerts as a mid-sized company has them, from a seed: bursts, flappers, what heals by itself, real trouble.

    python -m tests.week 50000 > week.jsonl

Nothing of it is random twice: the same count and seed give the same lines.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace

from tocsin.decide.whatif.recordings import Answer, Record, Signal, line_of
from tocsin.model import DAY, HOUR, MINUTE, SECOND, Alert, Instant, Millis, Severity

MONDAY = Instant(1_767_571_200_000)  # 2026-01-05T00:00Z
WEEK = Millis(7 * DAY)
INTEGRATION = "apps"
PEOPLE = ("ana", "bo")
CLUSTERS = ("eu-1", "eu-2", "us-1")
SERVICES = ("shop", "search", "billing")
HEALING = ("NodeHighCpu", "PodRestarting", "LatencyHigh", "QueueGrowing", "DiskSlow")


def week(count: int = 50_000, seed: int = 1, *, start: Instant = MONDAY, length: Millis = WEEK) -> list[Record]:
    """About `count` alerts (repeats and resolves are alerts too) and people's answers, in order of time."""
    records: list[Record] = []
    story = Story(random.Random(seed), start, length)
    while len(records) < count:
        records.extend(story.next())
    records.sort(key=lambda one: one.received_at)
    return records[:count]


class Story:
    """Draws one piece of the week after the other."""

    def __init__(self, chance: random.Random, start: Instant, length: Millis) -> None:
        self.chance, self.start, self.length = chance, start, length
        self.posts = 0

    def next(self) -> Iterator[Record]:
        kinds = (self.heals, self.burst, self.flaps, self.repeats, self.trouble)
        return self.chance.choices(kinds, weights=(20, 6, 1, 10, 2))[0](self.moment())

    def moment(self) -> Instant:
        return Instant(self.start + self.chance.randrange(self.length))

    def heals(self, at: Instant) -> Iterator[Record]:
        """A warning that is over within a minute or two."""
        alert = self.alert(self.chance.choice(HEALING), "warning")
        yield self.posted(at, alert)
        yield self.posted(at + self.chance.randrange(20, 110) * SECOND, over(alert))

    def burst(self, at: Instant) -> Iterator[Record]:
        """Many nodes of a cluster at once, in a few posts, for a quarter of an hour."""
        cluster = self.chance.choice(CLUSTERS)
        nodes = [self.alert("NodeDown", "error", cluster=cluster) for _ in range(self.chance.randrange(10, 60))]
        for when, alerts in ((at, nodes), (at + self.chance.randrange(5, 20) * MINUTE, [over(one) for one in nodes])):
            for first in range(0, len(alerts), 15):
                self.posts += 1
                for one in alerts[first : first + 15]:
                    yield replace(self.posted(when + first * SECOND, one), post=self.posts)

    def flaps(self, at: Instant) -> Iterator[Record]:
        """The same link, up and down for an hour."""
        alert = self.alert("LinkDown", "error", service="network")
        for _ in range(self.chance.randrange(6, 16)):
            yield self.posted(at, alert)
            yield self.posted(at + self.chance.randrange(20, 90) * SECOND, over(alert))
            at = Instant(at + self.chance.randrange(2, 6) * MINUTE)

    def repeats(self, at: Instant) -> Iterator[Record]:
        """Something of little account that is sent again every five minutes, for hours."""
        alert = self.alert("CertificateExpiresSoon", "info")
        for turn in range(self.chance.randrange(20, 150)):
            yield self.posted(at + turn * 5 * MINUTE, alert)
        yield self.posted(at + 13 * HOUR, over(alert))

    def trouble(self, at: Instant) -> Iterator[Record]:
        """Somebody has to get up: acknowledged after some minutes, over within two hours."""
        alert = self.alert(self.chance.choice(("DatabaseDown", "CheckoutFailing")), "critical")
        yield self.posted(at, alert)
        answered = at + self.chance.randrange(60, 900) * SECOND
        assert alert.source_key is not None
        yield Answer(Instant(answered), INTEGRATION, alert.source_key, "acknowledged", self.chance.choice(PEOPLE), at)
        yield self.posted(answered + self.chance.randrange(300, 6_000) * SECOND, over(alert))

    def alert(self, name: str, severity: Severity, *, service: str = "", cluster: str = "") -> Alert:
        number = self.chance.randrange(1_000_000)
        labels = {"alertname": name, "cluster": cluster or self.chance.choice(CLUSTERS), "instance": f"n{number % 300}"}
        return Alert(
            "firing", f"{name}/{number}", severity, f"{name} on n{number % 300}",
            service=service or self.chance.choice(SERVICES), labels=labels,
        )  # fmt: skip

    def posted(self, at: int, alert: Alert) -> Signal:
        self.posts += 1
        return Signal(Instant(at), INTEGRATION, self.posts, alert)


def over(alert: Alert) -> Alert:
    return Alert("resolved", alert.source_key, title=alert.title)


if __name__ == "__main__":
    for record in week(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000):
        sys.stdout.buffer.write(line_of(record))

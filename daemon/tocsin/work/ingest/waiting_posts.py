"""Queue of posts that wait for their batch, fair between senders.

Each sender has a lane, and the parts of its big posts another one; the lanes take turns. So a flood through one door,
or one body of forty thousand alerts, costs what comes through another door one batch, not a place behind all of it.
Within a lane posts keep their order.
"""

from __future__ import annotations

from collections import deque

from tocsin.work.ingest.posts import Queued


class WaitingPosts:
    """Posts by lane. `bytes`: of the bodies that wait; those of a big post are counted by the door that reads it."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lanes: dict[str, deque[Queued]] = {}
        self._count = 0

    def add(self, post: Queued) -> None:
        """Put a post at the end of its lane."""
        name = post.integration.name
        if post.part:
            name = f"{name}\0parts"
        else:
            self.bytes += len(post.raw)
        lane = self._lanes.get(name)
        if lane is None:
            self._lanes[name] = deque((post,))
        else:
            lane.append(post)
        self._count += 1

    def batch(self, most: int) -> list[Queued]:
        """Take as many posts as make one transaction of at most `most` alerts, one of each lane in turn."""
        taken: list[Queued] = []
        alerts = 0
        lanes = self._lanes
        while lanes:
            name, lane = next(iter(lanes.items()))
            alone = len(lanes) == 1  # then all turns are its own
            while lane:
                alerts += len(lane[0].evaluated)
                if taken and alerts > most:
                    return self._gone(taken)
                taken.append(lane.popleft())
                if not alone:
                    break
            del lanes[name]
            if lane:  # to the end of the row
                lanes[name] = lane
        return self._gone(taken)

    def _gone(self, taken: list[Queued]) -> list[Queued]:
        self._count -= len(taken)
        self.bytes -= sum([len(post.raw) for post in taken if not post.part])
        return taken

    def __len__(self) -> int:
        return self._count

"""Queue of posts that wait for their batch, fair between senders.

Each sender has a lane, and the parts of its big posts another one; the lanes take turns. So a flood through one door,
or one body of forty thousand alerts, costs what comes through another door one batch, not a place behind all of it.
Within a lane posts keep their order.
"""

from __future__ import annotations

from collections import deque

from tocsin.work.ingest.posts import Queued


class Waiting:
    """Posts by lane. `bytes`: of the bodies that wait."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lanes: dict[str, deque[Queued]] = {}
        self._count = 0

    def add(self, post: Queued) -> None:
        """Put a post at the end of its lane."""
        lane = self._lanes.get(post.lane)
        if lane is None:
            self._lanes[post.lane] = deque((post,))
        else:
            lane.append(post)
        self.bytes += post.size
        self._count += 1

    def batch(self, most: int) -> list[Queued]:
        """Take as many posts as make one transaction of at most `most` alerts, one of each lane in turn."""
        taken: list[Queued] = []
        alerts = 0
        lanes = self._lanes
        while lanes:
            name = next(iter(lanes))
            lane = lanes[name]
            alerts += len(lane[0].judged)
            if taken and alerts > most:
                break
            post = lane.popleft()
            taken.append(post)
            self.bytes -= post.size
            if not lane:
                del lanes[name]
            elif len(lanes) > 1:  # to the end of the row
                del lanes[name]
                lanes[name] = lane
        self._count -= len(taken)
        return taken

    def __len__(self) -> int:
        return self._count

"""How many items a lease iterator wants now, and who waits for what."""

from __future__ import annotations

from .pace import Pace


class Demand:
    """Who waits for what, and what the fetcher is at. Not for several threads at once: ``Jobs`` locks.

    Attributes:
        waiting: Consumers that wait for a job.
        flushing: Calls that wait until all that is done is confirmed.
        fetching: Whether a request for items is on its way.
        polling: Whether the fetcher waits, so that what is done can't go with its request.
        fetcher_left: Whether the fetcher has ended.
        called: Whether the fetcher was rung for, and has not looked since.
        overstayed: Whether nothing is to be fetched before the consumer is back.
    """

    def __init__(self, pace: Pace, in_hand: int | None) -> None:
        self.pace = pace
        self.in_hand = in_hand
        self.waiting = 0
        self.flushing = 0
        self.fetching = False
        self.polling = False
        self.fetcher_left = False
        self.called = False
        self.overstayed = False

    def items(self, ready: int, begun: int) -> int:
        """How many items to fetch, where so many jobs are ready and begun."""
        waiting, pace = self.waiting, self.pace
        if ready >= waiting and (ready >= pace.prefetch or self.overstayed):
            return 0
        most = pace.batch if pace.fixed else max(pace.batch, min(waiting - ready, pace.bound))
        return most if self.in_hand is None else max(0, min(most, self.in_hand - ready - begun))

    def takes_along(self, ready: int) -> bool:
        """Whether a fetch will take along what is done, and nobody waits for that."""
        idle = self.polling and (self.waiting > 0 or not ready)
        return not (idle or self.fetcher_left or self.flushing)

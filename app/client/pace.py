"""The size of a batch: large enough to make round trips cheap, and no larger.

A job that was fetched and not begun could be an idle worker's elsewhere. So a batch begins with one item, and
doubles while round trips are more than a twentieth of the time that its work takes; it is never more than a
quarter of a second of work, and shrinks at once when the work becomes slow. Jobs that were fetched before
that, or that wait behind a long job, are given back (``stay``).

Where a round trip takes longer than an eighth of a second, that is not enough to be at work meanwhile: then a
batch lasts two of them, but at most a tenth of the ttl.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 10_000
"""Items of one request, as a server's default limit has it; one with another limit says so (``bound``)."""
_LASTS: Final = 0.25
_SHARE: Final = 20
_TTL_SHARE: Final = 10
_WORK_WEIGHT: Final = 0.5
_TRIP_WEIGHT: Final = 0.2
_WORTH: Final = 100
_STAY: Final = 1.0
_BATCHES: Final = 4


class Pace:
    """Learns the pace of the work and of the wire. Not for several threads at once: ``Jobs`` holds its lock.

    Args:
        batch: Items of one request; None: adapted.
        prefetch: As ``RemoteQueue.lease`` has it.
        ttl: Seconds of a lease.

    Attributes:
        fixed: Whether the batch was given.
        batch: Items to ask for.
        bound: Items of one request, at most.
        prefetch: Fetch when fewer jobs than this are left to begin. A round trip of less than a hundredth of
            a batch's work is not worth that somebody else's items wait.
        stay: Seconds after which a job that was not begun is given back; None: it may stay. Nothing stays so
            long at the pace that its batch was made for.
        slow: Whether round trips take so long that what is done should not wait for a hand-out.
        away, jobs: For how many seconds the consumer was away with how many jobs, since the last fetch.
    """

    def __init__(self, batch: int | None, prefetch: int | None, ttl: float) -> None:
        self.fixed = batch is not None
        self.batch = 1 if batch is None else batch
        self.bound = MOST
        self.away = 0.0
        self.jobs = 0
        self.slow = False
        self._asked_prefetch = prefetch
        self._ttl = ttl
        self._work: float | None = None
        self._trip: float | None = None
        self._begun = 0
        self._decide()

    def travelled(self, seconds: float) -> None:
        """Note how many seconds the answer to a settle took."""
        self._trip = _mean(self._trip, seconds, _TRIP_WEIGHT)
        self.slow = self._trip * _TTL_SHARE > self._ttl
        self._decide()

    def fetched(self, asked: int, got: int) -> None:
        """Note that a fetch brought ``got`` of ``asked`` items: the batch grows, shrinks or stays.

        A short answer lets nothing grow: there is no more, or the server stopped at its 4 MiB. Nor does a
        batch grow before as many jobs were begun as it has.
        """
        self.look()
        if not self.fixed and self._work is not None:
            most = self._most
            if most < self.batch:
                self.batch = most
            elif got >= asked >= self.batch <= self._begun:
                self.batch, self._begun = min(most, self.batch * 2), 0
        self._decide()

    def look(self) -> None:
        """Learn from the jobs that the consumer did since the last call."""
        if self.jobs:
            self._work = _mean(self._work, self.away / self.jobs, _WORK_WEIGHT)
            self._begun += self.jobs
            self.away, self.jobs = 0.0, 0

    def overstayed(self) -> None:
        """Note that jobs were not begun in time: the batch begins again with one."""
        self.look()
        self.batch, self._begun = 1, 0
        self._decide()

    def bounded(self, asked: int, most: int) -> bool:
        """The server gives ``most`` items at once, not ``asked``: whether to ask again for so many."""
        if self.fixed or not 1 <= most < asked:
            return False
        self.bound, self.batch = most, min(self.batch, most)
        self._decide()
        return True

    # -- inside

    @property
    def _lasts(self) -> float:
        """The seconds of work that a batch should have."""
        trip = self._trip
        lasts = _LASTS if trip is None else max(2 * trip, min(_SHARE * trip, _LASTS))
        return min(lasts, self._ttl / _TTL_SHARE)

    @property
    def _most(self) -> int:
        """The number of items that last so many seconds."""
        work = self._work or 0.0
        return self.bound if work * self.bound <= self._lasts else max(1, int(self._lasts / work))

    def _decide(self) -> None:
        asked, known = self._asked_prefetch, self._work is not None and self._trip is not None
        if asked is not None:
            self.prefetch = asked
        elif known:
            pays = (self._trip or 0.0) * _WORTH > (self._work or 0.0) * self.batch
            self.prefetch = self.batch if pays else 0
        else:
            self.prefetch = self.batch if self.fixed else 0
        adapts = not self.fixed and not asked
        self.stay = max(_STAY, _BATCHES * max(self._lasts, self._work or 0.0)) if adapts else None


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


def _mean(old: float | None, new: float, weight: float) -> float:
    return new if old is None else old + weight * (new - old)

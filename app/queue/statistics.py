"""The statistics of the whole server, and of its queues, a page at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..ledger.engine import Engine
from .browsing import Look
from .meters import COUNTS, percentiles
from .stats import LedgerStats, QueueStats, Stats

if TYPE_CHECKING:
    from .queue import Queue
    from .restored import Restored
    from .rounds import Rounds

QUEUES_A_STEP: Final = 500
"""Queues whose meters are added up before others have their turn: 1 to 2 ms."""

STATS_A_STEP: Final = 25
"""Queues whose statistics are worked out, or written, before others have their turn."""


Sees = Callable[[str], bool]
"""Whether whoever asks may know of the queue of this name."""


def everything(_: str) -> bool:
    """Who asks may know of all queues."""
    return True


class Statistics:
    """Adds up the meters of all queues, some at a time, for there may be ten thousand. It owns nothing."""

    def __init__(
        self, queues: Mapping[str, Queue], rounds: Rounds, engine: Engine, restored: Restored
    ) -> None:
        self._queues = queues
        self._rounds = rounds
        self._engine = engine
        self._restored = restored

    async def all(self, page: Sequence[Queue], following: str | None, sees: Sees = everything) -> Stats:
        """The server since it started, of the queues that are seen, and a page of them, read off the loop."""
        looks = await asyncio.to_thread(lambda: [queue.browser.look() for queue in page])
        everyone = [queue for name, queue in self._queues.items() if sees(name)]
        total, rate = await _total(everyone)
        return Stats(
            uptime=time.monotonic() - self._rounds.commits.began,
            processor_time=time.process_time(),
            **total,
            rate=round(rate, 1),
            waiting=sum(queue.line.parked for queue in everyone),
            ledger=self._ledger(),
            restored=self._restored.stats,
            queue_count=len(everyone),
            queues=await _stats_of(page, looks),
            next=following,
            cluster=None,
        )

    def _ledger(self) -> LedgerStats:
        commits = self._rounds.commits
        return LedgerStats(
            engine=self._engine.kind,
            path=self._engine.path,
            commits=commits.count,
            syncs=commits.count if self._engine.durable else 0,
            ops=commits.ops,
            ops_per_commit=commits.ops / commits.count if commits.count else None,
            commit_time=commits.seconds,
            commit=percentiles(list(commits.times)),
            batch=percentiles(list(commits.batches)),
            reopened=self._rounds.writer.reopened,
            bytes=self._engine.size(),
        )


async def _total(queues: Sequence[Queue]) -> tuple[dict[str, int], float]:
    """The counts of all queues, and their rate; other sums are none."""
    total: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
    rate = 0.0
    for number, queue in enumerate(queues):
        meter = queue.line.meter
        total.update(meter.counts())
        rate += meter.rate.per_second(meter.handed_out)
        if number % QUEUES_A_STEP == QUEUES_A_STEP - 1:
            await asyncio.sleep(0)
    return total, rate


async def _stats_of(queues: Sequence[Queue], looks: Sequence[Look]) -> Sequence[QueueStats]:
    """Some at a time: the percentiles of a busy queue take a third of a millisecond."""
    found: list[QueueStats] = []
    for queue, look in zip(queues, looks, strict=True):
        found.append(queue.browser.stats(look))
        if len(found) % STATS_A_STEP == 0:
            await asyncio.sleep(0)
    return found

"""What the page shows of queues: sums over all of them, who holds leases, what goes out next, dead letters.

Each statement is bounded, so that a page of a large queue costs what one of a small queue does.
"""

from __future__ import annotations

from collections.abc import Callable
from json import loads
from time import sleep
from typing import Any

from ..sights import ERROR_MOST, LEASES_MOST, WORKERS_MOST, Death, Deaths, Holding, Inside, Next, Workers
from ..state.runs import EXPIRED
from .readers import Readers
from .runs import ATTEMPTS, LAPSED, SPENT

LAPSED_MOST = 5_000
"""Runs of leases that have expired which are looked at for what goes out next."""
DEATHS_MOST = 10_000
"""Dead items that are counted by their errors: the newest ones."""

# Of the queues that hold something: how many items are inside, leased and dead, written so or not. A text has
# 200 of them: for each row that SQLite gives, a thread waits anew until others let it have Python.
INSIDE = f"""
WITH held AS MATERIALIZED (
    SELECT queue, sum(CASE WHEN due > :now THEN last - first + 1 ELSE 0 END) AS leased,
        max({LAPSED}) AS lapsed
    FROM run INDEXED BY run_lease WHERE token IS NOT NULL GROUP BY queue),
tried AS MATERIALIZED (
    SELECT queue, {ATTEMPTS} AS attempts FROM held CROSS JOIN queue ON queue.id = held.queue WHERE lapsed),
spent AS MATERIALIZED (
    SELECT tried.queue, sum(last - first + 1) AS items
    FROM tried CROSS JOIN run INDEXED BY run_lease
        ON run.queue = tried.queue AND {LAPSED} AND attempt >= attempts
    GROUP BY tried.queue)
SELECT json_group_array(json_array(id, inside, leased, dead)) FROM (
    SELECT id, cursor - base - taken - acked - purged - jumped AS inside, ifnull(leased, 0) AS leased,
        dead + ifnull(spent.items, 0) AS dead
    FROM queue CROSS JOIN counter ON counter.queue = queue.id
    LEFT JOIN held ON held.queue = queue.id LEFT JOIN spent ON spent.queue = queue.id
    WHERE deleted_at IS NULL AND inside > 0)
GROUP BY id / 200
"""

HOLDING = """
SELECT worker, due, sum(last - first + 1), count(*)
FROM (SELECT token, worker, due, first, last FROM run INDEXED BY run_lease
    WHERE queue = :queue AND token IS NOT NULL AND due > :now LIMIT :most)
GROUP BY token ORDER BY due
"""

WORKERS = """
SELECT queue, worker, count(*) FROM (SELECT queue, worker FROM run INDEXED BY run_lease
    WHERE token IS NOT NULL AND due > :now LIMIT :most)
GROUP BY queue, worker
"""

# The first runs of each level in the order of claims: what is due there, else what comes due next.
NEXT = """
SELECT first, last, due, priority FROM run INDEXED BY run_claim
WHERE queue = :queue AND priority = :priority AND state < 2 AND state = 0
ORDER BY due, first LIMIT :most
"""

# What has expired and is to go out again.
EXPIRED_NEXT = f"""
SELECT first, last, due, priority FROM (SELECT * FROM run INDEXED BY run_lease
    WHERE queue = :queue AND token IS NOT NULL AND due <= :now LIMIT {LAPSED_MOST})
WHERE NOT {SPENT} ORDER BY priority, due, first LIMIT :most
"""

# The last failure of each of so many dead items, the newest ones: a run may have a million. What has expired
# with its last attempt is dead of that, too, though no claim has written it down.
DEATHS = f"""
WITH newest AS (
    SELECT first, min(last, :before - 1) AS last FROM run INDEXED BY run_dead
    WHERE queue = :queue AND state = 2 AND first < :before ORDER BY first DESC LIMIT :scan),
counted AS (
    SELECT first, last, ifnull(sum(last - first + 1) OVER (ORDER BY first DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer FROM newest),
dead AS (
    SELECT max(first, last - (:scan - newer) + 1) AS first, last FROM counted WHERE newer < :scan)
SELECT seq, attempt, at, worker, error, max(failure.id) FROM dead
CROSS JOIN failure INDEXED BY failure_item ON failure.queue = :queue AND seq BETWEEN first AND last
WHERE seq < :before GROUP BY seq
UNION ALL SELECT first, attempt, due, worker, '{EXPIRED}', 0 FROM run INDEXED BY run_lease
    WHERE queue = :queue AND first < :before AND {SPENT}
"""
NEWEST = f"""
SELECT seq, attempt, at, worker, error FROM ({DEATHS})
WHERE :error IS NULL OR substr(error, 1, {ERROR_MOST}) = :error
ORDER BY seq DESC LIMIT :most
"""
BY_ERROR = f"""
SELECT substr(error, 1, {ERROR_MOST}), count(*), max(seq) FROM ({DEATHS}) GROUP BY 1
ORDER BY 2 DESC, 1 LIMIT :most
"""

LARGEST = 2**63 - 1


class SqliteSights:
    """The looks of :class:`~..sights.Sights`, from any thread but the event loop's."""

    def __init__(self, readers: Readers, now: Callable[[], int]) -> None:
        self._readers = readers
        self._now = now

    def inside(self) -> dict[int, Inside]:
        """Of each queue that holds something, by its row, what is inside."""
        found: dict[int, Inside] = {}
        for (text,) in self._readers.scan(INSIDE, {"now": self._now()}):
            for queue, inside, leased, dead in loads(text):
                found[queue] = Inside(inside - leased - dead, leased, dead)
            sleep(0)  # a thread lets others have Python only after 5 ms, unless it waits
        return found

    def holdings(self, queue: int) -> list[Holding]:
        """Who holds which leases of a queue, those that end first before."""
        asked = {"queue": queue, "now": self._now(), "most": LEASES_MOST}
        return [Holding(*found) for found in self._readers.scan(HOLDING, asked)]

    def workers(self) -> Workers:
        """Who holds leases, of all queues."""
        names: dict[int, set[str]] = {}
        runs = 0
        for queue, worker, count in self._readers.scan(WORKERS, {"now": self._now(), "most": WORKERS_MOST}):
            names.setdefault(queue, set()).add(worker)
            runs += count
        return Workers(names, all=runs < WORKERS_MOST)

    def first_due(self, queue: int) -> int | None:
        """When the first of what waits comes due, or came due."""
        dues = [due for _, _, due, _ in self._upcoming(queue, 1)]
        return min(dues, default=None)

    def next(self, queue: int, most: int) -> list[Next]:
        """What goes out next of what waits, in the order of claims."""
        now = self._now()

        def place(item: Next) -> tuple[bool, int, int, int, int]:
            late = item.due > now
            return late, item.due if late else 0, item.priority, item.due, item.first

        return sorted(self._upcoming(queue, most), key=place)[:most]

    def _upcoming(self, queue: int, most: int) -> list[Next]:
        """The first runs of what waits, of each level, and of what has expired."""
        asked = {"queue": queue, "now": self._now(), "most": most}
        found = [Next(*each) for each in self._readers.scan(EXPIRED_NEXT, asked)]
        for priority in range(10):
            asked = {"queue": queue, "priority": priority, "most": most}
            found += [Next(*each) for each in self._readers.scan(NEXT, asked)]
        return found

    def newest_dead(self, queue: int, error: str | None, before: int | None, most: int) -> list[Death]:
        """Dead items below ``before``, newest first, of one last error or any."""
        asked = self._asked(queue, before, most) | {"error": error}
        if error is None:
            asked["scan"] = most
        return [Death(*found) for found in self._browse(NEWEST, asked)]

    def dead_by_error(self, queue: int, most: int) -> list[Deaths]:
        """How many of the newest dead items have which last error."""
        asked = self._asked(queue, None, most)
        return [Deaths(*found) for found in self._browse(BY_ERROR, asked)]

    def _browse(self, statement: str, values: dict[str, Any]) -> list[Any]:
        return self._readers.browse(lambda look: look.execute(statement, values).fetchall())

    def _asked(self, queue: int, before: int | None, most: int) -> dict[str, Any]:
        seqs = LARGEST if before is None else before
        return {"queue": queue, "now": self._now(), "before": seqs, "scan": DEATHS_MOST, "most": most}

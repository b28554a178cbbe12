"""The first screen: how everything is, the vitals, and a page of queues sorted by trouble."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from ..errors import LedgerError
from ..ledger.sights import Inside, Workers
from ..queue.gate import failure_of
from ..queue.meters import percentiles
from ..queue.statistics import Sees, everything
from .recorder import rate, rates
from .rows import dumps, finding, row_of
from .servers import servers_of
from .slices import Slices
from .steps import AT_REST
from .table import DEAD, ENDED, FAILED, NONE, OLD, PAUSED, WELL, Seen, Sums, Table

if TYPE_CHECKING:
    from ..queue import Queue, Queues
    from ..queue.stats import ClusterStats
    from .recorder import Recorder

PAGE: Final = 100
"""Queues of one page of the table."""
FINDINGS_MOST: Final = 5
QUEUES_A_SECOND: Final = 2_000
"""Queues whose insides are read in a second: with more, that is done less often."""
LEARNED_MOST: Final = 100
"""Queues of which is read in a second since when the first item waits, where no batch has told it."""
EVERY: Final = 900
"""Milliseconds after which those who watch, once a second, get a new look."""
NOTHING: Final = Inside(0, 0, 0)
NOBODY: Final = Workers({}, all=True)

STATES: Final = ("open", "starting", "failed", "paused", "exhausted", "closed")
_ENDED: Final = frozenset({"exhausted", "closed"})


class Overview:
    """Looks at the queues that are ``stale``. ``old()`` (seconds): an item that has waited longer is trouble.

    ``cluster()`` tells of the servers, where several share the ledger. It owns the tables, and what was read
    of the ledger last: what is inside, the room on the disk. It looks anew at the queues that moved, and at
    those that change as time goes by: ``_restless``, where something happened just now or died within the
    hour, and those where something has come to wait for too long.
    """

    def __init__(
        self,
        queues: Queues,
        recorder: Recorder,
        *,
        old: Callable[[], float],
        cluster: Callable[[], ClusterStats | None] = lambda: None,
    ) -> None:
        self.everyone = Table()
        self.stale: set[str] = set()
        self._queues = queues
        self._recorder = recorder
        self._old = old
        self._cluster = cluster
        self._limit = old()
        self._tables: WeakSet[Table] = WeakSet([self.everyone])
        self._inside: Mapping[int, Inside] = {}
        self._workers = NOBODY
        self._read_at = self._looked_at = 0
        self._counted = False
        self._unnoted: set[Queue] = set()
        self._unlearned: dict[Queue, None] = {}  # where something waits, and no batch has told since when
        self._free: int | None = None
        self._restless: set[str] = set()
        self._waited: set[str] = set()  # where an item has waited for too long
        self._looking = asyncio.Lock()

    async def table(self, sees: Sees) -> Table:
        """The table of those who see some of the queues, which follows for as long as it is kept."""
        if sees is everything:
            return self.everyone
        table, slices = Table(sees), Slices()
        self._tables.add(table)
        for _, _, name in list(self.everyone.order):
            seen = self.everyone.seen.get(name)
            if seen is not None and name not in table.seen and sees(name):
                table.put(seen)
            if slices.over:
                await slices.turn()
        return table

    async def look(self, now: int) -> None:
        """Look anew, as the first of those who watch asks in a second."""
        async with self._looking:
            if now - self._looked_at < EVERY:
                return
            await self.count(now)
            self.stale.update(self._restless, self._overdue())
            slices = Slices()
            while self.stale:
                self._renew(self.stale.pop(), now)
                if slices.over:
                    await slices.turn()
            self._looked_at = now

    async def count(self, now: int, *, at_least: int = 0) -> None:
        """Read what is inside of all queues, unless that was done ``at_least`` milliseconds ago."""
        pause = 1000 * (1 + len(self._queues.everyone) // QUEUES_A_SECOND)
        if now - self._read_at < max(pause, at_least) - 100:
            return
        self._read_at = now
        unlearned = list(islice(self._unlearned, LEARNED_MOST))
        for queue in unlearned:
            del self._unlearned[queue]
        found, self._free = await asyncio.to_thread(self._read, unlearned, watched=not at_least)
        self.stale.update(queue.name for queue in unlearned)
        if found is None:
            return
        before, self._inside = self._inside, found
        self._unnoted.update(self._moved(before, found) if self._counted else self._queues.everyone)
        self._counted = True
        slices = Slices()
        while self._unnoted:  # if this is cancelled, the others are noted the next time
            self._note(self._unnoted.pop(), now)
            if slices.over:
                await slices.turn()

    def _moved(self, before: Mapping[int, Inside], found: Mapping[int, Inside]) -> Iterable[Queue]:
        """The queues of which something else is inside now."""
        rows = [row for row, inside in found.items() if before.get(row) != inside]
        rows += [row for row in before if row not in found]
        return [queue for queue in map(self._queues.of_row, rows) if queue is not None]

    def _note(self, queue: Queue, now: int) -> None:
        if self._queues.find(queue.name) is queue:
            self.stale.add(queue.name)
            dead = self._inside.get(queue.line.row.id, NOTHING).dead
            self._recorder.track(queue, now).note_dead(now, dead)
            if queue.line.condition.state.next_due == 0:
                self._unlearned[queue] = None

    def _read(
        self, unlearned: Sequence[Queue], *, watched: bool
    ) -> tuple[Mapping[int, Inside] | None, int | None]:
        folder = self._queues.folder
        free = None if folder is None else shutil.disk_usage(folder).free
        try:
            inside = self._queues.sights.inside()
            if watched:
                leased = any(each.leased for each in inside.values())
                self._workers = self._queues.sights.workers() if leased else NOBODY
        except LedgerError:
            return None, free
        for queue in unlearned:
            queue.browser.learn(inside.get(queue.line.row.id, NOTHING).waiting)
        return inside, free

    def _overdue(self) -> Iterable[str]:
        """The queues where something has waited for too long since the last look; all if that has changed."""
        dues, waited = self.everyone.dues, self._waited
        if self._old() != self._limit:
            self._limit = self._old()
            return list(dues)
        since = self._queues.now() - self._limit * 1000
        return [name for name, due in dues.items() if due < since and name not in waited]

    def _renew(self, name: str, now: int) -> None:
        """Look at a queue, which may be gone."""
        queue = self._queues.find(name)
        self._restless.discard(name)
        self._waited.discard(name)
        if queue is None:
            for table in self._tables:
                table.drop(name)
            return
        seen = self._see(queue, now)
        if seen.sums.died or seen.track.busy(now):
            self._restless.add(name)
        for table in self._tables:
            if table.sees(name):
                table.put(seen)

    def _see(self, queue: Queue, now: int) -> Seen:
        track = self._recorder.track(queue, now)
        inside = self._inside.get(queue.line.row.id, NOTHING)
        counts, died = track.counts(now), track.died(now)
        resting = counts is AT_REST and not died and inside == NOTHING
        sums = NONE if resting else Sums(inside, died, counts)
        condition = queue.line.condition
        due = queue.browser.first_due if inside.waiting else None
        if inside.waiting and due is None:
            self._unlearned[queue] = None
        if due is not None and due < self._queues.now() - self._limit * 1000:
            self._waited.add(queue.name)
        seen = Seen(
            (WELL, 0.0, queue.name),
            queue,
            track,
            state=condition.word,
            inside=inside,
            due=due,
            sums=sums,
        )
        seen.trouble = *self._trouble(seen), queue.name
        return seen

    def _trouble(self, seen: Seen) -> tuple[int, float]:
        """What is not well about a queue, and how bad that is."""
        inside, died = seen.inside, seen.sums.died
        if seen.state == "failed" and failure_of(seen.queue.line.condition.state) is not None:
            return FAILED, -float(seen.track.since)
        if died and inside.dead:  # those that were redriven or purged since are no trouble
            return DEAD, -float(died)
        if seen.state == "paused" and inside.waiting:
            return PAUSED, -float(inside.waiting)
        if seen.queue.name in self._waited and seen.due is not None:
            return OLD, float(seen.due)
        return ENDED if seen.state in _ENDED else WELL, -rate(seen.sums.traffic.out)

    # -- what is shown

    async def shown(self, now: int, table: Table, *, find: str = "", state: str = "", after: int = 0) -> str:
        """The first screen, with the queues whose names contain ``find`` and which are in a state.

        It tells only of those in the table, and how long commits take. Who sees all queues is told how full
        the disk is, too, and of the servers.
        """
        found, slices, ledger_now = (
            await _found(table, find, state, after + PAGE + 1),
            Slices(),
            self._queues.now(),
        )
        old, began = self._limit, self._recorder.began
        rows: list[str] = []
        for seen in found[after : after + PAGE]:
            rows.append(row_of(seen, now, ledger_now, old=old, began=began))
            if slices.over:
                await slices.turn()
        partly = table is not self.everyone
        minute = await self._recorder.minute(now, list(table.seen) if partly else None)
        worst = [each for each in table.first(0, FINDINGS_MOST) if not each.well]
        head = {
            "now": now,
            "restored": self._queues.restored.waiting,
            "count": len(table.seen),
            "partly": partly,
            "servers": None if partly else self._servers(),
            "look": table.troubled,
            "states": {name: table.states[name] for name in STATES},
            "findings": [finding(each, now, ledger_now) for each in worst],
            "totals": self._totals(table, ledger_now),
            "minute": minute,
            "next": after + PAGE if len(found) > after + PAGE else None,
        }
        return f'{dumps(head)[:-1]},"queues":[{",".join(rows)}]}}'

    def _servers(self) -> dict[str, Any] | None:
        inbox = self._queues.inbox
        return servers_of(self._cluster(), None if inbox is None else inbox.state)

    def _totals(self, table: Table, ledger_now: int) -> dict[str, Any]:
        sums, whole = table.sums, table is self.everyone
        oldest = min(table.dues.values(), default=ledger_now + 1)
        return {
            **rates(sums.traffic),
            **sums.inside._asdict(),
            "died": sums.died,
            "workers": self._holders(table),
            "oldest": None if oldest > ledger_now else (ledger_now - oldest) / 1000,
            "commit_p99": percentiles(list(self._queues.rounds.commits.times)).p99,
            "bytes": self._queues.size if whole else None,
            "free": self._free if whole else None,
        }

    def _holders(self, table: Table) -> dict[str, Any]:
        """How many workers, by their names, hold leases of the queues in a table.

        ``unnamed``: some say no name; ``more``: only some of the leases were looked at.
        """
        looked = self._workers
        found = set().union(*(names for row, names in looked.names.items() if self._shows(table, row)))
        return {"count": len(found - {""}), "unnamed": "" in found, "more": not looked.all}

    def _shows(self, table: Table, row: int) -> bool:
        queue = self._queues.of_row(row)
        return queue is not None and queue.name in table.seen


async def _found(table: Table, find: str, state: str, most: int) -> Sequence[Seen]:
    """The first queues whose names contain ``find`` and which are in a state."""
    if not find and not state:
        return table.first(0, most)
    found: list[Seen] = []
    slices = Slices()
    for _, _, name in list(table.order):
        seen = table.seen.get(name)
        if seen is not None and find in name and _is(seen, state):
            found.append(seen)
            if len(found) == most:
                break
        if slices.over:
            await slices.turn()
    return found


def _is(seen: Seen, state: str) -> bool:
    return not state or (not seen.well if state == "look" else seen.state == state)

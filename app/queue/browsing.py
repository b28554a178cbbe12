"""Looking at a queue: as it is on disk, its items, its audit, its statistics."""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import ItemUnknown, LedgerError, QueueConflict, QueueUnknown
from ..ledger.engine import Engine
from ..ledger.looks import DAMAGED, ItemRow, ItemState, Kept
from ..ledger.ops import QueueRow
from ..ledger.work import QueueSettings, Seqs
from .answers import Audit, DeadPage, ItemAnswer, ItemDone, KeyPage, Page, Peeked, QueueInfo
from .gate import failure_of
from .info import info_of
from .meters import percentiles
from .stats import QueueStats

if TYPE_CHECKING:
    from .line import Line


ERRORS_MOST: Final = 20
"""Errors by which dead letters are counted."""


class Look(NamedTuple):
    """A queue as the ledger has it: its row, and how many items wait, are leased and are dead."""

    row: QueueRow
    inside: tuple[int, int, int]


class Browser:
    """Shows one queue. It keeps what it saw last, for statistics are wanted most when the disk fails.

    Any thread that looks puts a whole row, or whole counts, in the place of those that it kept.
    ``in_file``: the names of the queues that the configuration has now.
    """

    def __init__(self, line: Line, engine: Engine, *, in_file: Set[str]) -> None:
        self._line = line
        self._engine = engine
        self._in_file = in_file
        self._known, self._glanced = line.row, (0, 0, 0)
        self._first_due: int | None = None  # of what waits, as it was read last

    # -- the queue

    def on_disk(self) -> QueueRow:
        """The queue's row as it is on disk now.

        Raises:
            QueueUnknown: the queue was deleted.
        """
        row = self._engine.row(self._line.row.id)
        if row is None or row.deleted_at is not None:
            raise QueueUnknown(f"there is no queue {self._line.name}", field="queue")
        return row

    def info(self) -> QueueInfo:
        """The queue as it is on disk now; to count many leases takes long, see :meth:`read`."""
        row = self.on_disk()
        return self.shown(row, self._glance(row))

    async def read(self) -> QueueInfo:
        """The queue as it is on disk now; what is inside is counted off the loop."""
        return await self.seen(self.on_disk())

    async def seen(self, row: QueueRow, *, created: bool = False) -> QueueInfo:
        """The answer for a row, with the state that only the server knows."""
        inside = await asyncio.to_thread(self._glance, row) if row.inside else (0, 0, 0)
        return self.shown(row, inside, created=created)

    def shown(
        self,
        row: QueueRow,
        inside: tuple[int, int, int] = (0, 0, 0),
        *,
        created: bool = False,
        replayed: bool = False,
    ) -> QueueInfo:
        """The answer for a row and the counts of items inside."""
        return info_of(
            row,
            self._line.limits,
            inside,
            starting=self._line.supply.starting and not replayed,
            created=created,
            replayed=replayed,
            in_file=self._line.name in self._in_file,
        )

    def look(self) -> Look:
        """The queue as the ledger has it, or had it when it could be read last; from any thread."""
        with suppress(LedgerError):
            self._known = self._engine.row(self._line.row.id) or self._line.row
        inside = self._glance(self._known)
        self.learn(inside[0])
        return Look(self._known, inside)

    @property
    def first_due(self) -> int | None:
        """Since when (ledger milliseconds) the first item could be claimed; None where none is known to wait.

        Batches tell that. After a start, and after other settings, none has told it until somebody claims:
        then it is what `learn` has read.
        """
        due = self._line.condition.state.next_due
        return self._first_due if due == 0 else due

    def learn(self, waiting: int) -> None:
        """Read since when the first item waits, where no batch has told it; from any thread."""
        if waiting and self._line.condition.state.next_due == 0:
            with suppress(LedgerError):
                self._first_due = self._engine.sights.first_due(self._line.row.id)

    def _glance(self, row: QueueRow) -> tuple[int, int, int]:
        """How many items wait, are leased and are dead; an empty queue needs no look."""
        if not row.inside:
            return 0, 0, 0
        with suppress(LedgerError):  # then as it was: that nothing is inside would be a word to act on
            self._glanced = self._engine.glance(row.id)
        return self._glanced

    async def not_empty(self, row: QueueRow, how: str) -> QueueConflict:
        """The refusal of a request (``how``) that would drop the items inside and does not confirm that."""
        name = self._line.name
        waiting, leased, dead = await asyncio.to_thread(self._glance, row)
        return QueueConflict(
            f"{name} holds {waiting} waiting, {leased} leased and {dead} dead items, which would be"
            f" dropped: {how} /queues/{name}?confirm={name} says that this is meant",
            reason="not-empty",
            field="confirm",
        )

    # -- its items

    async def page(self, state: ItemState | None = None, after: int = 0, limit: int = 100) -> Page:
        """A page of the items inside with a seq above ``after``, in order; of one state, or all."""
        queue, most_bytes = self._line.row.id, self._line.limits.handout_bytes
        rows, more = await asyncio.to_thread(self._engine.items, queue, state, after, limit, most_bytes)
        items = await asyncio.to_thread(lambda: tuple(map(self._peeked, rows)))
        return Page(self._line.name, items, rows[-1].seq if more else None)

    async def item(self, seq: int) -> ItemAnswer | ItemDone:
        """One item inside the queue with its failed attempts; or who took or acked it, if a history is kept.

        Raises:
            ItemUnknown: the item is not drawn or pushed yet, or it is done and no history has it.
        """
        row = self.on_disk()  # first: an item that is pushed between the two looks has not come yet
        name = row.name
        rows, _ = await asyncio.to_thread(self._engine.items, row.id, None, seq - 1, 1, 1)
        if not rows or rows[0].seq != seq:
            done = await asyncio.to_thread(self._done, seq, row.generation)
            if done is not None:
                return done
            ended = row.ending in {"exhausted", "closed"}
            why = f"does not come: the queue is {row.ending}" if ended else "has not come yet"
            raise ItemUnknown(f"item {seq} of {name} {'is done' if seq <= row.cursor else why}", field="seq")
        history = self._engine.failures(row.id, seq)
        kept = self._engine.kept(row.id, seq) or Kept(0, "")
        key = await asyncio.to_thread(self._engine.item_key, row.id, row.generation, seq)
        traceparent = self._engine.traceparent(row.id, seq)
        return ItemAnswer(name, self._peeked(rows[0]), tuple(history), kept, key, traceparent)

    def _done(self, seq: int, generation: int) -> ItemDone | None:
        name = self._line.name
        found = self._engine.history(name, seq, 0, generation)
        if not found or found[-1].generation != generation:
            return None
        return ItemDone(name, seq, self._line.computing.known_text(seq), found[-1])

    def _peeked(self, row: ItemRow) -> Peeked:
        failed = row.attempt or row.state == "dead"
        failures = self._engine.failures(self._line.row.id, row.seq) if failed else []
        return Peeked(
            row.seq,
            "null" if row.text == DAMAGED else row.text or self._line.computing.text(row.seq),
            row.state,
            row.attempt,
            row.priority,
            row.due,
            row.worker,
            DAMAGED if row.text == DAMAGED else failures[-1].error if failures else None,
            row.began,
        )

    async def item_keys(self, prefix: str = "", after: str = "", limit: int = 100) -> KeyPage:
        """The keys of items that the queue knows and that begin with ``prefix``, in their order."""
        row = self.on_disk()
        look, most = self._engine.item_keys, limit + 1
        found = await asyncio.to_thread(look, row.id, row.generation, prefix, after=after, most=most)
        following = found[limit - 1][0] if len(found) > limit else None
        return KeyPage(row.name, tuple(found[:limit]), following)

    # -- what the page shows

    @property
    def settings(self) -> QueueSettings:
        """The queue's settings, with what the server's limits say for those that it has not."""
        return self.shown(self._line.row).settings

    async def next_out(self, most: int) -> Sequence[Peeked]:
        """What goes out next of what waits."""
        return await asyncio.to_thread(self._next_out, most)

    def _next_out(self, most: int) -> list[Peeked]:
        engine, queue = self._engine, self._line.row.id
        found: list[Peeked] = []
        for first, last, _, _ in engine.sights.next(queue, most):
            room = self._line.limits.handout_bytes
            rows, _ = engine.items(queue, "waiting", first - 1, most - len(found), room)
            found += [self._peeked(row) for row in rows if row.seq <= last]  # what follows has its own turn
            if len(found) >= most:
                break
        return found[:most]

    async def dead(self, error: str | None, before: int | None, limit: int) -> DeadPage:
        """Dead letters, newest first, of one last error or any."""
        queue, sights = self._line.row.id, self._engine.sights
        found = await asyncio.to_thread(sights.newest_dead, queue, error, before, limit + 1)
        errors = await asyncio.to_thread(sights.dead_by_error, queue, ERRORS_MOST)
        following = found[limit - 1].seq if len(found) > limit else None
        return DeadPage(self._line.name, tuple(found[:limit]), tuple(errors), following)

    async def dead_seqs(self, error: str, among: Seqs | None) -> Seqs:
        """The seqs of dead items with this last error, as ranges; ``among`` sorted ranges, or all."""
        queue, most = self._line.row.id, self._line.limits.ranges
        found = await asyncio.to_thread(self._engine.sights.newest_dead, queue, error, None, most)
        seqs = sorted(death.seq for death in found)
        if among is not None:
            starts = [first for first, _ in among]
            seqs = [seq for seq in seqs if (at := bisect(starts, seq)) and seq <= among[at - 1][1]]
        ranges: list[tuple[int, int]] = []
        for seq in seqs:
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1] = ranges[-1][0], seq
            else:
                ranges.append((seq, seq))
        return tuple(ranges)

    # -- its numbers

    async def audit(self) -> Audit:
        """The independent counters, and the items run by run, from one moment."""
        row = self.on_disk()
        counts = await asyncio.to_thread(self._engine.counts, row.id)
        return Audit(
            row.name,
            row.generation,
            counts.base,
            counts.cursor,
            counts.taken,
            counts.acked,
            counts.purged,
            counts.jumped,
            counts.waiting,
            counts.delayed,
            counts.leased,
            counts.dead,
            counts.overlaps,
        )

    def stats(self, look: Look | None = None) -> QueueStats:
        """Statistics since the server started (``cursor``, ``taken``: for ever), of an earlier `Look`."""
        row, (waiting, leased, dead) = look or self.look()
        line = self._line
        meter, supply = line.meter, line.supply
        iterator = supply.iterator_stats()
        return QueueStats(
            queue=line.name,
            state=line.condition.word,
            cursor=row.cursor,
            taken=row.taken,
            acked=row.acked,
            waiting_items=waiting,
            leased=leased,
            dead=dead,
            oldest_waiting=self.oldest_waiting(waiting),
            **meter.counts(),
            rate=meter.rate.per_second(meter.handed_out),
            waiting=line.parked,
            buffered=supply.buffered,
            threads=supply.threads,
            pulls=iterator.pulls if iterator else 0,
            contended=iterator.contended if iterator else 0,
            wait=percentiles(supply.waits.copy()),
            hold=percentiles(supply.holds.copy()),
            answer=percentiles(meter.answers),
            failure=failure_of(line.condition.state),
        )

    def oldest_waiting(self, waiting: int) -> float | None:
        """For how many seconds the first item could have been handed out; None where none is known to."""
        due, now = self.first_due, self._engine.now()
        return None if not waiting or due is None or due > now else (now - due) / 1000

"""The items inside a queue: read, redriven, purged, counted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace

from ..errors import ItemUnknown, LimitExceeded, QueueUnknown, Stopping
from ..ledger.ops import Outcome, QueueRow
from ..ledger.pending import Pending
from ..ledger.work import DAMAGED, ItemRow, ItemState, Moved, Purge, Redrive, Seqs, Woken
from .answers import Audit, ItemAnswer, ItemDone, KeyPage, MovedAnswer, Page, Peeked
from .desk import Track, outcome, recall
from .keys import check_same
from .produce import Produces

RATE_MOST = 100_000.0
RATE_LEAST = 0.001


class Holds(Produces):
    """The part of a queue that shows and changes the items inside."""

    async def redrive(
        self,
        seqs: Seqs | None = None,
        limit: int | None = None,
        rate: float | None = None,
        *,
        key: str | None = None,
    ) -> MovedAnswer:
        """Let dead items wait again with attempt 0: all, some, or the first ``limit``, ``rate`` a second.

        Raises:
            LimitExceeded: a range, the limit or the rate is none; nothing was changed.
        """
        if limit is not None and limit < 1:
            raise LimitExceeded("limit must be at least 1", field="limit", limit=1)
        if rate is not None and not RATE_LEAST <= rate <= RATE_MOST:
            limits = f"{RATE_LEAST:g}..{RATE_MOST:g}"
            raise LimitExceeded(f"rate must be within {limits} items a second", field="rate", limit=limits)
        if seqs is not None:
            seqs = self._sorted(seqs)
        request = _digest(f"redrive {seqs} {limit} {rate}")
        return await self._in_slices(key, request, Redrive(self.row.id, seqs, limit, rate))

    def _sorted(self, seqs: Seqs) -> Seqs:
        if len(seqs) > self._limits.ranges:
            most = self._limits.ranges
            raise LimitExceeded(f"{len(seqs)} ranges; the limit is {most}", field="seqs", limit=most)
        before = 0
        for first, last in sorted(seqs):
            if not before < first <= last:
                raise LimitExceeded(
                    f"seqs [{first}, {last}] is no range, or overlaps one", field="seqs", limit="ranges"
                )
            before = last
        return tuple(sorted(seqs))

    def _told_redriven(self, moved: Outcome) -> None:
        assert isinstance(moved, Moved)  # noqa: S101  # the outcome of a redrive
        if moved.due is not None:
            self._route(Woken(self.row.id, moved.due, moved.count))

    async def purge(
        self, states: tuple[ItemState, ...] = ("waiting", "dead"), *, key: str | None = None
    ) -> MovedAnswer:
        """Drop waiting items, dead items, or both, for good; they count as purged. Leases are left alone."""
        kept = tuple(state for state in ("waiting", "dead") if state in states)
        if not kept or len(kept) < len(set(states)):
            raise LimitExceeded(
                "states are waiting, dead, or both; leased items stay with their holders",
                field="states",
                limit="waiting, dead",
            )
        return await self._in_slices(key, f"purge {kept}", Purge(self.row.id, kept))

    def _told_purged(self, moved: Outcome) -> None:
        assert isinstance(moved, Moved)  # noqa: S101  # the outcome of a purge
        if moved.rest is None:
            self.claims.purged()

    # -- a slice at a time, so that nobody waits for 300,000 items

    async def _in_slices(self, key: str | None, request: str, op: Redrive | Purge) -> MovedAnswer:
        """Purge or redrive a slice at a time; the answer is that of the last slice.

        Under a key, a repeat of the request goes on where the last one came to.
        """
        if key is None:
            return await self._slices(op, None, lambda pending: None)
        self._limits.check_key(key)
        async with self.keys.hold(key, request, self._limits.commit_patience) as held:
            recalled, part = recall(self._engine, self.row, key), None
            if recalled is not None:
                check_same(recalled.request, request)
                assert isinstance(recalled.work, Moved)  # noqa: S101  # filed under its request
                part = recalled.work
                if part.rest is None:
                    return MovedAnswer(self.name, part.count, replayed=True)
            return await self._slices(replace(op, remember=self.remember(key, request)), part, held.track)

    async def _slices(self, op: Redrive | Purge, part: Moved | None, track: Track) -> MovedAnswer:
        told = self._told_purged if isinstance(op, Purge) else self._told_redriven
        while True:
            pending = self._change(replace(op, part=part), told)
            track(pending)
            part = await outcome(pending, self._limits)
            if part.rest is None:
                return MovedAnswer(self.name, part.count)
            if self._stopping:
                raise Stopping("the server is going down in the middle of this", retry_after=1.0)

    def _change(self, op: Redrive | Purge, told: Callable[[Outcome], None]) -> Pending[Moved]:
        self.check_current()
        return self.commit(op, told)

    # -- looking

    async def page(self, state: ItemState | None = None, after: int = 0, limit: int = 100) -> Page:
        """A page of the items inside with a seq above ``after``, in order; of one state, or all."""
        queue, most_bytes = self.row.id, self._limits.handout_bytes
        rows, more = await asyncio.to_thread(self._engine.items, queue, state, after, limit, most_bytes)
        items = await asyncio.to_thread(lambda: tuple(map(self._peeked, rows)))
        return Page(self.name, items, rows[-1].seq if more else None)

    async def item(self, seq: int) -> ItemAnswer | ItemDone:
        """One item inside the queue with its failed attempts; or who took or acked it, if a history is kept.

        Raises:
            ItemUnknown: the item is not drawn or pushed yet, or it is done and no history has it.
        """
        row = self.on_disk()  # first: an item that is pushed between the two looks has not come yet
        rows, _ = await asyncio.to_thread(self._engine.items, self.row.id, None, seq - 1, 1, 1)
        if not rows or rows[0].seq != seq:
            done = await asyncio.to_thread(self._done, seq, row.generation)
            if done is not None:
                return done
            why = "is done" if seq <= row.cursor else "has not come yet"
            raise ItemUnknown(f"item {seq} of {self.name} {why}", field="seq")
        history = self._engine.failures(self.row.id, seq)
        return ItemAnswer(self.name, self._peeked(rows[0]), tuple(history))

    def _done(self, seq: int, generation: int) -> ItemDone | None:
        found = self._engine.history(self.name, seq, 0, generation)
        if not found or found[-1].generation != generation:
            return None
        return ItemDone(self.name, seq, self._computing.known_text(seq), found[-1])

    def _peeked(self, row: ItemRow) -> Peeked:
        failures = self._engine.failures(self.row.id, row.seq) if row.attempt or row.state == "dead" else []
        return Peeked(
            row.seq,
            "null" if row.text == DAMAGED else row.text or self._computing.text(row.seq),
            row.state,
            row.attempt,
            row.priority,
            row.due,
            row.worker,
            DAMAGED if row.text == DAMAGED else failures[-1].error if failures else None,
        )

    async def item_keys(self, prefix: str = "", after: str = "", limit: int = 100) -> KeyPage:
        """The keys of items that the queue knows and that begin with ``prefix``, in their order."""
        row = self.on_disk()
        look, most = self._engine.item_keys, limit + 1
        found = await asyncio.to_thread(look, row.id, row.generation, prefix, after=after, most=most)
        following = found[limit - 1][0] if len(found) > limit else None
        return KeyPage(self.name, tuple(found[:limit]), following)

    async def audit(self) -> Audit:
        """The independent counters, and the items run by run, from one moment."""
        row = self.on_disk()
        counts = await asyncio.to_thread(self._engine.counts, self.row.id)
        return Audit(
            row.name,
            row.generation,
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

    def on_disk(self) -> QueueRow:
        """The queue's row as it is on disk now.

        Raises:
            QueueUnknown: the queue was deleted.
        """
        row = self._engine.row(self.row.id)
        if row is None or row.deleted_at is not None:
            raise QueueUnknown(f"there is no queue {self.name}", field="queue")
        return row


def _digest(request: str) -> str:
    """The text of a request, or its digest if it is long."""
    return request if len(request) <= 100 else hashlib.blake2b(request.encode(), digest_size=16).hexdigest()  # noqa: PLR2004

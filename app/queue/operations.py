"""Operating a queue: pause, resume, close, delete, retry, advance, redrive, purge."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import LimitExceeded, QueueConflict, Refused
from ..ledger.looks import ItemState
from ..ledger.ops import Advance, Close, Conflict, Delete, Pause, QueueRow, Retry
from ..ledger.serve import Key
from ..ledger.work import Moved, Purge, Redrive, Seqs
from .answers import MovedAnswer, QueueInfo
from .asking import digest_of
from .gate import stopping
from .once import Done, once

if TYPE_CHECKING:
    from .browsing import Browser
    from .line import Line
    from .rounds import Rounds

RATE_MOST: Final = 100_000.0
RATE_LEAST: Final = 0.001
_LONG: Final = 100
"""Characters of a request's text beyond which its digest stands for it."""


class Operations:
    """What operators do to one queue: each an op in the same line as all asks.

    With a ``key``, each is done once.
    """

    def __init__(self, line: Line, rounds: Rounds, browser: Browser) -> None:
        self._line = line
        self._rounds = rounds
        self._browser = browser
        self._limits = line.limits

    async def pause(self, *, key: Key | None = None) -> QueueInfo:
        """Hand out nothing until `resume`."""
        return await self._operate(Pause(self._line.row.id, True), "pause", key)

    async def resume(self, *, key: Key | None = None) -> QueueInfo:
        """Hand out again."""
        return await self._operate(Pause(self._line.row.id, False), "resume", key)

    async def close(self, *, key: Key | None = None) -> QueueInfo:
        """End draws and pushes for good. Items inside are still handed out; then the queue is exhausted."""
        return await self._operate(Close(self._line.row.id), "close", key)

    async def delete(self, *, confirmed: bool = True, key: Key | None = None) -> QueueInfo:
        """Delete the queue: its items are purged, its source is let go; name, cursor and generation stay.

        Raises:
            QueueConflict: the request is not ``confirmed``, and items are inside; nothing was changed.
        """
        done = await self._commit(Delete(self._line.row.id, confirmed=confirmed), "delete", key)
        if (row := _conflict(done)) is not None:
            raise await self._browser.not_empty(row, "DELETE")
        return await self._answer(done)

    async def retry(self, *, key: Key | None = None) -> QueueInfo:
        """Open a failed source again, after the cursor.

        Raises:
            QueueConflict: the source has not failed.
        """
        done = await self._commit(Retry(self._line.row.id), "retry", key)
        if _conflict(done) is not None:
            state = self._line.condition.word
            raise QueueConflict(f"{self._line.name} is {state}, not failed", reason="not-failed")
        return await self._answer(done)

    async def _operate(self, op: Any, digest: str, key: Key | None) -> QueueInfo:
        return await self._answer(await self._commit(op, digest, key))

    async def _commit(self, op: Any, digest: str, key: Key | None) -> Done:
        return await once(self._rounds, op, key, digest, self._limits)

    async def _answer(self, done: Done) -> QueueInfo:
        row = done.outcome
        if isinstance(row, Conflict):
            raise self._line.gone()
        if done.replayed:
            return self._browser.shown(row, replayed=True)
        return await self._browser.seen(row)

    # -- jumping

    async def advance(self, to_seq: int, *, key: Key | None = None) -> QueueInfo:
        """Jump forward: the next item is ``to_seq + 1``, and the items in between count as jumped.

        Raises:
            QueueConflict: not forward, beyond the source's end, or the queue has ended.
            SourceBusy: the source did not come to ``to_seq`` in time; nothing was changed.
        """
        line = self._line
        if line.spec is None:
            raise QueueConflict(f"{line.name} has no source to advance", reason="conflict", field="to_seq")
        return await self.pass_over(to_seq, key=key)

    async def pass_over(self, to_seq: int, *, key: Key | None = None) -> QueueInfo:
        """As `advance`, also where producers push: what they push next comes after ``to_seq``."""
        line = self._line
        supply = line.supply
        state = line.condition.state
        if supply.length is not None and to_seq > supply.length:
            raise _beyond_end(line.name, supply.length, to_seq)
        if line.feeder is not None and to_seq > state.cursor and state.ending is None:
            await line.feeder.prepare(to_seq, self._limits.operate_patience)
        op = Advance(line.row.id, to_seq, keeps_mark=supply.keeps_mark)
        done = await self._commit(op, f"advance {to_seq}", key)
        if (row := _conflict(done)) is not None:
            raise self._not_forward(row)
        return await self._answer(done)

    def _not_forward(self, row: QueueRow) -> Refused:
        if row.ending is not None:
            error = self._line.condition.refusal("failed" if row.ending == "failed" else "exhausted")
            assert isinstance(error, Refused)  # noqa: S101  # both are refusals
            return error
        return QueueConflict(
            f"{row.name} is at {row.cursor}: it can only be advanced beyond that",
            reason="not-forward",
            field="to_seq",
        )

    # -- a slice at a time, so that nobody waits for 300,000 items

    async def redrive(
        self,
        seqs: Seqs | None = None,
        limit: int | None = None,
        rate: float | None = None,
        *,
        error: str | None = None,
        expect: int | None = None,
        key: Key | None = None,
    ) -> MovedAnswer:
        """Let dead items wait again with attempt 0: all, some, or the first ``limit``, ``rate`` a second.

        ``error``: of the newest 10,000, those whose last error is this one, by its first 200 characters.
        ``expect``: how many the caller has seen.

        Raises:
            LimitExceeded: a range, the limit or the rate is none; nothing was changed.
            QueueConflict: there are not as many as ``expect`` says; nothing was changed.
        """
        if limit is not None and limit < 1:
            raise LimitExceeded("limit must be at least 1", field="limit", limit=1)
        if rate is not None and not RATE_LEAST <= rate <= RATE_MOST:
            limits = f"{RATE_LEAST:g}..{RATE_MOST:g}"
            raise LimitExceeded(f"rate must be within {limits} items a second", field="rate", limit=limits)
        if seqs is not None:
            seqs = self._sorted(seqs)
        text = f"redrive {seqs} {limit} {rate}" + (f" {error}" if error is not None else "")
        if error is not None:
            seqs = await self._browser.dead_seqs(error, seqs)
        digest = text if len(text) <= _LONG else digest_of(text)
        return await self._in_slices(
            Redrive(self._line.row.id, seqs, limit, rate, expect=expect), digest, key
        )

    def _sorted(self, seqs: Seqs) -> Seqs:
        most = self._limits.ranges
        if len(seqs) > most:
            raise LimitExceeded(f"{len(seqs)} ranges; the limit is {most}", field="seqs", limit=most)
        before = 0
        for first, last in sorted(seqs):
            if not before < first <= last:
                raise LimitExceeded(
                    f"seqs [{first}, {last}] is no range, or overlaps one", field="seqs", limit="ranges"
                )
            before = last
        return tuple(sorted(seqs))

    async def purge(
        self,
        states: tuple[ItemState, ...] = ("waiting", "dead"),
        *,
        expect: int | None = None,
        key: Key | None = None,
    ) -> MovedAnswer:
        """Drop waiting items, dead items, or both, for good; they count as purged. Leases are left alone.

        ``expect``: how many the caller has seen.

        Raises:
            LimitExceeded: a state is none of these; nothing was changed.
            QueueConflict: there are more than ``expect`` says; nothing was changed.
        """
        kept = tuple(state for state in ("waiting", "dead") if state in states)
        if not kept or len(kept) < len(set(states)):
            raise LimitExceeded(
                "states are waiting, dead, or both; leased items stay with their holders",
                field="states",
                limit="waiting, dead",
            )
        op = Purge(self._line.row.id, kept, expect=expect)
        if expect is not None:
            audit = await self._browser.audit()
            seen = sum(audit.waiting if state == "waiting" else audit.dead for state in kept)
            op = replace(op, seen=seen, upto=audit.cursor)  # what is pushed from here on nobody has seen
        return await self._in_slices(op, f"purge {kept}", key)

    async def _in_slices(self, op: Redrive | Purge, digest: str, key: Key | None) -> MovedAnswer:
        """Do a slice at a time; the answer is that of the last.

        Under a key, a repeat goes on where the last one came to that moved something, whatever matches by
        now; only what was never begun is refused.
        """
        while True:
            done = await self._commit(op, digest, key)
            moved: Moved = done.outcome
            if moved.found is not None:
                raise _unexpected(op, moved.found)
            if moved.rest is None:
                if not moved.count and not done.replayed and self._line.retired:
                    raise self._line.gone()
                return MovedAnswer(self._line.name, moved.count, done.replayed)
            if self._line.condition.stopping:
                raise stopping()
            await asyncio.sleep(0)
            op = replace(op, part=moved)


def _unexpected(op: Redrive | Purge, found: int) -> QueueConflict:
    """The refusal to move others than the caller has seen."""
    which, done = ("dead items", "redriven") if isinstance(op, Redrive) else ("items", "purged")
    told = f"{found} {which} match by now, and {op.expect} were expected: nothing was {done}"
    return QueueConflict(told, field="expect")


def _beyond_end(name: str, length: int, to_seq: int) -> QueueConflict:
    return QueueConflict(
        f"{name} has {length} items; it can't be advanced to {to_seq}", reason="beyond-end", field="to_seq"
    )


def _conflict(done: Done) -> QueueRow | None:
    """The row of a queue with which an op was at odds; None if it was done, or the queue is gone."""
    outcome = done.outcome
    return outcome.row if isinstance(outcome, Conflict) and outcome.why != "deleted" else None

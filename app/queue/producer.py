"""Pushing items into a queue that no source feeds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import QueueConflict, QueueFull
from ..ledger.serve import Key
from ..ledger.work import Parcel, Push, Pushed
from .answers import PushAnswer
from .asking import digest_of
from .once import once
from .rounds import again
from .wording import words

if TYPE_CHECKING:
    from .line import Line
    from .rounds import Rounds

RETRY_AFTER = 1.0
"""Seconds after which a full queue is worth asking again."""


class Producer:
    """Takes pushed items into one queue; all that it changes is in the ledger."""

    def __init__(self, line: Line, rounds: Rounds) -> None:
        self._line = line
        self._rounds = rounds

    async def push(
        self,
        parcels: tuple[Parcel, ...],
        *,
        key: Key | None = None,
        parent: str | None = None,
        caller: str = "",
    ) -> PushAnswer:
        """Add items at the end, all or none; they are on disk when this returns.

        How many they are, and what each of them is, was checked where they were read. ``parent`` is the
        traceparent of the request, and ``caller`` the name of who pushes: the items keep both.

        Raises:
            QueueFull: ``max_ready`` would be passed.
            QueueConflict: a source feeds the queue, or it is closed.
            And what the ledger raises, as for `Queue.asked`.
        """
        queue = self._line
        if (shut := self._rounds.shut) is not None:
            await asyncio.sleep(0)  # a caller that tries again at once lets others have their turn
            raise again(shut)
        op = Push(queue.row.id, parcels, int(queue.limits.key_ttl * 1000), parent=parent, caller=caller)
        digest = "push " + digest_of(words(parcels)) if key else ""
        queue.expect(sum([len(parcel.texts) for parcel in parcels if not parcel.delay]))
        done = await once(self._rounds, op, key, digest, queue.limits)
        pushed: Pushed = done.outcome
        self._check_taken(pushed)
        if not done.replayed:
            queue.meter.pushed += len(pushed.seqs) - len(pushed.known)
            for rows in self._rounds.touched:  # anew: the batch was told of before this was counted
                rows.add(queue.row.id)
        return PushAnswer(queue.name, pushed.seqs, pushed.known, done.replayed)

    def _check_taken(self, pushed: Pushed) -> None:
        """Raise the reason if nothing was pushed."""
        name = self._line.name
        match pushed.refused:
            case None:
                return
            case "full":
                most = self._line.row.settings.max_ready
                raise QueueFull(
                    f"{pushed.ready} items wait in {name}; it takes up to {most}: nothing was pushed",
                    field="items",
                    limit=most,
                    retry_after=RETRY_AFTER,
                )
            case "closed":
                raise QueueConflict(f"{name} is closed: nothing was pushed", reason="closed")
            case "end":
                raise QueueConflict(
                    f"{name} has counted to 2^53-1, where every queue ends: nothing was pushed",
                    reason="closed",
                )
            case "source":
                by = self._line.spec.name if self._line.spec else "a source"
                raise QueueConflict(
                    f"{name} is fed by {by}: nothing can be pushed to it", reason="source-fed"
                )
            case _:
                raise self._line.gone()

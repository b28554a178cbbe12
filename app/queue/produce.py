"""Pushing: one, many, or a stream in parts; into a queue that no source feeds."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ..errors import LimitExceeded, QueueConflict, QueueFull, QueueUnknown
from ..ledger.ops import Outcome, Recalled, Remember
from ..ledger.pending import Pending
from ..ledger.work import Parcel, Progress, Push, Pushed, Streamed, Woken
from .answers import PushAnswer
from .desk import Track, outcome, recall
from .keys import check_same
from .settle import Settles

RETRY_AFTER = 1.0
"""Seconds after which a full queue is worth asking again."""

STREAM = "stream"
"""The text of a stream's request under its key, however far the stream has come."""

NOTHING = Streamed()


class Produces(Settles):
    """The part of a queue that takes pushed items in."""

    async def push(self, parcels: tuple[Parcel, ...], *, key: str | None = None) -> PushAnswer:
        """Add items at the end, all or none; they are on disk when this returns.

        Raises:
            QueueFull: ``max_ready`` would be passed.
            QueueConflict: a source feeds the queue, or it is closed.
            LimitExceeded: too many items, or one is over its limit.
            And what the ledger raises, as for :meth:`take`.
        """
        self._check_parcels(parcels)
        answered = await self.once(
            key,
            _digest(parcels) if key else "",
            lambda remember: self._push(Push(self.row.id, parcels, self.item_key_ttl, remember=remember)),
            self._pushed,
            self._replay_push,
        )
        if not answered.replayed:
            self.meter.pushed += len(answered.seqs) - len(answered.known)
        return answered

    @asynccontextmanager
    async def stream(self, key: str | None) -> AsyncIterator[Stream]:
        """Push in parts that belong together; with a key, go on where the stream of this key stands.

        Raises:
            KeyReused: the key belongs to another request.
            OutcomeUnknown: somebody is sending this stream just now.
        """
        if key is None:
            yield Stream(self, None, lambda pending: None, NOTHING)
            return
        self._limits.check_key(key)
        async with self.keys.hold(key, STREAM, self._limits.commit_patience) as held:
            recalled = recall(self._engine, self.row, key)
            state = NOTHING
            if recalled is not None:
                check_same(recalled.request, STREAM)
                assert isinstance(recalled.work, Streamed)  # noqa: S101  # filed under this request
                state = recalled.work
            yield Stream(self, self.remember(key, STREAM), held.track, state)

    def _push(self, op: Push) -> Pending[Pushed]:
        self.check_current()
        return self.commit(op, self._told_pushed)

    def _told_pushed(self, outcome: Outcome) -> None:
        """Wake waiting requests for pushed items; called on the committer's thread."""
        assert isinstance(outcome, Pushed)  # noqa: S101  # the outcome of a push
        if outcome.due is not None:
            self._route(Woken(self.row.id, outcome.due, len(outcome.seqs) - len(outcome.known)))

    def _pushed(self, pushed: Pushed) -> PushAnswer:
        self.check_taken(pushed)
        return PushAnswer(self.name, pushed.seqs, pushed.known)

    def _replay_push(self, recalled: Recalled) -> PushAnswer:
        assert isinstance(recalled.work, Pushed)  # noqa: S101  # filed under a push's request
        return replace(self._pushed(recalled.work), replayed=True)

    def check_taken(self, pushed: Pushed) -> None:
        """Raise the reason if nothing was pushed."""
        match pushed.refused:
            case None:
                return
            case "full":
                most = self.row.settings.max_ready
                raise QueueFull(
                    f"{pushed.ready} items wait in {self.name}; it takes up to {most}: nothing was pushed",
                    field="items",
                    limit=most,
                    retry_after=RETRY_AFTER,
                )
            case "closed":
                raise QueueConflict(f"{self.name} is closed: nothing was pushed", reason="closed")
            case "end":
                raise QueueConflict(
                    f"{self.name} has counted to 2^53-1, where every queue ends: nothing was pushed",
                    reason="closed",
                )
            case "source":
                by = self.spec.name if self.spec else "a source"
                raise QueueConflict(
                    f"{self.name} is fed by {by}: nothing can be pushed to it", reason="source-fed"
                )
            case "moved":
                raise QueueConflict(
                    f"the stream into {self.name} was continued by another request, or forgotten by a purge:"
                    " send it again from its start",
                    field="offset",
                )
            case _:
                raise QueueUnknown(f"there is no queue {self.name}", field="queue")

    def _check_parcels(self, parcels: tuple[Parcel, ...]) -> None:
        limits = self._limits
        limits.check_count("items", sum(len(parcel.texts) for parcel in parcels), limits.count)
        for parcel in parcels:
            limits.check_seconds("delay", parcel.delay / 1000, limits.delay)
            if not 0 <= parcel.priority <= 9:  # noqa: PLR2004  # the design's section 7
                raise LimitExceeded("priority must be from 0 to 9", field="priority", limit="0..9")
            for key in parcel.keys or ():
                if key is not None:
                    limits.check_text("key", key, limits.key_bytes)


class Stream:
    """Pushes the parts of one stream into one queue. ``state`` says how far the stream has come."""

    def __init__(self, queue: Produces, remember: Remember | None, track: Track, state: Streamed) -> None:
        self._queue = queue
        self._remember = remember
        self._track = track
        self.state = state

    async def push(self, parcels: tuple[Parcel, ...], progress: Progress) -> Streamed:
        """Add the next part, all or none; ``progress`` is how far the stream is read with it.

        A part may be empty: then only the progress is filed.

        Raises:
            The errors of ``Queue.push``; then nothing of this part was pushed.
        """
        queue = self._queue
        if any(parcel.texts for parcel in parcels):
            queue._check_parcels(parcels)
        op = Push(
            queue.row.id,
            parcels,
            queue.item_key_ttl,
            since=self.state.bytes,
            progress=progress if self._remember else None,
            remember=self._remember,
        )
        pending = queue._push(op)
        self._track(pending)
        pushed = await outcome(pending, queue._limits)
        if isinstance(pushed, Streamed):  # resolved by its key, after a failure of the disk
            self.state = pushed
            return pushed
        queue.check_taken(pushed)
        self.state = self.state.with_part(pushed, progress)
        queue.meter.pushed += len(pushed.seqs) - len(pushed.known)
        return self.state


def _digest(parcels: tuple[Parcel, ...]) -> str:
    return "push " + hashlib.blake2b(repr(parcels).encode("utf-8", "replace"), digest_size=16).hexdigest()

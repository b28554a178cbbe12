"""Pushing items into a queue that no source feeds."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..errors import LimitExceeded, QueueConflict, QueueFull, QueueUnknown
from ..ledger.ops import Outcome, Recalled
from ..ledger.pending import Pending
from ..ledger.work import Parcel, Push, Pushed, Woken
from .answers import PushAnswer
from .settle import Settles

RETRY_AFTER = 1.0
"""Seconds after which a full queue is worth asking again."""


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


def _digest(parcels: tuple[Parcel, ...]) -> str:
    return "push " + hashlib.blake2b(repr(parcels).encode("utf-8", "replace"), digest_size=16).hexdigest()

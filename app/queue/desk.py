"""The common part of all requests to a queue: the line to the ledger, and the idempotency of keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..errors import LedgerUnavailable, OutcomeUnknown
from ..ledger.committer import Committer
from ..ledger.entry import Entry
from ..ledger.ops import Engine, Op, Outcome, QueueRow, Recalled, Remember
from ..ledger.pending import Pending
from .keys import KeysInFlight, check_same
from .limits import Limits

T = TypeVar("T")
Track = Callable[[Pending[Any]], None]
Begin = Callable[[Remember | None], Pending[Any]]


class Desk:
    """One queue's place at the ledger.

    Idempotency: with a ``key`` a request can be sent again after any failure and gets the same answer,
    ``replayed``; nothing more is done.
    """

    def __init__(self, row: QueueRow, engine: Engine, committer: Committer, limits: Limits) -> None:
        self.name = row.name
        self.row = row
        self._engine = engine
        self._committer = committer
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.keys = KeysInFlight()

    def commit(
        self,
        op: Op,
        settled: Callable[[Outcome], None] | None = None,
        pending: Pending[Any] | None = None,
    ) -> Pending[Any]:
        """Put an op that draws nothing into the line; ``settled`` is called on the committer's thread."""
        pending = pending or Pending()
        self._committer.submit(Entry(op, pending, settled=settled))
        return pending

    async def once(
        self,
        key: str | None,
        request: str,
        begin: Begin,
        answer: Callable[[Any], T],
        replay: Callable[[Recalled], T],
    ) -> T:
        """Commit one op and answer with its outcome; with a key, once for the key."""
        if key is None:
            return answer(await outcome(begin(None), self._limits))

        async def run(remember: Remember, track: Track) -> T:
            pending = begin(remember)
            track(pending)
            return answer(await outcome(pending, self._limits))

        return await self.once_for(key, request, run, replay)

    async def once_for(
        self,
        key: str,
        request: str,
        run: Callable[[Remember, Track], Awaitable[T]],
        replay: Callable[[Recalled], T],
        *,
        checked: bool = False,
    ) -> T:
        """Run a request once for its key: look among those in flight, then in the ledger, then run it."""
        if not checked:
            self._limits.check_key(key)
        async with self.keys.hold(key, request, self._limits.commit_patience) as held:
            recalled = recall(self._engine, self.row, key)
            if recalled is not None:
                check_same(recalled.request, request)
                return replay(recalled)
            return await run(self.remember(key, request), held.track)

    def remember(self, key: str, request: str) -> Remember:
        """File an answer under ``key`` for as long as keys are kept."""
        return Remember(key, request, self.key_ttl)

    @property
    def key_ttl(self) -> int:
        """Milliseconds for which a key's answer is kept: the queue's setting, else the server's limit."""
        own = self.row.settings.key_ttl
        return int(self._limits.key_ttl * 1000) if own is None else own

    @property
    def item_key_ttl(self) -> int:
        """Milliseconds for which the key of an item is known, if the queue has no setting for it."""
        return int(self._limits.key_ttl * 1000)


def recall(engine: Engine, row: QueueRow, key: str) -> Recalled | None:
    """The answer that is filed under a key of this queue.

    Raises:
        OutcomeUnknown: that can't be read now, so whether the key has its answer already can't be told.
    """
    try:
        return engine.recall(row.id, row.generation, "", key)
    except LedgerUnavailable as error:
        raise OutcomeUnknown(
            f"what this Idempotency-Key stands for can't be looked up now: {error}"
        ) from error


async def outcome(pending: Pending[T], limits: Limits) -> T:
    """Wait for an op, for a bounded time: a hung disk must not hang its callers.

    Raises:
        OutcomeUnknown: the op has not ended in time, and goes on.
    """
    if pending.done:
        return await pending  # no clock is needed for that
    try:
        async with asyncio.timeout(limits.operate_patience + limits.commit_patience):
            return await pending
    except TimeoutError:
        raise unsure() from None


def unsure() -> OutcomeUnknown:
    """The error for a disk that does not answer in time; the op may still reach it."""
    return OutcomeUnknown(
        "the disk did not answer in time; send the request again with its key to learn what became of it"
    )

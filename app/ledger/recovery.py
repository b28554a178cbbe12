"""Recovery: what the writer does when the disk fails, the files are gone, or the disk is full.

When a COMMIT fails, nobody knows at first what is on disk (measured: a commit that failed with EIO reads as
absent on the same connection and as present after a kill). So the engine is reopened, which brings what it
reads to the disk, and then *the number of the transaction decides*: if the ledger has it, all of the
transaction is there and every outcome stands as it was computed; otherwise nothing of it happened. An error
before COMMIT is a plain rollback: the transaction waits for the reopening and is applied once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic, sleep
from typing import Any

from ..errors import (
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    LedgerLost,
    LedgerMoved,
    LedgerUnavailable,
    OutcomeUnknown,
)
from .engine import WritingEngine
from .ops import CommitFailed, EngineDamaged, EngineFailed
from .serve import Applied

log = logging.getLogger("dibs.ledger")

LOOK_BUSY = 0.01  # seconds between two looks at the files: a look costs as much as a tenth of a commit
_PAUSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between attempts to reopen


LAST_TRIES: float = 1.0
"""Seconds for which a server that goes down still tries to reach a ledger that comes back by itself."""
_LAST_PAUSE = 0.05


class AtFault(Exception):
    """An op is at fault, not the disk: its transaction was rolled back. ``reason`` is what was raised."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Recovery:
    """Applies transactions, and owns what is known of the ledger's health. Used by the writer's thread alone.

    ``down``: why the ledger can't be written now; None while it can. ``troubled`` is called when that is
    news. ``ending`` waits for so many seconds, and says whether the server is going down.
    """

    def __init__(
        self,
        engine: WritingEngine,
        troubled: Callable[[LedgerError | None], None],
        ending: Callable[[float], bool],
    ) -> None:
        self._engine = engine
        self._troubled = troubled
        self._ending = ending
        self._unread = False  # while nobody knows what a failed commit has left on disk
        self._told: str | None = None  # what was done last for files that are gone
        self._looked = 0.0
        self.down: LedgerError | None = None
        self.reopened = 0

    def apply(self, ops: Sequence[Any]) -> Applied | LedgerError:
        """Apply ops in one transaction; an error where nothing of it is on disk, or nobody can tell.

        Raises:
            AtFault: an op is at fault.
        """
        refusal: LedgerError | None = None
        if (
            monotonic() - self._looked >= LOOK_BUSY
        ):  # after a pause the files are looked at before any hand-out
            refusal = self.trouble()
        for _ in range(2):
            if self.down is not None and (still := self.lacking()) is not None:
                return still if refusal is None or isinstance(still, LedgerMoved) else refusal
            try:
                return self._engine.apply(ops)
            except CommitFailed as error:
                return self._decide(error)
            except EngineDamaged as error:
                refusal = LedgerDamaged(str(error))
                self.stop(refusal)
                return refusal
            except EngineFailed as error:
                refusal = refusal_of(error)
                if self._reopen(refusal) is None or error.full:
                    return refusal
            except Exception as error:
                raise AtFault(error) from error
        assert refusal is not None  # noqa: S101  # it is here for the second time
        return refusal

    def _decide(self, error: CommitFailed) -> Applied | LedgerError:
        """What came of a transaction whose COMMIT failed: its number on disk tells."""
        applied, refusal = error.applied, refusal_of(error)
        number = self._reopen(refusal)
        if number is None or applied is None:
            return OutcomeUnknown(
                "the commit failed, and nobody knows yet whether it is done: ask again with the key"
            )
        if 0 < applied.number == number:
            log.warning("transaction %d is there, all of it", number)
            return applied
        trouble = self._engine.trouble()
        if isinstance(trouble, LedgerLost):  # the former primary may come back, and have it
            return OutcomeUnknown(
                "the database has lost transactions, and nobody knows whether this one is done:"
                " ask again with the key once the ledger goes on"
            )
        return trouble if isinstance(trouble, LedgerMoved) else refusal

    def _reopen(self, refusal: LedgerError) -> int | None:
        """Reopen the ledger; the number that it has then. None if the server goes down before it works."""
        self.stop(refusal)
        self._unread = True
        attempt, over = 0, 0.0
        while True:
            try:
                self._engine.reopen()
                number = self._engine.number()
            except Exception as error:
                if attempt == 0:
                    log.warning("the ledger can't be reopened yet: %s", error)
            else:
                self.reopened += 1
                self._unread = False
                if not isinstance(self._engine.trouble(), LedgerMoved):
                    log.warning("the ledger is open again, at attempt %d", attempt + 1)
                return number
            if self._ending(_PAUSES[min(attempt, len(_PAUSES) - 1)]):
                # Another owner has begun, or soon will have: it tells what came of the last transaction.
                over = over or monotonic() + (LAST_TRIES if self._engine.returns else 0)
                if monotonic() >= over:
                    return None
                sleep(_LAST_PAUSE)
            attempt += 1

    def look_after(self) -> float:
        """Look after a ledger that nobody writes to: at its files, and that a live lease's time is persisted.

        Returns the seconds until that is due again.
        """
        if self.trouble() is None and self._engine.unheard() == 0:
            try:
                self._engine.keep_time()
            except EngineFailed as error:
                self._reopen(refusal_of(error))
        unheard = self._engine.unheard()
        return inf if unheard is None else unheard

    # -- what keeps the ledger from being written

    def trouble(self) -> LedgerError | None:
        """Why nothing may be committed, after a look at the files."""
        self._looked = monotonic()
        trouble = self._engine.trouble()
        if trouble is not None:
            self.stop(trouble)
        return trouble

    def look(self) -> LedgerError | None:
        """Why the ledger can't be written now, after a look at its files; for any thread."""
        trouble = self._engine.trouble()
        if trouble is not None:
            self._looked = 0.0  # so that the next batch is not committed on an older look
        return self.down or trouble

    def stop(self, error: LedgerError) -> None:
        """Note that nothing can be written, and tell of it where that is news."""
        before, self.down = self.down, error
        if before is None or (type(before), str(before)) != (type(error), str(error)):
            moved = isinstance(error, LedgerMoved)  # nothing is wrong: another server goes on
            log.log(logging.WARNING if moved else logging.CRITICAL, "%s", error)
            self._troubled(error)

    def lacking(self) -> LedgerError | None:
        """What is still missing: certainty about the disk, the files, or room for one more failure."""
        if self._unread:
            return self.down
        if (trouble := self._engine.trouble()) is not None:
            return trouble
        try:
            self._engine.reserve()
        except EngineFailed as error:
            return refusal_of(error)
        return None

    def still_down(self) -> LedgerError | None:
        """Look again; None: it goes on, and that was told. What is open of files that are gone is saved."""
        error = self.lacking()
        if error is not None:
            self.stop(error)
            if self._engine.trouble() is not None:
                self.save()
            return error
        if not isinstance(self.down, LedgerFull):
            self.save()  # what is handed out from here on needs saving anew
        self._told = None
        log.warning("the ledger can be written again; it goes on")
        self.down = None
        self._troubled(None)
        return None

    def save(self) -> None:
        """Save the content of the open files, which may be all that is left."""
        try:
            news = self._engine.rescue()
        except Exception as error:
            news = f"the content of the open files could not be saved: {error}"
        if news is not None and news != self._told:
            log.critical("%s", news)
            self._told = news

    def close(self) -> None:
        """Close the engine, after a last attempt to save what may be all that is left of files."""
        if not isinstance(self._engine.trouble(), (LedgerLost, type(None))):
            self.save()
        self._engine.close()


def refusal_of(error: EngineFailed) -> LedgerError:
    """The error for those whose ops are certainly not on disk."""
    if error.full:
        return LedgerFull("the disk of the ledger is full; nothing was handed out")
    return LedgerUnavailable(
        f"the ledger can't be reached or written ({' '.join(str(error).split())}); nothing was handed out"
    )

"""The writer: the thread that applies batches of ops to the ledger, each in one transaction with one sync.

It knows nothing of callers, queues or keys. Batches are applied and reported in the order in which they were
submitted, and a report comes when all of the batch is on disk, or certainly is not. So whatever an outcome
says, even one that changed nothing, everything that it was read from is on disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any, Generic, Protocol, TypeVar

from ..errors import DibsError, LedgerError, LedgerFault, LedgerFull, LedgerUnavailable, OutcomeUnknown
from .engine import WritingEngine
from .recovered import Recovered
from .recovery import AtFault, Recovery
from .serve import After, Applied, Serve

log = logging.getLogger("dibs.ledger")

LOOK_EVERY = 1.0  # seconds between two looks at the ledger's files while nothing is committed
ROOM_EVERY = 0.5  # seconds between two looks for room on a full disk


class Ops(Protocol):
    """A batch, as the writer knows it."""

    @property
    def ops(self) -> Sequence[Any]:
        """Ops for one transaction: any op, :class:`~.serve.Keyed` or :class:`~.serve.Serve`."""


Batch = TypeVar("Batch", bound=Ops)


class _Recover:
    """What an operator asked for, and its outcome."""

    def __init__(self, *, accept_loss: bool, who: str) -> None:
        self.accept_loss = accept_loss
        self.who = who
        self.outcome: Future[Recovered] = Future()


class Writer(Generic[Batch]):
    """Owns the writing side of an engine, and the thread that uses it.

    ``report`` gets each batch once, with what came of it, and how many seconds that took. All of it is on
    disk, or certainly is not: of an op, and of each ask of a Serve, that is not there, the outcome is an
    error. (``now`` is 0 if nothing was applied.) ``troubled`` is called with an error when the ledger can't
    be written (for lack of room LedgerFull), again when the reason changes, and with None when it goes on:
    before the batch is reported in which the disk failed. Both are called on the writer's thread, and must
    not wait. Its guard is for the end: nothing is submitted after it.
    """

    def __init__(
        self,
        engine: WritingEngine,
        *,
        report: Callable[[Batch, Applied, float], None],
        troubled: Callable[[LedgerError | None], None] = lambda error: None,
    ) -> None:
        self._engine = engine
        self._report = report
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._line: SimpleQueue[Batch | _Recover | None] = SimpleQueue()  # the last is None
        self._current: Batch | None = None
        self._recovery = Recovery(engine, troubled, self._closing.wait)
        self._thread = threading.Thread(target=self._run, name="dibs-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Put a batch behind those that were submitted before.

        Raises:
            LedgerUnavailable: the writer is closed, or has ended; there will be no report.
        """
        with self._guard:
            if self._closing.is_set():
                raise LedgerUnavailable("the server is going down")
            self._line.put(batch)

    def recover(self, *, accept_loss: bool, who: str = "") -> Future[Recovered]:
        """Go on after a loss, see ``Engine.recover``; the outcome comes when the ledger can be written.

        Raises:
            LedgerUnavailable: the writer is closed, or has ended.
        """
        job = _Recover(accept_loss=accept_loss, who=who)
        with self._guard:
            if self._closing.is_set():
                raise LedgerUnavailable("the server is going down")
            self._line.put(job)
        return job.outcome

    @property
    def down(self) -> LedgerError | None:
        """Why the ledger can't be written now, after a look at its files; None while it can."""
        return self._recovery.look()

    @property
    def reopened(self) -> int:
        """How often the ledger was reopened after a failure."""
        return self._recovery.reopened

    def close(self, timeout: float = 5.0) -> bool:
        """Commit what was submitted, take no more, close the engine.

        Returns False if the disk did not let this end within ``timeout`` seconds.
        """
        with self._guard:
            self._closing.set()
            self._line.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- the thread

    def _run(self) -> None:
        look_at = 0.0  # when the files are to be looked at, and ledger time may have to be persisted
        try:
            while True:
                try:
                    batch = self._line.get(timeout=min(max(look_at - monotonic(), 0.0), LOOK_EVERY))
                except Empty:
                    look_at = monotonic() + min(self._recovery.look_after(), LOOK_EVERY)
                else:
                    if batch is None:
                        return
                    if isinstance(batch, _Recover):
                        self._recover(batch)
                    else:
                        self._commit(batch)
                if self._recovery.down is not None:
                    self._wait_until_up()
        except BaseException:
            log.critical("the writer has ended; nothing is handed out any more", exc_info=True)
            self._end()
        finally:
            self._recovery.close()

    def _recover(self, job: _Recover) -> None:
        """Recover, unless who has asked for it is gone; from here on nobody can cancel it."""
        if not job.outcome.set_running_or_notify_cancel():
            return
        try:
            recovered = self._engine.recover(accept_loss=job.accept_loss, who=job.who)
            self._recovery.still_down()
        except Exception as error:
            job.outcome.set_exception(error)
        else:
            job.outcome.set_result(recovered)

    def _commit(self, batch: Batch, refusal: DibsError | None = None) -> None:
        """Apply a batch, unless there is a ``refusal`` for it, and report it."""
        began = perf_counter()
        self._current = batch
        applied: Applied | DibsError
        try:
            applied = refusal or self._recovery.apply(batch.ops)
        except AtFault:
            log.exception("a transaction of %d ops was refused; applying them singly", len(batch.ops))
            applied = self._singly(batch.ops)
        if refusal is None and self._recovery.down is not None:
            self._recovery.still_down()  # whoever hears that it failed may ask again at once
        self._current = None
        try:
            if not isinstance(applied, Applied):
                applied = _refused(batch.ops, applied)
            self._report(batch, applied, perf_counter() - began)
        except Exception:  # what is on disk stands, whatever is made of it
            log.exception("after a batch of %d ops", len(batch.ops))

    def _singly(self, ops: Sequence[Any]) -> Applied:
        """Apply each op, and each ask of a Serve, in a transaction of its own: one at fault fails alone.

        In the order of a batch: all ops but Serve come first.
        """
        outcomes: list[Any] = [None] * len(ops)
        after: dict[int, After] = {}
        now = 0

        def alone(op: Any) -> Any:
            nonlocal now
            applied = self._alone(op)
            if not isinstance(applied, Applied):
                return applied
            after.update(applied.after)
            now = applied.now
            return applied.outcomes[0]

        for at, op in sorted(enumerate(ops), key=lambda placed: isinstance(placed[1], Serve)):
            if not isinstance(op, Serve):
                outcomes[at] = alone(op)
                continue
            if not op.asks:
                alone(op)  # it records that a source has ended
            served = [alone(op._replace(asks=(ask,))) for ask in op.asks]
            outcomes[at] = tuple([one if isinstance(one, DibsError) else one[0] for one in served])
        return Applied(tuple(outcomes), after, now, 0)

    def _alone(self, op: Any) -> Applied | DibsError:
        try:
            return self._recovery.apply((op,))
        except AtFault as error:
            log.exception("refused by the ledger: %r", op)
            if isinstance(error.reason, DibsError):
                return error.reason
            return LedgerFault(f"the ledger refused this: {error}")

    # -- when the ledger can't be written

    def _wait_until_up(self) -> None:
        """Apply nothing until the files are there and sound and the disk has room; refuse what comes."""
        while (error := self._recovery.still_down()) is not None:
            seconds = ROOM_EVERY if isinstance(error, LedgerFull) else LOOK_EVERY
            with suppress(Empty):
                batch = self._line.get(timeout=seconds)
                if batch is None:
                    self._line.put(None)  # for the end of the thread
                    return
                if isinstance(batch, _Recover):
                    self._recover(batch)
                else:
                    self._commit(batch, error)

    def _end(self) -> None:
        """Tell all that are here, as nothing is applied any more."""
        with self._guard:
            self._closing.set()
        down = LedgerUnavailable("the writer has ended: restart the server")
        if self._current is not None:
            unknown = OutcomeUnknown("the writer has ended in the middle of this: restart the server")
            self._commit(self._current, unknown)
        while not self._line.empty():
            batch = self._line.get()
            if isinstance(batch, _Recover):
                if batch.outcome.set_running_or_notify_cancel():
                    batch.outcome.set_exception(down)
            elif batch is not None:
                self._commit(batch, down)
        self._recovery.stop(down)


def _refused(ops: Sequence[Any], error: DibsError) -> Applied:
    """One error for each op and ask, each of its own: tracebacks pile up on a shared one."""
    outcomes = [
        tuple([_again(error) for _ in op.asks]) if isinstance(op, Serve) else _again(error) for op in ops
    ]
    return Applied(tuple(outcomes), {}, 0, 0)


def _again(error: DibsError) -> DibsError:
    return type(error)(*error.args)

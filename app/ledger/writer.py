"""The writer: the thread that applies batches of ops to the ledger, each in one transaction with one sync.

It knows nothing of callers, queues or keys. Batches are applied and reported in the order in which they were
submitted, and a report comes when all of the batch is on disk, or certainly is not. So whatever an outcome
says, even one that changed nothing, everything that it was read from is on disk.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from ..errors import DibsError, LedgerError, LedgerFull, LedgerUnavailable, OutcomeUnknown
from .recovery import AtFault, Recovery, WritingEngine
from .serve import After, Applied, Serve

log = logging.getLogger("dibs.ledger")

LOOK_EVERY = 1.0  # seconds between two looks at the ledger's files while nothing is committed
ROOM_EVERY = 0.5  # seconds between two looks for room on a full disk


class Batch(NamedTuple):
    """Ops for one transaction: any op, :class:`~.serve.Keyed` or :class:`~.serve.Serve`.

    ``owner`` is its maker's: it comes back in the report.
    """

    ops: tuple[Any, ...]
    owner: Any = None


class Report(NamedTuple):
    """What came of a batch: all of it is on disk, or certainly is not.

    ``outcomes`` has for each op its outcome or the error that stands for it; for a :class:`~.serve.Serve` a
    tuple with a ``Served`` or an error for each ask. ``after`` and ``now`` are as in
    :class:`~.serve.Applied`; ``now`` is 0 if nothing was applied. ``seconds``: how long it took.
    """

    batch: Batch
    outcomes: tuple[Any, ...]
    after: dict[int, After]
    now: int
    seconds: float


class Writer:
    """Owns the writing side of an engine and the thread that uses it.

    ``report`` gets each batch's report, once. ``troubled`` is called with an error when the ledger can't be
    written (for lack of room LedgerFull), again when the reason changes, and with None when it goes on. Both
    are called on the writer's thread, and must not wait.
    """

    def __init__(
        self,
        engine: WritingEngine,
        *,
        report: Callable[[Report], None],
        troubled: Callable[[LedgerError | None], None] = lambda error: None,
    ) -> None:
        self._engine = engine
        self._report = report
        self._guard = threading.Lock()
        self._work = threading.Condition(self._guard)
        self._waiting: deque[Batch] = deque()
        self._current: Batch | None = None
        self._asleep = False
        self._closing = False
        self._recovery = Recovery(engine, troubled, self._ending)
        self._thread = threading.Thread(target=self._run, name="dibs-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Put a batch behind those that were submitted before.

        Raises:
            LedgerUnavailable: the writer is closed, or has ended; there will be no report.
        """
        with self._guard:
            if self._closing:
                raise LedgerUnavailable("the server is going down")
            self._waiting.append(batch)
            if self._asleep:
                self._asleep = False
                self._work.notify()

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
            self._closing = True
            self._work.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- the thread

    def _run(self) -> None:
        try:
            while self._next():
                self._step(self._current)
                if self._recovery.down is not None:
                    self._wait_until_up()
        except BaseException:
            log.critical("the writer has ended; nothing is handed out any more", exc_info=True)
            self._end()
        finally:
            self._recovery.close()

    def _next(self) -> bool:
        """Make the next batch the current one, or none after a while without; False at the end."""
        with self._guard:
            if not self._waiting and not self._closing:
                unheard = self._engine.unheard()
                self._sleep(LOOK_EVERY if unheard is None else min(unheard, LOOK_EVERY))
            self._current = self._waiting.popleft() if self._waiting else None
            return self._current is not None or not self._closing

    def _sleep(self, seconds: float) -> None:
        """Wait for a batch, or for the end; the guard is held."""
        self._asleep = True
        self._work.wait(seconds)
        self._asleep = False

    def _ending(self, seconds: float) -> bool:
        with self._guard:
            return self._work.wait_for(lambda: self._closing, seconds)

    def _step(self, batch: Batch | None) -> None:
        trouble = self._recovery.trouble(busy=batch is not None)
        if batch is None:
            if trouble is None:
                self._recovery.keep_time()
        elif trouble is not None:
            self._refuse(batch, trouble)
        else:
            began = perf_counter()
            outcomes, after, now = self._commit(batch)
            if self._recovery.down is not None:
                self._recovery.still_down()  # callers who hear of a failure may ask again at once
            self._tell(Report(batch, outcomes, after, now, perf_counter() - began))

    def _commit(self, batch: Batch) -> tuple[tuple[Any, ...], dict[int, After], int]:
        try:
            applied = self._recovery.apply(batch.ops)
        except AtFault:
            log.exception("a transaction of %d ops was refused; applying them singly", len(batch.ops))
            return self._singly(batch)
        if isinstance(applied, Applied):
            return applied.outcomes, applied.after, applied.now
        return _refused(batch, applied), {}, 0

    def _singly(self, batch: Batch) -> tuple[tuple[Any, ...], dict[int, After], int]:
        """Apply each op, and each ask of a Serve, in a transaction of its own: one at fault fails alone.

        In the order of a batch: all ops but Serve come first.
        """
        outcomes: list[Any] = [None] * len(batch.ops)
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

        for at, op in sorted(enumerate(batch.ops), key=lambda placed: isinstance(placed[1], Serve)):
            if not isinstance(op, Serve):
                outcomes[at] = alone(op)
                continue
            served = [alone(op._replace(asks=(ask,))) for ask in op.asks]
            outcomes[at] = tuple([one if isinstance(one, DibsError) else one[0] for one in served])
        return tuple(outcomes), after, now

    def _alone(self, op: Any) -> Applied | DibsError:
        try:
            return self._recovery.apply((op,))
        except AtFault as error:
            log.exception("refused by the ledger: %r", op)
            if isinstance(error.reason, DibsError):
                return error.reason
            return LedgerUnavailable(f"the ledger refused this: {error}")

    def _tell(self, report: Report) -> None:
        self._current = None
        try:
            self._report(report)
        except Exception:  # what is on disk stands, whatever is made of it
            log.exception("after a batch of %d ops", len(report.batch.ops))

    def _refuse(self, batch: Batch, error: DibsError) -> None:
        self._tell(Report(batch, _refused(batch, error), {}, 0, 0.0))

    # -- when the ledger can't be written

    def _wait_until_up(self) -> None:
        """Apply nothing until the files are there and sound and the disk has room; refuse what comes."""
        while (error := self._recovery.still_down()) is not None:
            self._refuse_waiting(error)
            with self._guard:
                if self._closing:
                    return
                if not self._waiting:
                    self._sleep(ROOM_EVERY if isinstance(error, LedgerFull) else LOOK_EVERY)

    def _refuse_waiting(self, error: DibsError) -> None:
        with self._guard:
            late = list(self._waiting)
            self._waiting.clear()
        for batch in late:
            self._refuse(batch, error)

    def _end(self) -> None:
        """Tell all that are here, as nothing is applied any more."""
        with self._guard:
            self._closing = True
        down = LedgerUnavailable("the writer has ended: restart the server")
        if self._current is not None:
            unknown = OutcomeUnknown("the writer has ended in the middle of this: restart the server")
            self._refuse(self._current, unknown)
        self._refuse_waiting(down)
        self._recovery.stop(down)


def _refused(batch: Batch, error: DibsError) -> tuple[Any, ...]:
    """One error for each op and ask, each of its own: tracebacks pile up on a shared one."""
    return tuple(
        [
            tuple([_again(error) for _ in op.asks]) if isinstance(op, Serve) else _again(error)
            for op in batch.ops
        ]
    )


def _again(error: DibsError) -> DibsError:
    return type(error)(*error.args)

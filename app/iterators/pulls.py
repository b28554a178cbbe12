"""What is done to a source while one has the turn: draw, latch its ending, close it, put values back."""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, SupportsIndex, TypeVar

from ..errors import SourceClosed
from .endings import Closed, Ending, Exhausted, Failed, Forked
from .front import Front
from .turns import PULLING, Turn, clock

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class Pulls(Turn, Generic[T_co]):
    """The inside of `ThreadSafeIterator`.

    `_iterator` is what is asked for the next value: the source, a `Front` before it, or the `Ending` in
    its place. `_hand` has the values drawn in this turn until they are the caller's: whatever interrupts
    the turn, they go back to the front. Both are touched with the lock held only.
    """

    __slots__ = (
        "_batcher",
        "_claimed",
        "_close_errors",
        "_closing",
        "_couriers",
        "_ending",
        "_finalizer",
        "_hand",
        "_held_seconds",
        "_iterator",
        "_pulls",
        "_raised",
        "_singles",
        "_values",
    )

    def __init__(
        self, iterator: Iterator[T_co], *, fair: bool, finalizer: Callable[[], object] | None
    ) -> None:
        super().__init__(fair=fair)
        self._iterator: Iterator[T_co] = iterator
        self._batcher: Any = iterator if _has_batches(iterator) else None
        self._finalizer = finalizer or getattr(iterator, "close", None)
        self._ending: Ending | None = None
        self._closing: Any = None  # once `close` was called, its mark in the line
        self._close_errors: list[BaseException] = []
        self._hand: Sequence[Any] = ()
        self._raised: BaseException | None = None  # by the source, until it is latched
        self._couriers: dict[Any, Any] = {}  # by event loop
        self._singles = 0  # by `__next__`; all others count below
        self._pulls = 0
        self._values = 0
        self._claimed = 0  # by tasks; under the desk's lock
        self._held_seconds = 0.0

    def _draw(self, n: int, *, quiet: bool = False) -> tuple[Sequence[T_co], BaseException | None]:
        """Up to n values, and what to raise instead. If `quiet`, an ended source is no error."""
        self._pulls += 1
        drawn: list[T_co] = []
        try:
            self._hand = drawn
            source: Any = self._iterator
            if source is self._batcher and n:
                self._hand = source.take(n)
            else:
                drawn.extend(islice(source, n))  # what it got before an exception stays in it
            if len(self._hand) < n:
                self._latch(StopIteration())
        except BaseException as error:
            self._raised = error
            interrupt = is_interrupt(error)
            later = not interrupt and (quiet or bool(self._hand))
            if interrupt and len(self._hand) == n:
                self._raised = None  # the source was done before
            else:
                self._latch(error, owed=later)
            if not later:
                return (), error
        return self._hand, None

    def _draw_by(self, call: Callable[[], T_co]) -> tuple[Any, BaseException | None]:
        """The one value that `call` gives, or the error."""
        self._pulls += 1
        try:
            value = call()
            self._hand = (value,)
        except BaseException as error:
            self._raised = error
            self._latch(error)
            return None, error
        return value, None

    def _step(self) -> T_co:
        return next(self._iterator)

    def _draw_for(self, offer: Front[Any]) -> tuple[bool, None]:
        """One value to stand in front of the source as `offer`; False if the source has ended."""
        self._pulls += 1
        try:
            value = next(self._iterator)
        except BaseException as error:
            self._raised = error
            self._latch(error, owed=True)
            return False, None
        offer.values.append(value)
        offer.behind, self._iterator = self._iterator, offer
        return True, None

    def _count_claim(self) -> None:
        with self._desk:
            self._claimed += 1

    def _latch(self, error: BaseException, *, owed: bool = False) -> None:
        """The source has ended. `owed`: the exception itself is for the next caller.

        May be interrupted and called again: what it does, it does without a call in between.
        """
        if self._ending is None:
            ended = isinstance(error, StopIteration)
            ending = Exhausted() if ended else Failed(error, owed=owed)
            if isinstance(self._iterator, Front):
                self._iterator.behind = ending
            else:
                self._iterator = ending
            self._ending = ending
        elif owed and error is self._ending.cause:
            self._ending.owe()
        self._raised = None

    def _put_back(self) -> None:
        """What this turn drew goes to the next caller."""
        hand, self._hand = self._hand, ()
        if hand:
            self._iterator = Front(self, hand)

    # -- the turn ---------------------------------------------------------------------------------------

    def _in_turn(
        self,
        work: Callable[..., tuple[R, BaseException | None]],
        *args: object,
        deadline: float | None = None,
        closer: bool = False,
    ) -> R:
        """Do `work` with the lock held, timed, and raise what it says to raise."""
        held = False
        try:
            self._enter(deadline, closer=closer)
            started = clock()
            held = True
            self._busy = PULLING
            result, error = work(*args)
            self._held_seconds += clock() - started
            self._hand_over(error)
            self._busy = self._rest
            held = False
            self._lock.release()
            if self._line:
                self._after()
        except BaseException:
            self._undo(held)
            raise
        if error is not None:
            raise error
        return result

    def _hand_over(self, error: BaseException | None) -> None:
        """What was drawn is the caller's from here on; or the next one's, if this one gets an error."""
        if error is not None:
            self._put_back()
        count = len(self._hand)
        self._values += count
        self._hand = ()

    def _keep(self) -> None:
        """An interrupt cut a turn short: neither what was drawn nor what was raised is lost."""
        if self._raised is not None:
            self._latch(self._raised, owed=True)
        self._put_back()

    def _undo(self, held: bool) -> None:
        """Something was raised in a turn: nothing drawn is lost, the lock is free."""
        if isinstance(self._ending, Forked):
            self._refuse_child(held)
        elif held:
            self._keep()
            self._leave()
        else:
            self._drop_leaked()

    def _sort_out(self, error: BaseException, held: bool) -> None:
        """`__next__` raised: by the source, by an ending in its place, by an interrupt, or while waiting."""
        self._refuse_child()
        if held:
            self._latch(error)
            self._pulls += 1
        else:
            self._drop_leaked()

    # -- closing ----------------------------------------------------------------------------------------

    def _announce_close(self) -> None:
        with self._desk:
            if not self._closing:
                self._closing = marker = threading.Lock()
                self._line.append(marker)  # whoever gives the lock back finds it, and finalizes
        self._wake_all()

    def _refuse_closed(self) -> None:
        if self._closing:
            raise SourceClosed("the iterator was closed")

    def _after(self) -> None:
        if self._closing and not isinstance(self._ending, Closed):
            self._finalize_if_free()
        if self._closing:
            self._wake_all()
        else:
            super()._after()

    def _finalize_if_free(self) -> None:
        """The pull that was running at the time of `close` returned. If others are inside, it is theirs."""
        held = False
        try:
            if self._lock.acquire(False):
                if self._busy == PULLING:  # an outer frame of this thread is inside: it will come here
                    self._lock.release()
                    return
                held = True
                self._busy = PULLING
                self._finalize()
                self._busy = self._rest
                held = False
                self._lock.release()
        except BaseException:
            self._undo(held)
            raise

    def _finalize(self) -> tuple[None, None]:
        """Once; but an interrupted one is taken up again by the next ``close``."""
        if not isinstance(self._ending, Closed):
            self._ending = self._iterator = Closed(self._ending.cause if self._ending else None)
            self._batcher = None
        if self._closing in self._line:
            self._line.remove(self._closing)
        finalizer, self._finalizer = self._finalizer, None
        if finalizer:
            try:
                finalizer()
            except BaseException as error:
                self._ending.cause = self._ending.cause or error
                self._close_errors.append(error)
        return None, None

    # -- a child process --------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        self._ending = self._iterator = Forked((self._iterator, self._finalizer))
        self._closing = None
        self._couriers = {}
        self._hand = ()
        self._renew_locks()

    def _refuse_child(self, held: bool = False) -> None:
        if self._ending is not None and isinstance(self._ending, Forked):
            if held:
                self._busy = self._rest
                with contextlib.suppress(RuntimeError):  # taken before the fork: that lock is gone
                    self._lock.release()
            raise self._ending.error() from None


def _has_batches(source: object) -> bool:
    """Whether it has a ``take`` to rely on. Ours is not: a short one may come before a failure."""
    return hasattr(type(source), "take") and not isinstance(source, Pulls)


def size_of(n: SupportsIndex) -> int:
    """How many values are asked for."""
    size = operator.index(n)
    if size < 0:
        raise ValueError(f"can't take {size} values")
    return size


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` may come from a signal, not from the source: those reach the main thread only."""
    return not isinstance(error, Exception) and threading.get_ident() == threading.main_thread().ident

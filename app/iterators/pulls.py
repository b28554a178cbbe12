"""The steps of the caller that has the turn: draw, latch the source's ending, close it, put values back."""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, SupportsIndex, TypeVar

from ..errors import SourceClosed
from .closing import finalize_if_free
from .endings import Ending, Exhausted, Failed, Forked
from .front import Front, Wreck
from .turns import PULLING, Place, Turn, clock

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class Pulls(Turn, Generic[T_co]):
    """The inside of `ThreadSafeIterator`.

    `_iterator` gives the next value: it is the source, a `Front` before it, the `Ending` in its place, or the
    `Wreck` of a turn that was cut short. `_hand` has the values drawn in this turn until they are the
    caller's: if anything interrupts the turn, they go back to the front. Both are touched only with the lock
    held.
    """

    __slots__ = (
        "_batcher",
        "_claimed",
        "_close_outcomes",
        "_closing",
        "_couriers",
        "_cut",
        "_delivered",
        "_ending",
        "_finalizer",
        "_hand",
        "_held_seconds",
        "_iterator",
        "_pulls",
        "_raised",
        "_singles",
        "_values",
        "_wreck",
    )

    def __init__(
        self, iterator: Iterator[T_co], *, fair: bool, finalizer: Callable[[], object] | None
    ) -> None:
        super().__init__(fair=fair)
        self._iterator: Iterator[T_co] = iterator
        self._batcher: Any = iterator if _has_batches(iterator) else None
        self._finalizer = finalizer or getattr(iterator, "close", None)
        self._ending: Ending | None = None
        self._closing: Place | None = None  # once `close` was called, its mark in the line
        self._cut = False  # it was called before the source had ended: nobody shall take that for an end
        self._close_outcomes: list[tuple[Any, BaseException | None]] = []
        self._hand: Sequence[Any] = ()
        self._raised: BaseException | None = None  # by the source, until it is latched
        self._delivered = False  # and whether its caller gets it
        self._wreck = Wreck()
        self._couriers: dict[Any, Any] = {}  # by event loop
        self._singles = 0  # by `__next__`; all others count below
        self._pulls = 0
        self._values = 0
        self._claimed = 0  # by tasks; under the desk's lock
        self._held_seconds = 0.0

    def _draw(self, n: int, *, quiet: bool = False) -> tuple[Sequence[T_co], BaseException | None]:
        """Draw up to n values, or the exception to raise instead. If `quiet`, an ended source is no error."""
        self._pulls += 1
        drawn: list[T_co] = []
        source: Any = self._iterator
        batched = source is self._batcher and n
        ahead = None if batched else islice(source, n)
        try:
            self._hand = drawn
            if ahead is None:
                self._hand = source.take(n)
            else:
                drawn.extend(ahead)  # what it got before an exception stays in it
            if len(self._hand) < n:
                self._raised = END
                self._latch(END)
        except BaseException as error:
            if self._raised is None:
                self._raised = error
            interrupt = is_interrupt(error)
            later = not interrupt and (quiet or bool(self._hand))
            if interrupt and len(self._hand) == n:
                self._raised = None  # the source was done before
            else:
                self._latch(self._raised, owed=later)
            if not later:
                return (), error
        return self._hand, None

    def _draw_one(self) -> tuple[Any, BaseException | None]:
        """Draw the next value, or the exception to raise instead."""
        self._pulls += 1
        try:
            value = next(self._iterator)
            self._hand = (value,)
        except BaseException as error:
            self._raised = error
            self._latch(error)
            return None, error
        return value, None

    def _draw_for(self, offer: Front[Any]) -> tuple[bool, None]:
        """Draw one value that stands in front of the source as `offer`; False if the source has ended."""
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
        """Record how the source ended. `owed`: the next caller gets the exception itself.

        It may be interrupted and called again, since there is no call between its stores.
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
        """Leave the values that this turn drew to the next caller."""
        if self._hand:
            front = Front[Any](self, self._hand)
            self._iterator = front
        self._hand = ()

    def _mend(self) -> None:
        """Put a turn that was cut short in order, so that no value drawn and no exception raised is lost."""
        wreck = self._wreck
        if self._iterator is wreck:
            self._iterator = wreck.behind
        try:
            if self._raised is not None:
                self._latch(self._raised, owed=not self._delivered)
            self._delivered = False
            self._put_back()
        except BaseException:
            wreck.owner = self
            wreck.behind = self._iterator
            self._iterator = wreck
            raise
        wreck.owner = wreck.behind = None

    # -- the turn ---------------------------------------------------------------------------------------

    def _in_turn(
        self,
        work: Callable[..., tuple[R, BaseException | None]],
        *args: object,
        deadline: float | None = None,
        closer: bool = False,
    ) -> R:
        """Do `work` with the lock held, time it, and raise the exception that it returns."""
        held = False
        try:
            if self._busy or not self._lock.acquire(False):
                self._wait_turn(deadline, closer=closer)
            started = clock()
            held = True
            self._busy = PULLING
            if self._iterator is self._wreck:
                self._mend()
            result, error = work(*args)
            self._held_seconds += clock() - started
            if error is not None:
                self._put_back()  # the next caller gets the values, as this one gets an exception
            self._values += len(self._hand)
            self._hand = ()
            self._busy = self._rest
            held = False
            self._lock.release()
            if self._line:
                try:
                    self._after()
                except RecursionError:  # they look for themselves within `BACKSTOP`
                    pass
        except BaseException:
            try:
                self._undo(held)
            except RecursionError:  # no room for a call: only stores, and what there was room for before
                if held:
                    if self._iterator is not self._wreck:
                        self._wreck.owner = self
                        self._wreck.behind = self._iterator
                        self._iterator = self._wreck
                    self._busy = self._rest
                    self._lock.release()
            raise
        if error is not None:
            context = error.__context__
            try:
                raise error
            finally:
                error.__context__ = context  # as the source raised it, not as our caller came here
        return result

    def _undo(self, held: bool) -> None:
        """Undo a turn in which something was raised: no drawn value is lost, and the lock is free."""
        if isinstance(self._ending, Forked):
            self._refuse_child(held)
        elif held:
            self._mend()
            self._leave()
        else:
            self._drop_leaked()

    def _sort_out(self, held: bool) -> None:
        """Find out why `__next__` raised: the source, an ending in its place, an interrupt, or the wait."""
        self._refuse_child()
        if not held:
            self._drop_leaked()
        elif self._iterator is self._wreck:
            self._mend()
            self._pulls += 1

    # -- closing: see ``closing.py`` -----------------------------------------------------------------------

    def _refuse_closed(self) -> None:
        if self._cut:
            raise SourceClosed("the iterator was closed")

    def _after(self) -> None:
        if self._closing in self._line:
            finalize_if_free(self)
        if self._closing:
            self._wake_all()
        else:
            super()._after()

    # -- a child process --------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        self._ending = self._iterator = Forked((self._iterator, self._finalizer))
        self._closing = None
        self._cut = False
        self._raised = None
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


END = StopIteration()
"""What a batch says that was shorter than asked for."""


def _has_batches(source: object) -> bool:
    """Whether the source has a ``take`` to rely on. Our own is none: a short answer may precede a failure."""
    return hasattr(type(source), "take") and not isinstance(source, Pulls)


def size_of(n: SupportsIndex) -> int:
    """The number of values that a caller asks for, as an ``int``; ValueError if it is negative."""
    size = operator.index(n)
    if size < 0:
        raise ValueError(f"can't take {size} values")
    return size


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` may come from a signal, not from the source: those reach the main thread only."""
    return not isinstance(error, Exception) and threading.get_ident() == threading.main_thread().ident

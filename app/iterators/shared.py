"""The steps of the caller that has the turn: draw, latch the source's ending, close it, put values back."""

from __future__ import annotations

import contextlib
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, SupportsIndex, TypeVar

from .endings import Ending
from .front import Front, Wreck
from .turns import PULLING, Place, Turns, clock

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class SharedSource(Generic[T_co]):
    """The inside of `ThreadSafeIterator`: the source, what stands before it, and whose turn it is.

    `iterator` gives the next value: it is the source, a `Front` before it, the `Ending` in its place, or the
    `Wreck` of a turn that was cut short. `hand` has the values drawn in this turn until they are the
    caller's: if anything interrupts the turn, they go back to the front. Both are touched only with the lock
    held.
    """

    __slots__ = (
        "__weakref__",
        "batcher",
        "claimed",
        "close_outcomes",
        "couriers",
        "delivered",
        "ending",
        "finalizer",
        "hand",
        "held_seconds",
        "iterator",
        "mark",
        "pulls",
        "raised",
        "singles",
        "turns",
        "values",
        "wreck",
    )

    def __init__(
        self,
        iterator: Iterator[T_co],
        *,
        batches: bool,
        fair: bool,
        finalizer: Callable[[], object] | None,
    ) -> None:
        self.turns = Turns(fair=fair)
        self.iterator: Iterator[T_co] = iterator
        self.batcher: Any = iterator if batches else None
        self.finalizer = finalizer or getattr(iterator, "close", None)
        self.ending: Ending | None = None
        self.mark: Place | None = None  # of a close, in the line until it is done
        self.close_outcomes: list[tuple[Any, BaseException | None]] = []
        self.hand: Sequence[Any] = ()
        self.raised: BaseException | None = None  # by the source, until it is latched
        self.delivered = False  # and whether its caller gets it
        self.wreck = Wreck()
        self.couriers: dict[Any, Any] = {}  # by event loop
        self.singles = 0  # by `__next__`; all others count below
        self.pulls = 0
        self.values = 0
        self.claimed = 0  # by tasks; under the desk's lock
        self.held_seconds = 0.0

    def draw(self, n: int, *, quiet: bool = False) -> tuple[Sequence[T_co], BaseException | None]:
        """Draw up to n values, or the exception to raise instead. If `quiet`, an ended source is no error."""
        self.pulls += 1
        drawn: list[T_co] = []
        source: Any = self.iterator
        batched = source is self.batcher and n
        ahead = None if batched else islice(source, n)
        try:
            self.hand = drawn
            if ahead is None:
                self.hand = source.take(n)
            else:
                drawn.extend(ahead)  # what it got before an exception stays in it
            if len(self.hand) < n:
                self.raised = END
                self.latch(END)
        except BaseException as error:
            if self.raised is None:
                self.raised = error
            interrupt = is_interrupt(error)
            later = not interrupt and (quiet or bool(self.hand))
            if interrupt and len(self.hand) == n:
                self.raised = None  # the source was done before
            else:
                self.latch(self.raised, owed=later)
            if not later:
                return (), error
        return self.hand, None

    def draw_one(self) -> tuple[Any, BaseException | None]:
        """Draw the next value, or the exception to raise instead."""
        self.pulls += 1
        try:
            value = next(self.iterator)
            self.hand = (value,)
        except BaseException as error:
            self.raised = error
            self.latch(error)
            return None, error
        return value, None

    def draw_for(self, offer: Front[Any]) -> tuple[bool, None]:
        """Draw one value that stands in front of the source as `offer`; False if the source has ended."""
        self.pulls += 1
        try:
            value = next(self.iterator)
        except BaseException as error:
            self.raised = error
            self.latch(error, owed=True)
            return False, None
        offer.values.append(value)
        offer.behind, self.iterator = self.iterator, offer
        return True, None

    def count_claim(self) -> None:
        """Count a value that a task took from its loop's `Courier`."""
        with self.turns.desk:
            self.claimed += 1

    def latch(self, error: BaseException, *, owed: bool = False) -> None:
        """Record how the source ended. `owed`: the next caller gets the exception itself.

        It may be interrupted and called again, since there is no call between its stores.
        """
        if self.ending is None:
            ended = isinstance(error, StopIteration)
            ending = Ending("exhausted") if ended else Ending("failed", error, owed=owed)
            if isinstance(self.iterator, Front):
                self.iterator.behind = ending
            else:
                self.iterator = ending
            self.ending = ending
        elif owed and error is self.ending.cause:
            self.ending.owe()
        self.raised = None

    def put_back(self) -> None:
        """Leave the values that this turn drew to the next caller."""
        if self.hand:
            front = Front[Any](self, self.hand)
            self.iterator = front
        self.hand = ()

    def mend(self) -> None:
        """Put a turn that was cut short in order, so that no value drawn and no exception raised is lost."""
        wreck = self.wreck
        if self.iterator is wreck:
            self.iterator = wreck.behind
        try:
            if self.raised is not None:
                self.latch(self.raised, owed=not self.delivered)
            self.delivered = False
            self.put_back()
        except BaseException:
            wreck.owner = self
            wreck.behind = self.iterator
            self.iterator = wreck
            raise
        wreck.owner = wreck.behind = None

    # -- the turn ---------------------------------------------------------------------------------------

    def in_turn(
        self,
        work: Callable[..., tuple[R, BaseException | None]],
        *args: object,
        deadline: float | None = None,
        closer: bool = False,
    ) -> R:
        """Do `work` with the lock held, time it, and raise the exception that it returns."""
        held = False
        try:
            if self.turns.busy or not self.turns.lock.acquire(False):
                self.turns.wait(deadline, closer=closer)
            started = clock()
            held = True
            self.turns.busy = PULLING
            if self.iterator is self.wreck:
                self.mend()
            result, error = work(*args)
            self.held_seconds += clock() - started
            if error is not None:
                self.put_back()  # the next caller gets the values, as this one gets an exception
            self.values += len(self.hand)
            self.hand = ()
            self.turns.busy = self.turns.rest
            held = False
            self.turns.lock.release()
            if self.turns.line:
                try:
                    self.turns.after()
                except RecursionError:  # they look for themselves within `BACKSTOP`
                    pass
        except BaseException:
            try:
                self.undo(held)
            except RecursionError:  # no room for a call: only stores, and what there was room for before
                if held:
                    if self.iterator is not self.wreck:
                        self.wreck.owner = self
                        self.wreck.behind = self.iterator
                        self.iterator = self.wreck
                    self.turns.busy = self.turns.rest
                    self.turns.lock.release()
            raise
        if error is not None:
            context = error.__context__
            try:
                raise error
            finally:
                error.__context__ = context  # as the source raised it, not as our caller came here
        return result

    def undo(self, held: bool) -> None:
        """Undo a turn in which something was raised: no drawn value is lost, and the lock is free."""
        self.refuse_child(held)
        if held:
            self.mend()
            self.turns.leave()
        else:
            self.turns.drop_leaked()

    def sort_out(self, held: bool) -> None:
        """Find out why `__next__` raised: the source, an ending in its place, an interrupt, or the wait."""
        self.refuse_child()
        if not held:
            self.turns.drop_leaked()
        elif self.iterator is self.wreck:
            self.mend()
            self.pulls += 1

    # -- a child process --------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        self.ending = self.iterator = Ending("forked", keeps=(self.iterator, self.finalizer))
        self.raised = None
        self.couriers = {}
        self.hand = ()
        self.turns.renew()

    def refuse_child(self, held: bool = False) -> None:
        """Raise in a forked child, after the lock is given back if it is `held`."""
        if self.ending is not None and self.ending.how == "forked":
            if held:
                self.turns.busy = self.turns.rest
                with contextlib.suppress(RuntimeError):  # taken before the fork: that lock is gone
                    self.turns.lock.release()
            raise self.ending.error() from None


END = StopIteration()
"""What a batch says that was shorter than asked for."""


def size_of(n: SupportsIndex) -> int:
    """The number of values that a caller asks for, as an ``int``; ValueError if it is negative."""
    size = operator.index(n)
    if size < 0:
        raise ValueError(f"can't take {size} values")
    return size


def is_interrupt(error: BaseException) -> bool:
    """Whether `error` may come from a signal, not from the source: those reach the main thread only."""
    return not isinstance(error, Exception) and threading.get_ident() == threading.main_thread().ident

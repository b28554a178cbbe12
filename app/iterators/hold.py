"""`Hold`: the lock of a shared iterator over several steps."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Generic, SupportsIndex, TypeVar

from .pulls import size_of
from .turns import PULLING, clock, deadline_after

if TYPE_CHECKING:
    from .core import ThreadSafeIterator

T_co = TypeVar("T_co", covariant=True)


class Hold(Generic[T_co]):
    """Made by `ThreadSafeIterator.hold`; a context manager for one thread, good for one use.

    While it is held, other threads wait, and this thread draws by `take` (``next`` on the iterator is
    `ReentrantPull`). A ``close`` meanwhile takes effect at the end. An interrupt on the main thread that
    lands exactly on the entry of ``__exit__`` leaves it held: so it is with every context manager that
    is written in Python. In other threads there are no interrupts.
    """

    __slots__ = ("_iterator", "_started", "_thread", "_timeout")

    def __init__(self, iterator: ThreadSafeIterator[T_co], timeout: float | None) -> None:
        self._iterator = iterator
        self._timeout = timeout
        self._thread: int | None = None
        self._started = 0.0

    def __enter__(self) -> Hold[T_co]:
        shared = self._iterator
        held = False
        try:
            deadline = deadline_after(self._timeout)
            if shared._busy or not shared._lock.acquire(False):
                shared._wait_turn(deadline)
            self._started = clock()
            self._thread = threading.get_ident()
            held = True
            shared._busy = PULLING
            shared._refuse_child()
            shared._refuse_closed()
        except BaseException:
            self._thread = None
            try:
                shared._undo(held)
            except RecursionError:  # no room for a call; nothing was drawn yet
                if held:
                    shared._busy = shared._rest
                    shared._lock.release()
            raise
        return self

    def take(self, n: SupportsIndex) -> Sequence[T_co]:
        """Take up to `n` consecutive values; ``[]`` from an iterator that has ended, in whatever way.

        An ended source raises nothing here, so that the holder can still place the values that it drew; the
        iterator's `state` and `cause` say at once whether and why the source ended.

        Raises:
            ValueError: `n` is negative.
            RuntimeError: This thread does not hold the iterator (any more).
        """
        if self._thread != threading.get_ident():
            raise RuntimeError("the iterator is not held by this thread")
        shared = self._iterator
        shared._refuse_child()
        try:
            if shared._iterator is shared._wreck:
                shared._mend()
            values, error = shared._draw(size_of(n), quiet=True)
            if error is not None:
                shared._put_back()
            shared._values += len(shared._hand)
            shared._hand = ()
        except BaseException:
            try:
                shared._mend()
            except RecursionError:  # no room for a call: it is for the next one to do
                if shared._iterator is not shared._wreck:
                    shared._wreck.owner = shared
                    shared._wreck.behind = shared._iterator
                    shared._iterator = shared._wreck
            raise
        if error is not None:
            raise error
        return values

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared = self._iterator
        self._thread = None
        try:
            shared._held_seconds += clock() - self._started
        finally:
            shared._busy = shared._rest
            try:
                shared._lock.release()
            except RuntimeError:  # it was taken before a fork
                shared._refuse_child()
        if shared._line:
            try:
                shared._after()
            except RecursionError:  # no room to tell them: they look for themselves
                pass

"""`Hold`: the lock of a shared iterator over several steps."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Generic, SupportsIndex, TypeVar

from .shared import SharedSource, size_of
from .turns import PULLING, clock, deadline_after

T_co = TypeVar("T_co", covariant=True)


class Hold(Generic[T_co]):
    """Made by `ThreadSafeIterator.hold`; a context manager for one thread, good for one use.

    While it is held, other threads wait, and this thread draws by `take` (``next`` on the iterator is
    `ReentrantPull`). A ``close`` meanwhile takes effect at the end. An interrupt on the main thread that
    lands exactly on the entry of ``__exit__`` leaves it held: so it is with every context manager that
    is written in Python. In other threads there are no interrupts.
    """

    __slots__ = ("_shared", "_started", "_thread", "_timeout")

    def __init__(self, shared: SharedSource[T_co], timeout: float | None) -> None:
        self._shared = shared
        self._timeout = timeout
        self._thread: int | None = None
        self._started = 0.0

    def __enter__(self) -> Hold[T_co]:
        shared = self._shared
        held = False
        try:
            deadline = deadline_after(self._timeout)
            if shared.turns.busy or not shared.turns.lock.acquire(False):
                shared.turns.wait(deadline)
            self._started = clock()
            self._thread = threading.get_ident()
            held = True
            shared.turns.busy = PULLING
            shared.refuse_child()
            shared.turns.refuse_closed()
        except BaseException:
            self._thread = None
            try:
                shared.undo(held)
            except RecursionError:  # no room for a call; nothing was drawn yet
                if held:
                    shared.turns.busy = shared.turns.rest
                    shared.turns.lock.release()
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
        shared = self._shared
        shared.refuse_child()
        try:
            if shared.iterator is shared.wreck:
                shared.mend()
            values, error = shared.draw(size_of(n), quiet=True)
            if error is not None:
                shared.put_back()
            shared.values += len(shared.hand)
            shared.hand = ()
        except BaseException:
            try:
                shared.mend()
            except RecursionError:  # no room for a call: it is for the next one to do
                if shared.iterator is not shared.wreck:
                    shared.wreck.owner = shared
                    shared.wreck.behind = shared.iterator
                    shared.iterator = shared.wreck
            raise
        if error is not None:
            raise error
        return values

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared = self._shared
        self._thread = None
        try:
            shared.held_seconds += clock() - self._started
        finally:
            shared.turns.busy = shared.turns.rest
            try:
                shared.turns.lock.release()
            except RuntimeError:  # it was taken before a fork
                shared.refuse_child()
        if shared.turns.line:
            try:
                shared.turns.after()
            except RecursionError:  # no room to tell them: they look for themselves
                pass

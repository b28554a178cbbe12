"""The outcome of an op that is still on its way: one object for threads and for event loops."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger("dibs.ledger")

# Guards the few instructions in which a waiter and the committer could miss each other; held by nobody for
# longer, so one lock serves all.
_meeting = threading.Lock()


class Pending(Generic[T]):
    """Comes to a value or an error exactly once; any number of threads and tasks may wait for it.

    A waiter that is cancelled or times out changes nothing for the others, nor for the op.
    """

    __slots__ = ("_callbacks", "_error", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callbacks: list[tuple[asyncio.AbstractEventLoop | None, Callable[[], None]]] = []

    def when_done(self, callback: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Call ``callback`` on ``loop``, or without one on the thread that settles it; at once if done."""
        with _meeting:
            if not self.done:
                self._callbacks.append((loop, callback))
                return
        callback()

    def result(self, timeout: float | None = None) -> T:
        """Wait in a thread, for at most ``timeout`` seconds.

        Raises:
            TimeoutError: it is not settled yet; the op goes on.
        """
        if not self.done:
            event = threading.Event()
            self.when_done(event.set)
            if not event.wait(timeout):
                raise TimeoutError("the outcome is not known yet")
        return self._outcome()

    def __await__(self) -> Generator[Any, None, T]:
        """The outcome, once the loop has done all calls that were made before this was settled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.when_done(partial(_wake, future), loop)
        if future.done():  # the committer was that quick: one turn of the loop, for what it was told before
            yield
        else:
            yield from future
        return self._outcome()

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set together with done

    @property
    def value(self) -> T | None:
        """The value of the op; None before it has one, and after an error."""
        return self._value

    def settle(self, value: T) -> None:
        """Settle with a value."""
        settle_all([(self, value, None)])

    def fail(self, error: BaseException) -> None:
        """Settle with an error."""
        settle_all([(self, None, error)])


def settle_all(settled: Iterable[tuple[Pending[Any], Any, BaseException | None]]) -> None:
    """Settle many at once, and wake each event loop once for all of its waiters.

    The first settling of a pending outcome stands; a later one changes nothing.
    """
    calls: dict[asyncio.AbstractEventLoop | None, list[Callable[[], None]]] = {}
    with _meeting:
        for pending, value, error in settled:
            if pending.done:
                continue
            pending._value, pending._error, pending.done = value, error, True
            for loop, callback in pending._callbacks:
                calls.setdefault(loop, []).append(callback)
            pending._callbacks.clear()
    _call_all(calls.pop(None, []))  # who follows on this thread is told before any caller wakes
    for loop, callbacks in calls.items():
        try:
            loop.call_soon_threadsafe(_call_all, callbacks)  # type: ignore[union-attr]  # None was popped
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:  # the outcome stands, and the others still have to hear of it
            log.exception("after an outcome")

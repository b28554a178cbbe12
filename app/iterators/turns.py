"""One at a time, and how the others wait.

The lock is an ``RLock``, not for re-entry (that is refused) but because it knows its owner without
asking for a thread's identity on each pull. A caller that finds it taken waits in a line, on a gate of its
own; the holder that gives the lock back wakes the first. So a waiter can be woken for three reasons (its
turn, a timeout, a close), which a caller blocked on the lock itself could not.

Guarantees
----------
- *No lost wake-up.* A waiter joins the line, then tries the lock; the holder gives the lock back, then
  looks at the line. One of the two sees the other. (A machine that lets a load pass an earlier store,
  with no GIL to forbid it, could break that once in a blue moon: hence ``BACKSTOP``.)
- *No leaked lock.* An interrupt (``KeyboardInterrupt``, or whatever a signal handler raises) can land
  between the lock's ``acquire`` and the note that we have it. Everything stands in one ``try``, and its
  handler asks the lock itself, see `Turns.drop_leaked`. ``with lock:`` has no such gap, but can't say
  "not now". Not covered: a second interrupt while the first is being dealt with.
- *Arrival order*, if ``fair``: only the first in line may take the lock, newcomers included.
- *No thread waits for itself.* A signal handler or a finalizer that pulls runs on top of a call of the same
  thread. Where that call stands in a fair line, it stays in front of the newcomer for as long as the
  newcomer waits: that is `ReentrantPull`, as in the middle of a pull. Where it already has the lock, but
  has not begun to pull, the newcomer goes first.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import PullTimeout, ReentrantPull, SourceClosed

IDLE, PULLING, ORDERED = 0, 1, 2
"""The values of `Turns.busy`, for a newcomer: try the lock; a thread pulls; join the line (``fair``)."""

BACKSTOP = 0.25
"""Seconds after which a waiter looks for itself, woken or not."""

clock = time.monotonic


def deadline_after(timeout: float | None) -> float | None:
    """The monotonic instant when `timeout` seconds are over; None is never.

    Raises:
        ValueError: `timeout` is negative or not a number.
    """
    if timeout is None:
        return None
    if math.isnan(timeout) or timeout < 0:
        raise ValueError(f"timeout must be at least 0 seconds, or None to wait for ever: {timeout!r}")
    return clock() + timeout


class Place:
    """A place in the line: the gate that its caller sleeps on, and its thread (None: the mark of a close)."""

    __slots__ = ("_gate", "thread")

    def __init__(self, thread: int | None) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.thread = thread

    def sleep(self, seconds: float) -> None:
        """Sleep until `call`, or for so many seconds."""
        self._gate.acquire(timeout=seconds)

    def call(self) -> None:
        """Wake the thread that sleeps here, or spare it the next sleep."""
        if self._gate.locked():
            with contextlib.suppress(RuntimeError):  # somebody else opened it just now
                self._gate.release()


class Turns:
    """The lock and the line of one iterator, and what a close wants of who gives the lock back.

    `busy` is written by the lock's owner only. Read without the lock it is a hint; read by the owner it
    is exact: PULLING there means that an outer frame of the same thread is in the middle of a pull.
    """

    __slots__ = (
        "_fair",
        "busy",
        "closer",
        "contended",
        "cut",
        "desk",
        "line",
        "lock",
        "rest",
        "wait_seconds",
    )

    def __init__(self, *, fair: bool) -> None:
        self._fair = fair
        self.rest = ORDERED if fair else IDLE
        self.line: list[Place] = []  # append, remove and copy are atomic, with no GIL too
        self.contended = 0
        self.wait_seconds = 0.0
        self.renew()

    def renew(self) -> None:
        """Begin with an empty line: in a forked child, where those who had the locks are not."""
        self.closer: Callable[[], None] | None = None  # of a close: finalizes the source if nobody is inside
        self.cut = False  # a close came before the source had ended: nobody shall take that for an end
        self.lock = threading.RLock()
        self.desk = threading.RLock()  # for numbers that are kept without the turn; never held for long
        self.busy = self.rest
        self.line.clear()

    def refuse_closed(self) -> None:
        """Raise if the iterator was closed, so that nobody waits in vain."""
        if self.cut:
            raise SourceClosed("the iterator was closed")

    def leave(self) -> None:
        """Give the lock back and wake the next waiter."""
        self.busy = self.rest
        self.lock.release()
        if self.line:
            try:
                self.after()
            except RecursionError:  # no room to tell them: they look for themselves within `BACKSTOP`
                pass

    def wait(self, deadline: float | None = None, *, closer: bool = False) -> None:
        """Wait for the lock in the line. A caller of `close` stands outside the order and is not refused.

        Raises:
            ReentrantPull: This thread is in a pull already: it would wait for itself.
            PullTimeout: The deadline passed first.
        """
        lock = self.lock
        if lock.acquire(False):
            if self.busy == PULLING:
                lock.release()
                raise ReentrantPull("this thread is pulling from this iterator already")
            if closer or not (self._fair and self.line):
                return
            lock.release()  # others were here first
            if self._owns(lock):
                lock.acquire(False)  # but they can't have it before the call below this one
                return
            self.after()
        place = Place(threading.get_ident())
        if self._fair and not closer and any(other.thread == place.thread for other in self.line.copy()):
            raise ReentrantPull("a call of this thread, which this one interrupted, stands in the fair line")
        started = clock()
        owned = False
        try:
            self.line.append(place)
            self._stand_in_line(place, deadline, closer)
            owned = True
        finally:
            self.line.remove(place)  # first: an interrupt must not leave it there
            if not owned and self.line:
                self.after()  # the wake-up may have been ours: pass it on
            with self.desk:
                self.contended += 1
                self.wait_seconds += clock() - started

    @staticmethod
    def _owns(lock: Any) -> bool:
        """Whether this thread has the lock; the standard library's Condition asks in the same way."""
        return bool(lock._is_owned())

    def _stand_in_line(self, place: Place, deadline: float | None, closer: bool) -> None:
        anywhere = closer or not self._fair
        while True:
            if (anywhere or self.line[0] is place) and self.lock.acquire(False):
                return
            if not closer:
                self.refuse_closed()
            left = BACKSTOP if deadline is None else min(BACKSTOP, deadline - clock())
            if left <= 0:
                raise PullTimeout("another thread is pulling; nothing was consumed")
            place.sleep(left)

    def after(self) -> None:
        """Wake the first waiter after the lock was given back. After a close, finalize and wake them all."""
        if self.closer is not None:
            self.closer()
            self.wake_all()
        else:
            with contextlib.suppress(IndexError):  # went away meanwhile
                self.line[0].call()

    def wake_all(self) -> None:
        """Wake all who wait, since a close refuses them."""
        for place in self.line.copy():
            place.call()

    def drop_leaked(self) -> None:
        """Give back a lock that an interrupt kept this thread from noting."""
        if self.lock.acquire(False):
            pulling = self.busy == PULLING
            self.lock.release()
            if not pulling:  # else it is the outer frame's, and rightly held
                with contextlib.suppress(RuntimeError):  # we did not have it
                    self.lock.release()
        if self.line:
            self.after()

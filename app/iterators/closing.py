"""Closing a shared iterator: its source is finalized once, by whoever gives the lock back.

A close puts its mark into the line. The caller whose pull ran meanwhile finds the mark when it leaves, and
finalizes; if nobody is inside, the caller of ``close`` does it. What each function needs of the iterator
(``shared``, a `Pulls`) is guarded as there: all but the mark is touched with the lock held.
"""

from __future__ import annotations

from typing import Any

from .endings import Closed, Forked
from .front import Front
from .turns import PULLING, Place


def announce(shared: Any) -> None:
    """Put the mark of a close into the line, and wake all who wait: they are refused."""
    with shared._desk:
        if shared._closing is None:
            marker = Place(None)
            shared._cut = shared._ending is None
            shared._closing = marker
            shared._line.append(marker)
    shared._wake_all()


def finalize_if_free(shared: Any) -> None:
    """Finalize after the pull that ran during the close; if another caller is inside, that one does it."""
    held = False
    try:
        if shared._lock.acquire(False):
            if shared._busy == PULLING:  # an outer frame of this thread is inside: it will come here
                shared._lock.release()
                return
            held = True
            shared._busy = PULLING
            finalize(shared)
            shared._busy = shared._rest
            held = False
            shared._lock.release()
    except BaseException:
        try:
            shared._undo(held)
        except RecursionError:
            if held:
                shared._busy = shared._rest
                shared._lock.release()
        raise


def finalize(shared: Any) -> tuple[None, None]:
    """Finalize the source once; the next close takes up a finalizing that was interrupted."""
    if shared._iterator is shared._wreck:
        shared._mend()
    _end(shared)
    if shared._closing in shared._line:
        shared._line.remove(shared._closing)
    finalizer, shared._finalizer = shared._finalizer, None
    if finalizer:
        try:
            shared._close_outcomes.append((finalizer(), None))
        except BaseException as error:
            if shared._ending is not None:
                shared._ending.cause = shared._ending.cause or error
            shared._close_outcomes.append((None, error))
    return None, None


def _end(shared: Any) -> None:
    """Keep *exhausted* or *failed* for an ended source, unless values are dropped that no caller got."""
    ending = shared._ending
    if isinstance(ending, (Closed, Forked)):
        return
    if ending is None or shared._cut or has_values(shared._iterator):
        shared._cut = True
        ending = Closed(ending.cause if ending else None)
    shared._ending = shared._iterator = ending
    shared._batcher = None


def has_values(front: Any) -> bool:
    """Whether values that were drawn stand in front of the source."""
    while isinstance(front, Front):
        if front.values:
            return True
        front = front.behind
    return False

"""Closing a shared iterator: its source is finalized once, by whoever gives the lock back.

A close puts its mark into the line. The caller whose pull ran meanwhile finds the mark when it leaves, and
finalizes; if nobody is inside, the caller of ``close`` does it. What each function needs of the iterator
(``shared``, a `SharedSource`) is guarded as there: all but the mark is touched with the lock held.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from .endings import Ending
from .front import Front
from .shared import SharedSource
from .turns import PULLING, Place


def announce(shared: SharedSource[Any]) -> None:
    """Put the mark of a close into the line, and wake all who wait: they are refused."""
    turns = shared.turns
    with turns.desk:
        if turns.closer is None:
            closer, mark = partial(finalize_if_free, shared), Place(None)
            turns.cut = shared.ending is None
            shared.mark = mark
            turns.closer = closer
            turns.line.append(mark)
    turns.wake_all()


def finalize_if_free(shared: SharedSource[Any]) -> None:
    """Finalize after the pull that ran during the close; if another caller is inside, that one does it."""
    if shared.mark not in shared.turns.line:
        return  # it is done
    held = False
    try:
        if shared.turns.lock.acquire(False):
            if shared.turns.busy == PULLING:  # an outer frame of this thread is inside: it will come here
                shared.turns.lock.release()
                return
            held = True
            shared.turns.busy = PULLING
            finalize(shared)
            shared.turns.busy = shared.turns.rest
            held = False
            shared.turns.lock.release()
    except BaseException:
        try:
            shared.undo(held)
        except RecursionError:
            if held:
                shared.turns.busy = shared.turns.rest
                shared.turns.lock.release()
        raise


def finalize(shared: SharedSource[Any]) -> tuple[None, None]:
    """Finalize the source once; the next close takes up a finalizing that was interrupted."""
    if shared.iterator is shared.wreck:
        shared.mend()
    _end(shared)
    if shared.mark in shared.turns.line:
        shared.turns.line.remove(shared.mark)
    finalizer, shared.finalizer = shared.finalizer, None
    if finalizer:
        try:
            shared.close_outcomes.append((finalizer(), None))
        except BaseException as error:
            if shared.ending is not None:
                shared.ending.cause = shared.ending.cause or error
            shared.close_outcomes.append((None, error))
    return None, None


def _end(shared: SharedSource[Any]) -> None:
    """Keep *exhausted* or *failed* for an ended source, unless values are dropped that no caller got."""
    ending = shared.ending
    if ending is not None and ending.how in ("closed", "forked"):
        return
    if ending is None or shared.turns.cut or has_values(shared.iterator):
        shared.turns.cut = True
        ending = Ending("closed", ending.cause if ending else None)
    shared.ending = shared.iterator = ending
    shared.batcher = None


def has_values(front: Any) -> bool:
    """Whether values that were drawn stand in front of the source."""
    while isinstance(front, Front):
        if front.values:
            return True
        front = front.behind
    return False

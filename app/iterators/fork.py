"""A child process must not pull: it and its parent would hand out the same values.

Nothing is asked on each pull. The iterators alive are kept in a weak set, and in a forked child each of
them is told to refuse. A lock guards the set over the fork, so that the child never sees it half-changed.
The client's connections and leases are kept in the same set: those are the parent's, too.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that must know that it woke up in a child."""

    def _after_fork(self) -> None: ...


_guard = threading.RLock()
_live: weakref.WeakSet[Forkable] = weakref.WeakSet()
_process = object()


def watch(iterator: Forkable) -> None:
    """Tell `iterator` if this process turns out to be a child."""
    with _guard:
        _live.add(iterator)


def process() -> object:
    """What stands for this process; a forked child has another one."""
    return _process


def _in_child() -> None:
    global _process  # noqa: PLW0603  # a process changes once, here
    _process = object()
    for iterator in list(_live):
        iterator._after_fork()
    _guard.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_in_child)

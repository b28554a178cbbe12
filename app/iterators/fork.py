"""A child process must not pull: it and its parent would hand out the same values.

A pull does not check its process. The living iterators are kept in a weak set, and in a forked child each of
them is told to refuse. A lock guards the set over the fork, so that the child never sees it half-changed.
The client's connections and leases are kept in the same set: those are the parent's, too.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """An object that must be told when it finds itself in a forked child."""

    def _after_fork(self) -> None: ...


_guard = threading.RLock()
_live: weakref.WeakSet[Forkable] = weakref.WeakSet()
_process = object()


def watch(iterator: Forkable) -> None:
    """Register `iterator`, so that it is told when its process is a forked child."""
    with _guard:
        _live.add(iterator)


def process() -> object:
    """An object that identifies this process; a forked child has another one."""
    return _process


def _in_child() -> None:
    global _process  # noqa: PLW0603  # a process changes once, here
    _process = object()
    for iterator in list(_live):
        iterator._after_fork()
    _guard.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_in_child)

"""SIGTERM as Ctrl-C, for commands that have something to put right at their end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end it as Ctrl-C does: the cursor of the terminal is shown again, and servers are ended.

    Whoever has ignored the signal, or hears it already, goes on doing so.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

"""A read-only connection for looks that may take long."""

from __future__ import annotations

import threading

import apsw


class Browser:
    """One connection and its lock: one looks at a time, and who waits for the connection's end interrupts.

    ``connection`` is None while the ledger is closed; it is read and set under ``lock``.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: apsw.Connection | None = None

    def seize(self) -> None:
        """Take the lock; whoever looks meanwhile is told to ask again."""
        while not self.lock.acquire(timeout=0.01):
            if (connection := self.connection) is not None:
                connection.interrupt()

"""The owner's end of a warm copy: each transaction goes to who keeps it, before it is committed."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from .changes import Packed
from .shipments import shipment

BEHIND_MOST: Final = 16 * 1024 * 1024
"""Bytes that wait behind the transaction that is under way: whoever takes them so slowly is fed no more."""

log = logging.getLogger("dibs.ledger")

_WAITS: Final = (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError)


class Feed:
    """Sends transactions on a connection, which is its own; see :class:`~.fence.Feeds`.

    What is sent on the writer's thread before a commit is with the kernel when that begins, so that it comes
    to the other end though this process is killed. What does not go out at once waits for the next
    transaction, and there is one each second. Any thread may close it, but not in the middle of a write: the
    number of its socket may be another one's then. No write waits.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.closed = False
        self._connection = connection
        self._guard = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        connection.setblocking(False)

    def send(self, n: int, clock: int, before: int, changes: Sequence[Packed]) -> None:
        """Send one transaction, or as much as goes at once; a connection that fails is closed."""
        if self.closed:
            return
        data = shipment(n, clock, before, changes)
        with self._guard:
            if self.closed:
                return
            self._waiting.append(data)
            self._size += len(data)
            try:
                self._send()
            except OSError:
                self._close()
            except Exception:  # whatever it is: the owner goes on without a copy
                log.exception("the warm copy is fed no more")
                self._close()
            if self._waiting and self._size - len(self._waiting[0]) > BEHIND_MOST:
                self._close()

    def _send(self) -> None:
        waiting = self._waiting
        with suppress(*_WAITS):
            while waiting:
                sent = self._connection.send(waiting[0])
                self._size -= sent
                if sent < len(waiting[0]):
                    waiting[0] = waiting[0][sent:]
                else:
                    waiting.popleft()

    def close(self) -> None:
        """Send nothing more."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        self.closed = True
        with suppress(OSError):
            self._connection.close()

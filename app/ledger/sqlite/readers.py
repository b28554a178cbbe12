"""The connections that only read, for any thread; they see what is committed and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

import apsw

from ...errors import LedgerError, LedgerUnavailable
from ..ops import OpFailed

T = TypeVar("T")

REOPEN_PATIENCE = 0.25  # seconds from the beginning of a reopening that look-ups wait for its end


class Reader:
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


class Readers:
    """Three connections: none of their looks waits for one that takes longer.

    ``quick`` answers look-ups, ``slow`` what may take a while (what is inside a queue, its history), and
    ``slowest`` what may take seconds (counting run by run, browsing). ``unreadable`` turns an error of
    reading into the one that is raised.
    """

    def __init__(self, unreadable: Callable[[Exception], LedgerError]) -> None:
        self._unreadable = unreadable
        self.quick, self.slow, self.slowest = Reader(), Reader(), Reader()
        self._readable = threading.Event()
        self._patience_until = 0.0  # when look-ups stop waiting for a reopening

    @property
    def all(self) -> tuple[Reader, Reader, Reader]:
        """Each of them."""
        return self.quick, self.slow, self.slowest

    def connect(self, connect: Callable[[], apsw.Connection]) -> None:
        """Open all connections, and with them the log."""
        for reader in self.all:
            reader.connection = connect()
        for reader in self.all:
            assert reader.connection is not None  # noqa: S101  # set just now
            reader.connection.execute("SELECT clock FROM ledger").fetchall()

    def allow(self) -> None:
        """Let look-ups go on."""
        self._readable.set()

    def pause(self) -> None:
        """Let look-ups wait for the end of the reopening that begins now."""
        if self._readable.is_set():
            self._readable.clear()
            self._patience_until = monotonic() + REOPEN_PATIENCE

    def disconnect(self) -> list[apsw.Connection | None]:
        """Take the connections away; the caller closes them. A look-up is awaited, longer looks are ended."""
        self.slow.seize()
        self.slowest.seize()
        try:
            with self.quick.lock:
                connections = [reader.connection for reader in self.all]
                for reader in self.all:
                    reader.connection = None
        finally:
            self.slow.lock.release()
            self.slowest.lock.release()
        return connections

    def give_up(self) -> None:
        """Don't let anybody wait any more."""
        self._patience_until = 0.0

    def look(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[Any]:
        """Rows, quickly: the event loop waits for this."""
        try:
            while True:
                with self.quick.lock:
                    if self.quick.connection is not None:
                        return self.quick.connection.execute(statement, values).fetchall()
                self._wait_for_reopening()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def scan(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """Rows, where it may take long: never on the connection that the event loop waits for."""
        return self._look_by(self.slow, lambda connection: connection.execute(statement, values).fetchall())

    def browse(self, look: Callable[[apsw.Connection], T]) -> T:
        """Look at one moment, however long it takes."""
        return self._look_by(self.slowest, look)

    def _look_by(self, reader: Reader, look: Callable[[apsw.Connection], T]) -> T:
        try:
            while True:
                with reader.lock:
                    if reader.connection is not None:
                        reader.connection.execute("BEGIN")
                        try:
                            return look(reader.connection)
                        finally:
                            if reader.connection.in_transaction:  # an error of the disk has ended it
                                reader.connection.execute("ROLLBACK")
                self._wait_for_reopening()
        except (apsw.Error, OpFailed, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _wait_for_reopening(self) -> None:
        """Wait for a reopening, milliseconds as a rule; if the disk fails on, late callers don't wait."""
        left = self._patience_until - monotonic()
        if left <= 0 or not self._readable.wait(left):
            raise LedgerUnavailable("the ledger is being reopened")

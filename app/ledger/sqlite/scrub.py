"""Reading the whole ledger once, beside its service: each page's checksum and structure is looked at."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import apsw

from .damage import is_damage, told

log = logging.getLogger("dibs.ledger")

BLOCKS = "block"
"""The table whose damage concerns single items: its rows have checksums of their own."""


class Scrub:
    """A thread that checks table by table, on a connection of its own that ``connect`` opens.

    ``found(table, what)`` is told of the first damage in a table, on that thread.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], found: Callable[[str, str], None]) -> None:
        self._connection = connect()
        self._found = found
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="dibs-scrub", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the check; return whether it came within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Stop the check, wherever it is."""
        self._stopped = True
        while self._thread.is_alive():
            self._connection.interrupt()
            self._thread.join(0.01)
        self._connection.close(force=True)

    def _run(self) -> None:
        try:
            found = self._connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for table in sorted([str(name) for (name,) in found], key=lambda name: name == BLOCKS):
                if self._stopped:
                    return
                if (damage := self._check(table)) is not None:
                    self._found(table, damage)
        except apsw.InterruptError:
            return
        except (apsw.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                self._found("sqlite_schema", told(error))
            else:
                log.warning("the ledger could not be checked to its end: %s", error)

    def _check(self, table: str) -> str | None:
        try:
            found = self._connection.execute(f'PRAGMA quick_check("{table}")').fetchall()
        except (apsw.Error, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise
            return told(error)
        return None if found == [("ok",)] else str(found[0][0])

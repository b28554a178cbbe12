"""Listening to pushes: the database tells of each transaction that has pushed, when it commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..ops import EngineFailed

if TYPE_CHECKING:
    import psycopg

AGAIN: Final = 0.5
"""Seconds until a session that was lost is made anew."""
LOOK: Final = 1.0
"""Seconds after which a listener sees whether it still has to listen."""


class Listener:
    """A thread with a session of its own. ``told`` is called there for each push, and when it begins.

    ``hears``: each push is told from now on.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], told: Callable[[], None]) -> None:
        self.hears = False
        self._connect = connect
        self._told = told
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dibs-listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, soon."""
        self._stop.set()

    def _run(self) -> None:
        import psycopg

        while not self._stop.is_set():
            try:
                with self._connect() as session:
                    [(schema,)] = session.execute("SELECT current_schema()")
                    session.execute("LISTEN dibs_inbox")
                    self.hears = True
                    self._told()  # what was pushed before
                    while not self._stop.is_set():
                        if any(
                            each.payload == schema for each in session.notifies(timeout=LOOK, stop_after=1)
                        ):
                            self._told()
            except (psycopg.Error, EngineFailed):
                self.hears = False
                self._told()
                self._stop.wait(AGAIN)

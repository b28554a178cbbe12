"""The watch of a server: who owns the ledger, and whether that one is still there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ...inert import inert
from ..ops import EngineFailed
from .fitness import Function, functions_of, others_of
from .ledger import Ledger
from .survey import Around, look_around
from .terms import Owner, Server, end_holder, owner_of

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

LOOK_EVERY: Final = 0.25
"""Seconds between two looks."""
SEEN_EVERY: Final = 2.0
"""Seconds between two notes that this server is there."""
AGAIN: Final = 0.5
"""Seconds until a database that can't be reached is tried again."""

TO_BEGIN: Final = 4
"""Whoever has just got the lock has that part of the time-out to take its first step, or is stopped, too."""

AROUND_EVERY: Final = 5.0
"""Seconds between two looks at the servers and at whom the database waits for; a new owner brings another."""
NOTE_MOST: Final = 500
"""Characters of a server's note."""

# Nothing depends on this row, so that it waits for no standby: who is there is told while none is, too.
_LIGHTLY: Final = "SET synchronous_commit = local"
_SEEN: Final = """
INSERT INTO server (id, address, version, note, lag, troubles) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET seen = clock_timestamp(), note = excluded.note, lag = excluded.lag,
    troubles = excluded.troubles
RETURNING seen
"""
# A server that was killed just before this one began in its place has left a row, which is written no more.
_TWINS: Final = """
SELECT EXISTS (SELECT FROM server WHERE address = %s AND id <> %s
    AND seen > greatest(%s, clock_timestamp() - interval '10 s'))
"""
TWIN: Final = (
    "another server says that it is there, too, so that what is meant for one of them may come to the other:"
    " give each an address of its own (--advertise HOST:PORT)"
)
_GONE: Final = "DELETE FROM server WHERE id = %s OR seen < clock_timestamp() - interval '1 hour'"

log = logging.getLogger("dibs.ledger")


class Watch:
    """A thread that looks at the position four times a second, by a session of its own.

    It owns what is known of the ``owner``, which was ``looked`` at last at that time of the monotonic clock,
    and of what is ``around``, which was ``surveyed`` then. ``newest`` is
    the newest term and position that were ever seen. ``note`` goes into this server's row, or else why it
    is ``unfit``, and what ``lag`` says of its warm copy; so do its ``troubles``. ``functions`` are sources of
    queues, ``waiting`` is how many others wait for the lock. ``news`` is called on its thread when the owner
    has changed. While ``standing`` is set, an owner that has been silent for ``timeout`` seconds by the
    database's clock has its session ended, so that the lock comes free: one that is stopped or cut off does
    not let go of it itself.
    """

    def __init__(
        self,
        ledger: Ledger,
        server: Server,
        *,
        timeout: float,
        news: Callable[[], None],
        lag: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.owner: Owner | None = None
        self.around: Around | None = None
        self.looked = self.surveyed = 0.0
        self.note = self.unfit = ""
        self.troubles: tuple[str, ...] = ()
        self.functions: list[Function] | None = None
        self.waiting = 0
        self.newest = (0, 0)
        self.standing = threading.Event()
        self._ledger = ledger
        self._server = server
        self._timeout = timeout
        self._news = news
        self._lag = lag
        self._stop = threading.Event()
        self._seen = 0.0
        self._began: datetime | None = None
        self._twin = self._blind = False
        self._thread = threading.Thread(target=self._run, name="dibs-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and tell the others that this server is gone."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        import psycopg

        session: psycopg.Connection[Any] | None = None
        while not self._stop.is_set():
            pause = LOOK_EVERY
            try:
                session = session or self._connected()
                self._look(session)
                if self._blind:
                    log.warning("the database can be looked at again")
                    self._blind = False
            except (psycopg.Error, EngineFailed) as error:
                level = logging.INFO if self._blind else logging.WARNING
                log.log(level, "the database can't be looked at: %s", " ".join(str(error).split()))
                self._blind = True
                if session is not None:
                    session.close()
                session, pause = None, AGAIN
            self._stop.wait(pause)
        if session is not None:
            with suppress(psycopg.Error):
                session.execute(_GONE, (self._server.id,))
            session.close()

    def _connected(self) -> psycopg.Connection[Any]:
        session = self._ledger.connect(by_key=True)  # four times a second, by a plan that is kept
        session.execute(_LIGHTLY)
        self._seen = 0.0
        return session

    def _look(self, session: psycopg.Connection[Any]) -> None:
        before, self.owner = self.owner, owner_of(session)
        self.newest = max(self.newest, (self.owner.term, self.owner.n))
        self.looked = monotonic()
        if before is None or (before.term, before.server) != (self.owner.term, self.owner.server):
            self.surveyed = 0.0
            self._news()
        _, _, _, address, _, silent = self.owner
        if (
            silent > self._timeout
            and self.standing.is_set()
            and end_holder(session, self._ledger.schema, self._timeout / TO_BEGIN)
        ):
            log.warning("the owner %s was silent for %.1f s: its session was ended", address, silent)
        if monotonic() - self._seen > SEEN_EVERY:
            self._tell(session)
            self._seen = monotonic()
        if monotonic() - self.surveyed > AROUND_EVERY:
            self.around = look_around(session, self._ledger.schema)
            self.functions = functions_of(session)
            self.waiting = others_of(session, self._ledger.schema)[1]
            self.surveyed = monotonic()

    def _tell(self, session: psycopg.Connection[Any]) -> None:
        """Let the others see that this server is there, and how it is."""
        troubles = [inert(told)[:NOTE_MOST] for told in (*self.troubles, *([TWIN] if self._twin else []))]
        note = inert(self.note or self.unfit)[:NOTE_MOST]
        [(seen,)] = session.execute(_SEEN, (*self._server, note, self._lag(), troubles))
        self._began = self._began or seen
        id, address, _ = self._server
        [(twin,)] = session.execute(_TWINS, (address, id, self._began))
        if twin and not self._twin:
            log.warning("this server is at %s, and %s", address, TWIN)
        self._twin = twin

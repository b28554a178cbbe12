"""The fitness of a server: whether it has the code of all queues, or leaves the ledger to others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .terms import key_of

if TYPE_CHECKING:
    import psycopg

Function = tuple[str, str, str]
"""A queue, its source, and that source's arguments, as the ledger has them."""
Able = Callable[[Sequence[Function]], str]
"""Says why this server can't open one of these; empty: it can open all."""

EVERY: Final = 1.0
"""Seconds between two looks at what the watch has seen."""

# Those that failed because somebody lacked them count, too: whoever has them lets them go on.
_FUNCTIONS: Final = """
SELECT name, source, args FROM queue
WHERE deleted_at IS NULL AND source LIKE '%:%'
    AND (ending IS NULL OR failure_type IN ('source-invalid', 'source-changed'))
ORDER BY name
"""
_OTHERS: Final = """
SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = ((%(key)s::int8 >> 32) & 4294967295)::oid
    AND objid = (%(key)s::int8 & 4294967295)::oid
"""

log = logging.getLogger("dibs.ledger")


def functions_of(session: psycopg.Connection[Any]) -> list[Function]:
    """The queues whose sources are functions of users."""
    return session.execute(_FUNCTIONS).fetchall()


def others_of(session: psycopg.Connection[Any], schema: str) -> tuple[int, int]:
    """How many other sessions have the ledger's lock, and how many wait for it."""
    [(have, wait)] = session.execute(_OTHERS, {"key": key_of(schema)})
    return have, wait


class Fitness:
    """Judges, on a thread, for importing a module may take long.

    It owns ``why`` this server can't own the ledger; empty: it can. ``seen`` gives the functions that the
    watch has seen last; ``judged`` is called after each look.
    """

    def __init__(
        self, able: Able, seen: Callable[[], Sequence[Function] | None], judged: Callable[[], None]
    ) -> None:
        self.why = ""
        self._able = able
        self._seen = seen
        self._judged = judged
        self._lock = threading.Lock()
        self._last: Sequence[Function] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dibs-fitness", daemon=True)

    def start(self) -> None:
        """Begin to judge."""
        self._thread.start()

    def stop(self) -> None:
        """Judge no more. A module that is being imported is not waited for."""
        self._stop.set()

    def judge(self, functions: Sequence[Function]) -> str:
        """Why this server can't own a ledger with these; what was lacking is looked for again."""
        with self._lock:
            if functions != self._last or self.why:
                why = self._able(functions)
                if why and why != self.why:
                    log.warning("this server leaves the ledger to others: %s", why)
                self.why, self._last = why, functions
            return self.why

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            functions = self._seen()
            if functions is not None:
                self.judge(functions)
            self._judged()

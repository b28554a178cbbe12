"""The inbox in PostgreSQL: looks, and the statements by which a transaction takes rows out of it.

The tables and the functions, ``push`` among them, are in ``inbox.sql``. Connections have the schema of the
ledger as their search path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, NamedTuple, TypeVar

from ..inbox import (
    Arrival,
    BoundInbox,
    InboxUnreadable,
    Look,
    Measure,
    Place,
    RefusedRow,
    TakenIn,
    Unfit,
)
from ..ops import EngineFailed
from .listening import Listener

if TYPE_CHECKING:
    import psycopg

ROWS_MOST: Final = 1_000
"""Rows of one look."""
BYTES_MOST: Final = 16 * 1024 * 1024
"""Bytes of values of one look; one row at least."""

T = TypeVar("T")


# -- what a transaction does to it


class Call(NamedTuple):
    """A statement of a transaction, with columns for its parameters. It fails where rows are not there."""

    text: str
    columns: tuple[tuple[Literal["int", "text"], tuple[Any, ...]], ...]


# The instants (the last parameter) matter to those that are written back only.
_TAKEN: Final = "SELECT inbox_taken($1::int8[], $2::int8[]) WHERE $3::int8[] IS NOT NULL"
_REFUSE: Final = "SELECT inbox_refuse($1::int8[], $2::int8[], $3::text[]) WHERE $4::int8[] IS NOT NULL"
# Of a database that has lost something: what it was that was pushed may be lost with it. Another push may
# have got its numbers then; it has another instant, by whatever clock, and stays.
WRITTEN_BACK: Final = {
    _TAKEN: """
DELETE FROM inbox AS i USING unnest($1::int8[], $2::int8[], $3::int8[]) AS row (tx, n, at)
WHERE i.tx = row.tx::text::xid8 AND i.n = row.n AND (extract(epoch FROM i.at) * 1000000)::int8 = row.at
""",
    _REFUSE: """
WITH gone AS (
    DELETE FROM inbox AS i
    USING unnest($1::int8[], $2::int8[], $3::text[], $4::int8[]) AS row (tx, n, reason, at)
    WHERE i.tx = row.tx::text::xid8 AND i.n = row.n AND (extract(epoch FROM i.at) * 1000000)::int8 = row.at
    RETURNING i.tx, i.n, i.queue, i.value, i.key, i.delay_ms, i.priority, i.at, row.reason
)
INSERT INTO inbox_refused (tx, n, queue, value, key, delay_ms, priority, at, reason) SELECT * FROM gone
""",
}
"""The statements that take rows out of the inbox, as they are sent again: rows that are gone are left out."""

_BOUND: Final = "SELECT inbox_bound($1::int8[], $2::text[])"


def calls_of(outcome: object) -> list[Call]:
    """What the transaction with this outcome of an op has to do to the inbox; nothing for most outcomes."""
    if isinstance(outcome, BoundInbox):
        flags = int(outcome.stopped is not None), int(outcome.notify)
        limits = outcome.value_bytes, outcome.key_bytes, outcome.delay, *flags
        return [Call(_BOUND, (("int", limits), ("text", outcome.stopped or ())))]
    if not isinstance(outcome, TakenIn):
        return []
    calls = []
    if outcome.taken:
        txs, ns, ats = zip(*outcome.taken, strict=True)
        calls.append(Call(_TAKEN, (("int", txs), ("int", ns), ("int", ats))))
    if outcome.refused:
        places, reasons = zip(*outcome.refused, strict=True)
        txs, ns, ats = zip(*places, strict=True)
        calls.append(Call(_REFUSE, (("int", txs), ("int", ns), ("text", reasons), ("int", ats))))
    return calls


# -- looks

# The rows from the floor on, but for those of full queues, and the oldest transaction that was still running.
# One row at least comes back, so that an empty inbox moves the floor, too.
_LOOK: Final = """
WITH found AS (
    SELECT tx, n, queue, value, key, delay_ms, priority, at,
           sum(octet_length(value)) OVER (ORDER BY tx, n) - octet_length(value) AS before
    FROM (SELECT * FROM inbox WHERE tx >= %(floor)s::text::xid8 AND queue <> ALL (%(full)s::text[])
          ORDER BY tx, n LIMIT %(most)s) AS first
)
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, (SELECT count(*) FROM found),
       f.tx::text, f.n, f.queue, f.value, f.key,
       CASE WHEN f.delay_ms > 0
            THEN f.delay_ms - floor(extract(epoch FROM clock_timestamp() - f.at) * 1000)::int8 END,
       f.priority, (extract(epoch FROM f.at) * 1000000)::int8
FROM (VALUES (1)) AS one (one) LEFT JOIN found AS f ON f.before < %(bytes)s
ORDER BY f.tx, f.n
"""


class Drain:
    """From where the next look begins, and which queues it leaves out.

    ``floor``: no row that is to be found has a lower transaction, but those of full queues. It moves on to
    the oldest transaction that was still running at a look which has found all there was, once what it found
    is out of the inbox. ``full``: queues without room, each with the floor from which its rows have to be
    looked for; when a queue has room again, the floor goes back to there. A new owner begins at 0.
    """

    def __init__(self, *, bytes_most: int = BYTES_MOST) -> None:
        self.floor = 0
        self._full: dict[str, int] = {}
        self._bytes_most = bytes_most
        self._look: Look | None = None

    @property
    def full(self) -> Mapping[str, int]:
        """Queues without room, with their floors."""
        return MappingProxyType(self._full)

    @property
    def lowest(self) -> int:
        """No row has a lower transaction."""
        return min(self.floor, *self._full.values()) if self._full else self.floor

    def look(
        self,
        connection: psycopg.Connection[Any],
        text: Callable[[str], str],
        now: Callable[[], int],
        most: int = ROWS_MOST,
    ) -> Look:
        """Look at up to ``most`` rows.

        What the look before has found must be decided: else its rows could be pushed twice, or pass others
        that are before them in their queue.
        """
        if self._look is not None:
            raise RuntimeError("a look was sent before what the one before has found was decided")
        limits = {"most": most, "bytes": self._bytes_most}
        rows = connection.execute(
            _LOOK, {"floor": str(self.floor), "full": list(self._full), **limits}
        ).fetchall()
        upto, found = int(rows[0][0]), rows[0][1]
        rows = [row[2:] for row in rows if row[2] is not None]
        arrivals: list[Arrival] = []
        unfit: list[Unfit] = []
        instant = now()
        for tx, n, queue, value, key, left, priority, at in rows:
            place = Place(int(tx), n, at)
            try:
                kept = text(value)
            except ValueError as error:
                unfit.append(Unfit(place, str(error)))
                continue
            due = instant + left if left is not None and left > 0 else 0
            arrivals.append(Arrival(place, queue, kept, key, due, priority))
        self._look = Look(tuple(arrivals), tuple(unfit), len(rows) == found < most, upto)
        return self._look

    def committed(self, taken: TakenIn) -> None:
        """What the last look has found is out of the inbox, but for rows of queues that are full."""
        look, self._look = self._look, None
        for name in taken.full:
            self._full.setdefault(name, self.floor)
        if look is not None and look.whole:
            self.floor = look.upto

    def failed(self) -> None:
        """What the last look has found is in the inbox still."""
        self._look = None

    def begin_anew(self) -> None:
        """Look from the first row: the database may be another one, whose transactions have lower numbers."""
        self.floor = 0
        self._full = dict.fromkeys(self._full, 0)
        if self._look is not None:  # it was of the database before
            self._look = self._look._replace(whole=False)

    def roomy(self, queue: str) -> None:
        """A full queue has room again, or is gone: its rows are looked for."""
        self.floor = min(self.floor, self._full.pop(queue, self.floor))


# -- the inbox of an owner

_MEASURE: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM inbox WHERE tx >= %(lowest)s::text::xid8
                              LIMIT %(most)s) AS counted),
       (SELECT extract(epoch FROM clock_timestamp() - at) FROM inbox WHERE tx >= %(lowest)s::text::xid8
        ORDER BY tx, n LIMIT 1),
       (SELECT count(*) FROM (SELECT FROM inbox_refused LIMIT %(most)s) AS counted)
"""
_REFUSED: Final = """
SELECT n, queue, value, key, (extract(epoch FROM at) * 1000)::int8, reason,
       (extract(epoch FROM refused_at) * 1000)::int8
FROM inbox_refused
WHERE (%(queue)s::text IS NULL OR queue = %(queue)s) AND n > %(after)s ORDER BY n LIMIT %(most)s
"""
_PREPARING: Final = """
SELECT set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false),
       set_config('enable_sort', 'off', false)
"""
"""While somebody holds an old snapshot a small table may have many dead rows; its key passes them over."""


class PostgresInbox:
    """The inbox of the ledger that this server owns, on a connection of its own. See :class:`~..inbox.Inbox`.

    A connection that has failed is opened again by the next look. Its guard is held while it is used.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._guard = Lock()
        self._ended = False
        self._listener: Listener | None = None
        self._drain = Drain()
        self.committed, self.failed, self.roomy = self._drain.committed, self._drain.failed, self._drain.roomy

    @property
    def full(self) -> Collection[str]:
        """The queues whose rows are left out of looks."""
        return self._drain.full

    @property
    def hears(self) -> bool:
        """Whether each push is told to who listens."""
        return self._listener is not None and self._listener.hears

    def listen(self, told: Callable[[], None]) -> None:
        """Let ``told`` be called once something was pushed, on a connection more."""
        self._listener = Listener(self._connect, told)
        self._listener.start()

    def look(self, text: Callable[[str], str], now: Callable[[], int], most: int = ROWS_MOST) -> Look:
        """Look at up to ``most`` rows."""
        return self._asked(lambda connection: self._drain.look(connection, text, now, most))

    def measure(self, most: int) -> Measure:
        """How much there is."""

        def measure(connection: psycopg.Connection[Any]) -> Any:  # only now is it known where rows begin
            limits = {"lowest": str(self._drain.lowest), "most": most}
            return connection.execute(_MEASURE, limits).fetchone()

        length, oldest, refused = self._asked(measure)
        return Measure(length, None if oldest is None else float(oldest), refused)

    def refused(self, queue: str | None, after: int, most: int) -> list[RefusedRow]:
        """Rows that could not be taken."""
        rows = self._rows(_REFUSED, {"queue": queue, "after": after, "most": most})
        return [RefusedRow(*row) for row in rows]

    def retry(self, queue: str | None) -> int:
        """Put what was refused into the inbox again."""
        count: int = self._rows("SELECT inbox_retry(%(queue)s::text)", {"queue": queue})[0][0]
        return count

    def close(self) -> None:
        """Let go of the connection, for good; whoever asks by it just now does so after that."""
        self._ended = True
        if self._listener is not None:
            self._listener.stop()
        if self._guard.acquire(blocking=False):
            self._disconnect()
            self._guard.release()

    def _rows(self, statement: LiteralString, values: Mapping[str, Any]) -> list[Any]:
        return self._asked(lambda connection: connection.execute(statement, values).fetchall())

    def _asked(self, ask: Callable[[psycopg.Connection[Any]], T]) -> T:
        import psycopg

        with self._guard:
            try:
                if self._ended:
                    raise InboxUnreadable("this server does not own the ledger any more")
                if self._connection is None:
                    self._connection = self._connect()
                    self._connection.execute(_PREPARING)
                    self._drain.begin_anew()
                return ask(self._connection)
            except (psycopg.Error, EngineFailed) as error:
                self._disconnect()
                raise InboxUnreadable(" ".join(str(error).split())) from error
            finally:
                if self._ended:
                    self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

"""How an owner goes on after its session failed: it finds out what is in PostgreSQL, and guesses nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..ops import EngineFailed
from .fence import Fenced
from .losses import lost
from .pipeline import Broken, Failed, Pipeline, Unsafe
from .promotions import seen
from .terms import after_of, key_of, owner_of

if TYPE_CHECKING:
    import psycopg

    from .fence import Position
    from .keeping import Undecided
    from .ledger import Ledger

_LOCK_PATIENCE: Final = "500ms"
"""For so long the lock is waited for. A server that fails has to notice first that our session has ended."""


READ_ONLY: Final = "25006"
"""The SQLSTATE of a server that takes no writes."""

log = logging.getLogger("dibs.ledger")


class Moved(Exception):
    """A later term has begun; ``there``: whether the transaction that was under way is in PostgreSQL.

    ``lost``: how many were told to callers and are not there, as after the promotion of a standby that nobody
    waited for.
    """

    def __init__(self, term: int, *, there: bool, lost: int = 0) -> None:
        super().__init__(f"term {term} has begun")
        self.there = there
        self.lost = lost


class Lost(Exception):
    """The newest position, ``n``, is behind one that was told to callers: the database has lost some."""

    def __init__(self, n: int, term: int, told: int) -> None:
        super().__init__(lost(n, term, f"{told} was told to callers"))
        self.n = n
        self.term = term


class Regained(NamedTuple):
    """A session with the ledger's lock, and its position, which was stepped; ``sent`` is when.

    ``there``: whether the transaction that was under way is in PostgreSQL.
    """

    session: psycopg.Connection[Any]
    position: Position
    sent: int
    there: bool


class Regaining:
    """Goes on after a failure, in as many attempts as it takes.

    A transaction that was under way and is not there is sent once more, as it was. It remembers what came of
    it, since a step of its own may be the next one that is there.
    """

    def __init__(self, ledger: Ledger, server: str, now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._server = server
        self._now = now
        self._there: bool | None = None

    def regain(
        self, session: psycopg.Connection[Any], last: Position, undecided: Undecided | None
    ) -> Regained:
        """Go on after the position ``last``, by this session if it works, else by another one.

        What is found is told only once a step of ours has come after it: a commit that is seen may have been
        cut short of its standby.

        Raises:
            Moved, Lost: that can't be.
            EngineFailed: nothing can be told yet.
        """
        import psycopg

        reached, pipeline = session, last.pipeline
        try:
            if not works(session):
                pipeline.close()
                reached = self._ledger.connect(writes=True)
                pipeline = Pipeline(reached)
                self._newest(reached, last)  # whoever has taken over keeps the lock
                lock_soon(reached, self._ledger.schema)
            # Whoever has the lock knows that the session before has ended, and all that it has done.
            position, sent = last.resumed(pipeline, self._newest(reached, last)), self._now()
            there = self._stepped(position, sent, last.n, undecided)
        except BaseException as error:
            read_only = isinstance(error, Failed) and error.state == READ_ONLY  # another host may take writes
            if reached is not session or read_only or not works(reached):
                pipeline.close()
                reached.close()
            if isinstance(error, (psycopg.Error, Fenced, Failed, Broken, Unsafe)):
                raise EngineFailed(str(error)) from error
            raise
        self._there = None
        return Regained(reached, position, sent, there)

    def _stepped(self, position: Position, sent: int, last: int, undecided: Undecided | None) -> bool:
        """Step the position, by the transaction that was under way if it is not there; whether it is then.

        Nothing else follows the one that was ``last`` before that is known: what is found there is it.
        """
        if undecided is not None and position.n == last and self._there is not False:
            try:
                position.step(undecided.clock, (*undecided.statements, seen(position.term)))
            except Failed as failed:
                log.warning("the transaction that was under way is refused: %s", failed)
                self._there = False
            else:
                return True
        if self._there is None:
            self._there = position.n > last
        position.step(sent, [seen(position.term)])
        return self._there

    def _newest(self, session: psycopg.Connection[Any], last: Position) -> int:
        """The newest position, where it is ours still."""
        owner = owner_of(session)
        # Where the beginning of our term is lost, too, another one may have begun with the same number.
        if owner.term > last.term or (owner.term == last.term and owner.server != self._server):
            after = after_of(session, last.term, self._server)
            there = after is not None and after > last.n if self._there is None else self._there
            raise Moved(owner.term, there=there, lost=0 if after is None else max(last.n - after, 0))
        if owner.term < last.term or owner.n < last.n:
            self._there = None
            raise Lost(owner.n, owner.term, last.n)
        return owner.n


def answers(session: psycopg.Connection[Any]) -> bool:
    """Whether a session works, and its server is there: a look that failed says nothing of this session."""
    import psycopg

    try:
        return works(session) and session.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def works(session: psycopg.Connection[Any]) -> bool:
    """Whether a session stands where the next transaction can begin, as far as can be seen from here."""
    from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

    pgconn = session.pgconn
    return (
        not session.closed
        and pgconn.status == ConnStatus.OK
        and pgconn.pipeline_status == PipelineStatus.OFF
        and pgconn.transaction_status == TransactionStatus.IDLE
    )


def lock_soon(session: psycopg.Connection[Any], schema: str) -> None:
    """Take the ledger's lock; psycopg's LockNotAvailable where another server keeps it."""
    session.execute(f"SET lock_timeout = '{_LOCK_PATIENCE}'".encode())
    session.execute("SELECT pg_advisory_lock(%s)", (key_of(schema),))
    session.execute("SET lock_timeout = 0")

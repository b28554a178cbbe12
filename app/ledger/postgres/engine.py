"""The engine of an owner: SQLite in memory decides, and each transaction is in PostgreSQL before it is told.

So there is one dialect of SQL and one set of algorithms. What is read by anybody comes from memory, but for
what is elsewhere only: keys of items and the history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import LedgerError, LedgerLost, LedgerMoved, LedgerUnavailable, QueueConflict
from ..clock import LedgerClock
from ..inbox import Inbox
from ..ops import EngineFailed, OpFailed
from ..recovered import Recovered
from ..sqlite.engine import SqliteEngine
from ..sqlite.recording import Recording
from ..sqlite.scratch import Scratch
from .beating import beating
from .exporting import back_up
from .feed import Feed
from .filling import filled
from .inbox import PostgresInbox
from .keeping import Keeping, differs
from .loading import empty, load
from .looks import Looks
from .lookups import LookUps
from .pipeline import Failed
from .reader import Reader
from .recovering import Recovering
from .regaining import READ_ONLY, Lost, Moved, Regaining, answers
from .tables import TABLES

if TYPE_CHECKING:
    import socket

    import psycopg

    from ..looks import Copied, HistoryRow
    from ..serve import Applied
    from ..sqlite.recording import Touched
    from .filling import Warm
    from .ledger import Ledger
    from .terms import Begun

log = logging.getLogger("dibs.ledger")

BEAT = 1_000
"""Milliseconds between two steps of the position, whether anything happens or not."""

_AGAIN = {name for name, table in TABLES.items() if table.loaded}
"""The tables in which an undone transaction is done again; of the others memory has copies of some rows."""


class PostgresEngine:
    """A ledger in PostgreSQL, as its owner has it in one term. See :class:`~..engine.Engine`.

    ``session`` has the ledger's lock, and becomes the one that writes. ``moved`` is called once, on any
    thread, when another server has become the owner: nothing is applied any more.
    """

    kind = "postgresql"
    folder = None
    durable = returns = True
    copied: Copied | None = None

    def __init__(
        self,
        ledger: Ledger,
        session: psycopg.Connection[Any],
        begun: Begun,
        *,
        trust: float,
        kept_bytes: int,
        warm: Warm | None = None,
        moved: Callable[[], None] = lambda: None,
        clock: Callable[[int], LedgerClock] | None = None,
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._on_move = moved
        self._trouble: LedgerError | None = None
        self._full = self._doubted = False
        self._anew = False  # nothing was applied since memory was loaded anew
        self.path = ledger.shown
        self._readers = Reader(partial(ledger.connect, by_key=True)), Reader(ledger.connect)
        wall = begun.now * 1_000_000
        ticking = (clock or (lambda heard: LedgerClock(heard, wall=lambda: wall)))(begun.heard)
        self.now = ticking.now
        self._regaining = Regaining(ledger, begun.server, ticking.now)
        self._recovering = Recovering(ledger, begun.server, ticking.now)
        self._stood = 0  # the number of memory's last transaction, while the database lacks some
        self._scratch = scratch = self._filled(begun, warm)
        try:
            scratch.persisted = begun.heard
            described = {
                name: (list(table.columns), table.key) for name, table in TABLES.items() if table.copied
            }
            self._keeping = Keeping(
                begun.position,
                Recording(scratch.writer, described),
                LookUps(self._readers[0]),
                now=ticking.now,
                trust=int(trust * 1000),
                kept_bytes=kept_bytes,
                fenced=self._fenced,
            )
            self._memory = memory = SqliteEngine(
                None, clock=lambda _: ticking, files=scratch, elsewhere=self._keeping
            )
        except BaseException:
            scratch.close()
            self._disconnect()
            raise
        self._keeping.ahead = None
        self.files = memory.files
        self.rows, self.row = memory.rows, memory.row
        self.glance, self.counts = memory.glance, memory.counts
        self.items, self.failures = memory.items, memory.failures
        self.kept, self.traceparent = memory.kept, memory.traceparent
        self.actions, self.access_tokens = memory.actions, memory.access_tokens
        self.sights, self.number = memory.sights, memory.number
        self.inbox: Inbox | None = PostgresInbox(ledger.connect)
        self._looks = looks = Looks(self._readers[1], memory.now)
        self.item_keys, self.item_key = looks.item_keys, looks.item_key
        self.size, self.backup = looks.size, partial(back_up, ledger)

    def _filled(self, begun: Begun, warm: Warm | None) -> Scratch:
        """A memory that has all; the position is stepped meanwhile."""
        try:
            with beating(begun.position, self.now), self._ledger.connect() as reader:
                return filled(reader, begun.after, warm)
        except BaseException:
            self._disconnect()
            raise

    @property
    def term(self) -> int:
        """The number of the term."""
        return self._keeping.position.term

    @property
    def position(self) -> int:
        """The number of the newest transaction, empty ones included."""
        return self._keeping.position.n

    # -- one transaction

    def apply(self, ops: Sequence[Any]) -> Applied:
        """Apply all ops in one transaction, which is in PostgreSQL when this returns.

        Raises:
            CommitFailed: with what was computed, which stands if the number of the transaction is there.
            EngineFailed: PostgreSQL failed before, or this server is not the owner any more.
            OpFailed: an op is at fault.
        """
        try:
            applied = self._memory.apply(ops)
        except OpFailed as failed:
            if differs(failed, ops) and not self._anew:  # else it is at fault itself
                self._doubted = True
                raise EngineFailed(f"memory is not what PostgreSQL has: {failed}") from failed
            raise
        except EngineFailed as failed:
            self._full = failed.full
            if isinstance(failed.__cause__, Failed) and failed.__cause__.state == READ_ONLY:
                self._keeping.position.pipeline.close()  # another host may take writes now
            raise
        self._anew, self._keeping.ahead = False, None
        return applied

    def trouble(self) -> LedgerError | None:
        """Why nothing may be applied: another server is the owner, or the database has lost transactions."""
        return self._trouble

    def reserve(self) -> None:
        """Find out whether there is room again, after there was none.

        Raises:
            EngineFailed: there is none.
        """
        if self._full:
            self._keeping.beat()
            self._full = False

    def rescue(self) -> str | None:
        """See whether a ledger that has lost something goes on without this server, or is whole again."""
        if self.lost:
            with suppress(EngineFailed, LedgerError, QueueConflict):
                position = self._keeping.position
                if self._recovering.goes_on_without(position):
                    self._give_up()
                elif self._recovering.is_whole(position):
                    self.recover(accept_loss=False)
        return None

    def unheard(self) -> float | None:
        """Seconds until the next step is due, by which the others know that this owner is there."""
        if self._trouble is not None:
            return None
        return max(BEAT - self._keeping.age, 0) / 1000

    def keep_time(self) -> None:
        """Step the position; nothing else.

        Raises:
            EngineFailed: it could not be done.
        """
        self._keeping.beat()

    @property
    def sure(self) -> bool:
        """Whether this server may say what is in its memory without asking whether it is still the owner."""
        return self._trouble is None and self._keeping.sure

    def feed(self, connection: socket.socket) -> Feed:
        """Send each transaction by this connection, to the server that keeps a warm copy of this memory."""
        position = self._keeping.position
        position.starve()
        feed = position.feed = Feed(connection)
        if self._keeping.position is not position:  # the writer went on with another one in this moment
            feed.close()
        return feed

    # -- when PostgreSQL fails

    def reopen(self) -> None:
        """Find out what came of the last transaction, by another session where this one failed.

        Raises:
            EngineFailed: that can't be told yet.
        """
        keeping, undecided = self._keeping, self._keeping.undecided
        if self._trouble is not None:
            return
        self._doubted |= keeping.ahead is not None
        if undecided is None and not self._doubted and answers(self._session):
            self._memory.stands_at(self._memory.number())
            return
        for reader in self._readers:
            reader.close()
        try:
            self._session, position, sent, there = self._regaining.regain(
                self._session, keeping.position, undecided
            )
        except Moved as moved:
            if moved.lost:
                log.critical("the database has lost %d transactions that were told to callers", moved.lost)
                with suppress(EngineFailed):  # it is too late for anybody to wait for it
                    self._recovering.notice(keeping.position, self.rows())
            self._memory.stands_at(keeping.standing(self._memory.number(), there=moved.there))
            self._fenced(str(moved))
            return
        except Lost as lost:
            log.critical("%s", lost)
            self._recovering.notice(keeping.position, self.rows())
            self._stood = self._memory.number()  # what is undecided stays so: the former primary may be back
            self._memory.stands_at(0)
            self._trouble = LedgerLost(f"{lost}; nothing was handed out")
            return
        number = keeping.standing(self._memory.number(), there=there)
        keeping.goes_on(position, sent, there=there)
        if undecided is not None and there:
            self._doubted = self._doubted or not self._done_again(undecided.touched)
        self._memory.stands_at(number)
        if self._doubted:
            self._load_anew()

    @property
    def lost(self) -> bool:
        """Whether the database has lost transactions, so that nothing may be applied."""
        return isinstance(self._trouble, LedgerLost)

    def recover(self, *, accept_loss: bool, who: str = "") -> Recovered:
        """Write back what the database has lost, and go on; or let the ledger go on without, in a new term.

        Raises:
            QueueConflict: nothing is lost, or what is lost can't be written back.
            LedgerUnavailable: the database failed, and it can be tried again.
        """
        keeping = self._keeping
        if not self.lost:
            raise QueueConflict("the ledger has lost nothing that this server knows of")
        if accept_loss:
            accepted = self._recovering.accept(keeping.position, self.rows(), who)
            self._give_up()
            return accepted
        back = self._recovering.write_back(keeping.position, keeping.shipped)
        self._session = back.session
        # Beyond what was told lies the one that is undecided, or a step that changed nothing.
        beyond = keeping.undecided is not None and back.found > keeping.position.n
        self._doubted |= beyond
        keeping.goes_on(back.position, back.sent, there=None if beyond else False)
        self._memory.stands_at(self._stood)
        if self._doubted:
            try:
                self._load_anew()
            except Exception as error:
                back.position.pipeline.close()  # it has the lock, for which the next attempt waits
                raise LedgerUnavailable(f"the ledger can't be loaded: {error}; try again") from error
        self._trouble = None
        return Recovered(back.written, 0)

    def _give_up(self) -> None:
        self._trouble = LedgerMoved("the ledger goes on without what is lost; nothing was handed out")
        self._on_move()

    def _done_again(self, touched: Sequence[Touched]) -> bool:
        """Do in memory what a transaction did, that was undone there; whether it could be."""
        try:
            if touched:
                self._memory.redo(touched, _AGAIN)
        except (OpFailed, EngineFailed):
            log.exception("what a transaction did can't be done again in memory; it is loaded anew")
            return False
        return True

    def _load_anew(self) -> None:
        """Drop memory, and load what PostgreSQL has."""
        log.warning("memory is dropped and loaded anew")
        self._keeping.recording.end()
        scratch, position = self._scratch, self._keeping.position
        with beating(position, self.now), self._ledger.connect() as reader, scratch.transaction:
            empty(scratch.writer)
            load(reader, scratch.writer)
        self._doubted, self._anew = False, True

    def _fenced(self, why: str) -> None:
        if self._trouble is None:
            log.warning("another server owns the ledger now: %s", why)
            self._trouble = LedgerMoved("another server owns the ledger now; nothing was handed out")
            self._on_move()

    # -- looks that memory can't answer

    def unswept(self) -> list[int]:
        """The deleted queues that have left items, or keys of items."""
        return sorted({*self._memory.unswept(), *self._looks.unswept()})

    def history(
        self, name: str, seq: int | None, after: int, most: int, before: int | None = None
    ) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name, from oldest to newest, or back."""
        generations = max((row.generation for row in self.rows() if row.name == name), default=0)
        return self._looks.history(name, generations, seq, after, most, before=before)

    # -- the end

    def _disconnect(self) -> None:
        with suppress(Exception):
            self._session.close()
        for reader in self._readers:
            with suppress(Exception):
                reader.close()

    def close(self) -> None:
        """Close for good: the lock is free then, and another server takes over at once."""
        if self._trouble is None and self._keeping.undecided is None:
            with suppress(EngineFailed):
                self.keep_time()
        self._keeping.position.starve()  # before the lock is free, since the next owner waits for that end
        self._disconnect()
        self._memory.close()

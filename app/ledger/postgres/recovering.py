"""An owner writes back what its database has lost, or lets the ledger go on without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ...errors import LedgerUnavailable, QueueConflict
from ..ops import EngineFailed
from . import losses
from .fence import Fenced, Position
from .inbox import WRITTEN_BACK
from .pipeline import Broken, Failed, Pipeline, Statement, Unsafe
from .regaining import lock_soon
from .terms import Owner, owner_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from ..ops import QueueRow
    from ..recovered import Recovered
    from .ledger import Ledger
    from .shipped import Sent, Shipped

log = logging.getLogger("dibs.ledger")


class WrittenBack(NamedTuple):
    """The ledger has all again: the session with its lock, the position, when that was stepped.

    ``found``: the number at which the database stood before; ``written``: how many were written back.
    """

    session: psycopg.Connection[Any]
    position: Position
    sent: int
    found: int
    written: int


class Recovering:
    """What an owner that has lost transactions can do; ``server`` is its id. Used by the writer's thread."""

    def __init__(self, ledger: Ledger, server: str, now: Callable[[], int]) -> None:
        self._ledger = ledger
        self._server = server
        self._now = now

    def notice(self, last: Position, rows: Sequence[QueueRow]) -> None:
        """Note in the database what it has lost, so that no other server goes on without it.

        Raises:
            EngineFailed: it could not be noted.
        """
        import psycopg

        try:
            with self._ledger.connect() as session:
                losses.notice(session, last.term, last.n, owner_of(session), rows)
        except psycopg.Error as error:
            raise EngineFailed(f"what the database has lost can't be noted there: {error}") from error

    def write_back(self, last: Position, shipped: Shipped) -> WrittenBack:
        """Write the transactions up to ``last`` that are not there, each in its order, fenced as it was.

        Raises:
            QueueConflict: it can't be, and why.
            LedgerUnavailable: the database failed; what was written stays, and it can be tried again.
        """
        import psycopg

        session: psycopg.Connection[Any] | None = None
        try:
            session = self._ledger.connect(writes=True)
            found = self._ours(session, last)
            lock_soon(session, self._ledger.schema)
            found = self._ours(session, last)
            missing = _missing(found, last, shipped)
            position = Position(Pipeline(session), found.n, last.term, 0)
            for sent in missing:
                _write(position, sent)
            position.tried = last.tried
            at = self._now()
            to = max(position.n + 1, last.n)
            position.step(at, [losses.made_good(last.term)], to=to)
        except BaseException as error:
            if session is not None:
                session.close()
            if isinstance(error, (psycopg.Error, EngineFailed, Broken, Unsafe, Failed)):
                raise LedgerUnavailable(f"it is not done: {error}; try again") from error
            if isinstance(error, Fenced):
                raise QueueConflict(f"another server has begun to write meanwhile: {error}") from error
            raise
        log.warning("%d transactions that the database had lost are written back", len(missing))
        return WrittenBack(session, position, at, found.n, len(missing))

    def accept(self, last: Position, rows: Sequence[QueueRow], who: str) -> Recovered:
        """Let the ledger go on without what is lost, as ``who`` has said.

        Raises:
            QueueConflict, LedgerUnavailable: as in :meth:`write_back`.
        """
        import psycopg

        try:
            with self._ledger.connect() as session:
                losses.notice(session, last.term, last.n, self._ours(session, last), rows)
                return losses.accept(session, who)
        except (psycopg.Error, EngineFailed) as error:
            raise LedgerUnavailable(f"it is not done: {error}; try again") from error

    def goes_on_without(self, last: Position) -> bool:
        """Whether somebody has said that the ledger goes on without what is lost, or another server does.

        Raises:
            EngineFailed: that can't be told.
        """
        found, loss = self._look()
        accepted = loss is not None and loss.term >= last.term and loss.accepted is not None
        return accepted or self._is_followed(found, last)

    def is_whole(self, last: Position) -> bool:
        """Whether nothing is missing any more, as where the former primary is back.

        Raises:
            EngineFailed: that can't be told.
        """
        found, _ = self._look()
        return not self._is_followed(found, last) and (found.term, found.n) >= (last.term, last.n)

    def _look(self) -> tuple[Owner, losses.Loss | None]:
        import psycopg

        try:
            with self._ledger.connect() as session:
                return owner_of(session), losses.newest(session)
        except psycopg.Error as error:
            raise EngineFailed(str(error)) from error

    def _is_followed(self, found: Owner, last: Position) -> bool:
        return found.term > last.term or (found.term == last.term and found.server != self._server)

    def _ours(self, session: psycopg.Connection[Any], last: Position) -> Owner:
        found = owner_of(session)
        if self._is_followed(found, last):
            raise QueueConflict(
                f"{found.address} has begun term {found.term} on this database and writes there: nothing is"
                f" written back; this server had told transaction {last.n} of term {last.term}"
            )
        return found


def _missing(found: Owner, last: Position, shipped: Shipped) -> list[Sent]:
    missing = shipped.above(found.n) if found.term == last.term else None
    if missing is None:
        raise QueueConflict(_too_old(found, last, shipped.after))
    return missing


def _write(position: Position, sent: Sent) -> None:
    statements = [Statement(WRITTEN_BACK.get(text, text), values) for text, values in sent.statements]
    try:
        position.step(sent.clock, statements, to=sent.n)
    except Failed as failed:
        _refuse(sent.n, failed)


def _refuse(n: int, failed: Failed) -> NoReturn:
    raise QueueConflict(
        f"transaction {n} can't be written back, since the database has other rows than before it ({failed});"
        " `dibs recover --accept-loss` goes on with what it has"
    ) from failed


def _too_old(found: Owner, last: Position, after: int) -> str:
    return (
        f"the database stands at transaction {found.n} of term {found.term}, and this server keeps those"
        f" after {after} of term {last.term} only (the setting `recover_bytes` says how many): what lies"
        " between can't be written back. `dibs recover --accept-loss` goes on without it"
    )

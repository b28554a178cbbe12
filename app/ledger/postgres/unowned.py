"""The ledger of a database that no server owns, for a command that changes it, or looks at its tokens."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ...errors import LedgerLocked, LedgerUnavailable
from ..ops import EngineFailed
from . import losses
from .fence import Fenced
from .ledger import Ledger
from .pipeline import Broken, Failed, Unsafe
from .promotions import FormerOwner
from .takeover import OWNER_TIMEOUT, take_over
from .terms import Server, key_of, owner_of
from .tokens import read

if TYPE_CHECKING:
    import psycopg

    from ..access import AccessToken
    from .engine import PostgresEngine

NOWHERE: Final = ""
"""The address of a command: no server is asked there."""
_TAKE: Final = "SELECT pg_try_advisory_lock(%s)"


@contextmanager
def owned(url: str, version: str) -> Iterator[PostgresEngine]:
    """Own a ledger, in a term that is over at the end: so it is written under the fence, as by any owner.

    It is made where there is none. Its lock is not waited for: whoever has it owns the ledger.

    Raises:
        LedgerLocked: A server owns it.
        ConfigError, LedgerError: It can't be reached, used or loaded.
    """
    import psycopg

    ledger = Ledger(url)
    try:
        ledger.check()
        ledger.make()
        engine = _engine(ledger, Server(str(uuid.uuid4()), NOWHERE, version))
    except (psycopg.Error, EngineFailed, Fenced, Failed, Broken, Unsafe) as error:
        text = " ".join(str(error).split())
        raise LedgerUnavailable(f"the ledger in {ledger.shown} can't be written now: {text}") from error
    try:
        yield engine
    finally:
        engine.close()


def _engine(ledger: Ledger, command: Server) -> PostgresEngine:
    session = ledger.connect(writes=True)
    try:
        _check_free(ledger, session, command)
        return take_over(ledger, session, command, kept_bytes=0)
    except BaseException:
        session.close()
        raise


def _check_free(ledger: Ledger, session: psycopg.Connection[Any], command: Server) -> None:
    """Take the lock; refuse a ledger that is a server's, or that one should look at first.

    Raises:
        LedgerLocked: A server owns it.
        LedgerLost: It lacks transactions, and nobody has said that it goes on without.
        LedgerUnavailable: The owner before has the first look at a database that was promoted since.
    """
    [(free,)] = session.execute(_TAKE, (key_of(ledger.schema),))
    if not free:
        at = owner_of(session).address
        raise LedgerLocked(
            f"the ledger in {ledger.shown} is owned by {'a server' if at is None else f'the server at {at}'}:"
            f" ask that, or any other server of it, by --url{'' if at is None else f' {at}'}"
        )
    losses.check_whole(session, (0, 0))
    if FormerOwner(command.id, OWNER_TIMEOUT).goes_first(session):
        raise LedgerUnavailable(
            f"a standby of {ledger.shown} was promoted since a server owned the ledger last: start that one"
            " first, or another one, so that it is seen whether anything is lost; then ask it by --url"
        )


def tokens_of(url: str) -> tuple[list[AccessToken], int] | None:
    """The tokens of a ledger and ledger time, whoever owns it; None where there is none.

    Raises:
        ConfigError, LedgerUnavailable: It can't be reached or read.
    """
    ledger = Ledger(url)
    try:
        return read(ledger) if is_there(ledger) else None
    except EngineFailed as error:
        raise LedgerUnavailable(f"the tokens can't be read: {error}") from error


def is_there(ledger: Ledger) -> bool:
    """Whether there is a ledger.

    Raises:
        EngineFailed: The database can't be reached.
    """
    with ledger.connect() as session:
        [(there,)] = session.execute("SELECT to_regclass(%s) IS NOT NULL", (f'"{ledger.schema}".ledger',))
    return bool(there)

"""A term of this server, which shares a ledger with others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import LedgerError
from ..engine import Engine
from ..ops import EngineFailed
from ..terms import Feed, Owner
from .engine import PostgresEngine
from .terms import owner_of

if TYPE_CHECKING:
    import socket

    import psycopg


class OwnTerm:
    """A term of this server: see :class:`~..terms.Term`."""

    def __init__(
        self, engine: PostgresEngine, server: str, reach: Callable[[], psycopg.Connection[Any]]
    ) -> None:
        self.engine: Engine = engine
        self.number = engine.term
        self._owner = engine
        self._server = server
        self.lost = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self._reach = reach
        self._asking: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None

    @property
    def told(self) -> tuple[int, int]:
        """The term and its last transaction that is known to be there: no watch need have seen it."""
        return self.number, self._owner.position

    def trusted(self) -> bool:
        """Whether the last step of the position is so young that nobody can have taken over."""
        return self._owner.sure

    def followed(self, newest: Owner) -> bool:
        """Whether a later term has begun; of a database that has lost the beginning of this one, again."""
        return newest.term > self.number or (newest.term == self.number and newest.server != self._server)

    async def sure(self) -> bool:
        """Ask the database whether this is still the newest term; false also where it can't be asked.

        All who come while it is asked share the next question: the one under way may be older than theirs.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._asking))
        return await asyncio.shield(self._next)

    async def _ask_after(self, before: asyncio.Task[bool] | None) -> bool:
        if before is not None:
            await asyncio.wait((before,))
        self._asking, self._next = self._next, None
        with suppress(EngineFailed, LedgerError):
            newest = await asyncio.to_thread(self._newest)
            return newest == self.number or (newest < self.number and self._owner.lost)
        return False

    def _newest(self) -> int:
        import psycopg

        try:
            with self._reach() as session:
                return owner_of(session).term
        except psycopg.Error as error:
            raise EngineFailed(str(error)) from error

    def feed(self, connection: socket.socket) -> Feed:
        """Feed a warm copy of the engine's memory by this connection."""
        return self._owner.feed(connection)

    async def resign(self) -> None:
        """Close the engine, and with it the session that has the lock."""
        await asyncio.to_thread(self.engine.close)

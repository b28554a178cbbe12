"""The configurations of several servers: the owner applies each once, and a takeover applies none.

A server is known by where the others reach it, which is the only name of it that outlives a restart. What it
brings is applied unless it is what was applied last: by itself, since then nothing has changed in its file,
or by any server, since then the ledger is so already. So servers with different files don't undo each
other's queues whenever one of them starts or takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Self

from ..ledger.terms import Configuration
from ..queue.definition import Definition
from ..queue.reconfigured import Changed

if TYPE_CHECKING:
    from ..ledger.terms import Ledgers
    from ..queue import Queues

UNCHANGED = Changed((), (), (), ())


class Brought(NamedTuple):
    """What the server at ``address`` brings: the ``queues`` of its configuration.

    ``names``: what it has in its configuration, also where that says nothing of it. ``anew``: it was asked to
    read it again, so that it is applied in any case.
    """

    address: str
    queues: Mapping[str, Definition]
    names: tuple[str, ...]
    anew: bool = False

    @property
    def digest(self) -> str:
        """Tells these queues from others."""
        written = (f"{name} = {definition}\n" for name, definition in sorted(self.queues.items()))
        return sha256("".join(written).encode("utf-8", "surrogatepass")).hexdigest()


class Configurations:
    """The configurations as the database has them, of an owner in one term. Lives on the event loop.

    It owns those that are known, by the address of the server; one is applied at a time.
    """

    def __init__(self, ledgers: Ledgers, known: Sequence[Configuration]) -> None:
        self._ledgers = ledgers
        self._known = {one.address: one for one in known}
        self._lock = asyncio.Lock()

    @classmethod
    async def of(cls, ledgers: Ledgers) -> Self:
        """Those of the ledger.

        Raises:
            LedgerUnavailable: They can't be read.
        """
        return cls(ledgers, await ledgers.configurations())

    def names(self, *, without: str = "") -> Set[str]:
        """The queues of all configurations, but of that of one server."""
        return {name for one in self._known.values() if one.address != without for name in one.queues}

    def has(self, brought: Brought) -> bool:
        """Whether that is what was applied last, by its server or by any."""
        return self._found(brought) is not None

    def _found(self, brought: Brought) -> Configuration | None:
        newest = max(self._known.values(), key=lambda one: one.number, default=None)
        for one in (self._known.get(brought.address), newest):
            if one is not None and one.digest == brought.digest:
                return one
        return None

    async def apply(self, queues: Queues, brought: Brought, wrong: Sequence[str] = ()) -> Changed:
        """Apply what a server brings, unless it was applied last.

        Raises:
            ConfigError, LedgerError: As ``Queues.reconfigure``.
        """
        async with self._lock:
            if self.has(brought) and not brought.anew:
                changed = UNCHANGED
            else:
                others = self.names(without=brought.address) | set(brought.names)
                changed = await queues.reconfigure(brought.queues, wrong, others=others)
            await self._keep(brought)
            return changed

    async def applied(self, brought: Brought) -> None:
        """Keep what was applied when the term began.

        Raises:
            LedgerUnavailable: It can't be written.
        """
        async with self._lock:
            await self._keep(brought)

    async def _keep(self, brought: Brought) -> None:
        found = None if brought.anew else self._found(brought)
        newest = max((one.number for one in self._known.values()), default=0)
        number = newest + 1 if found is None else found.number
        one = Configuration(brought.address, brought.digest, brought.names, number)
        if self._known.get(brought.address) != one:
            await self._ledgers.keep(one)
            self._known[brought.address] = one

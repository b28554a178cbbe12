"""All the queues of one ledger: which there are, the server's life, statistics. Lives on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from heapq import nsmallest
from pathlib import Path
from typing import Any, Final, Self

from ..errors import LedgerError
from ..ledger import open_ledger
from ..ledger.actions import Action
from ..ledger.engine import Engine
from ..ledger.recovered import Recovered
from ..ledger.serve import Key
from ..ledger.sights import Sights
from ..sources import Registry, SourceSpec
from .answers import HistoryPage, QueueInfo
from .backup import Backups
from .configured import ALONE, Beside, Configuring
from .definition import Definition, Kept
from .definitions import Definitions
from .gate import stopping
from .limits import Limits
from .loading import load
from .queue import Queue
from .reconfigured import Changed, Reconfiguring
from .register import Register
from .restored import Jumped, Restored
from .statistics import Sees, Statistics, everything
from .stats import Stats
from .targets import draining_of

MAX_PAGE: Final = 1000
"""Queues of one page."""

STOP_PATIENCE: Final = 1.5
"""Seconds that the last commits may take when the server goes down."""


class Queues:
    """The queues of one ledger. There is one of these in a process that serves; it lives on its event loop.

    It owns the server's life (whether it is going down); which queues there are is the register's.

    >>> queues = await Queues.open("dibs-data", sources=Registry())            # doctest: +SKIP
    >>> queue = queues.get("default")                                          # doctest: +SKIP
    >>> (await queue.asked(take(1, queue.limits))).first                       # doctest: +SKIP
    1
    """

    def __init__(
        self,
        engine: Engine,
        *,
        sources: Registry,
        limits: Limits,
        root: Path | None = None,
        in_file: Iterable[str] = (),
        notify: bool = False,
    ) -> None:
        self.limits = limits
        self._engine = engine
        self._sources = sources
        self._stopping = False
        named = set(in_file)  # the one set that all queues look at
        self._register = Register(engine, sources, limits, named)
        self._queues, self._tombstones = self._register.queues, self._register.tombstones
        self.get = self._register.get
        self.tokens, self.follow = self._register.tokens, self._register.moves.follow
        self.of_row = self._register.of_row
        self.rounds = self._register.rounds
        self._definitions = Definitions(self._queues, self.rounds, limits, sources, root, named)
        self._reconfiguring = Reconfiguring(self._register, self._definitions, sources, named)
        self.backups = Backups(engine)
        self.restored = Restored(engine, self.rounds)
        self.inbox = draining_of(engine, self._queues, self.rounds, limits, notify=notify)
        self._statistics = Statistics(self._queues, self.rounds, engine, self.restored)
        self.access_tokens, self.commit = engine.access_tokens, self.rounds.commit

    @classmethod
    async def open(
        cls,
        data: Path | str,
        *,
        sources: Registry | None = None,
        limits: Limits | None = None,
        define: Mapping[str, SourceSpec | Definition | None] | None = None,
        root: Path | None = None,
    ) -> Self:
        """Open the ledger in ``data`` (a folder, or ``:memory:``) and begin to open every queue's source.

        ``define`` are the queues of the configuration, which may name the user's own functions. ``root`` is
        the folder inside which file sources may be defined over HTTP.

        Raises:
            ConfigError: a queue of the configuration is wrong, or handed out items of another definition.
                LedgerLocked, LedgerForeign, LedgerTooNew, LedgerUnavailable: the ledger can't be opened.
        """
        engine = await asyncio.to_thread(open_ledger, data)
        return await cls.over(engine, sources=sources, limits=limits, define=define, root=root)

    @classmethod
    async def over(
        cls,
        engine: Engine,
        *,
        sources: Registry | None = None,
        limits: Limits | None = None,
        define: Mapping[str, SourceSpec | Definition | None] | None = None,
        root: Path | None = None,
        beside: Beside = ALONE,
        notify: bool = False,
    ) -> Self:
        """The queues of a ledger that is open; it is closed with them, or if this fails.

        Those ``beside`` the configuration stay as they are in the ledger. ``notify``: its database is to tell
        of each push.

        Raises:
            ConfigError, LedgerUnavailable: as ``open``.
        """
        wanted = {name: Definition.of(definition) for name, definition in (define or {}).items()}
        named, limits = {*wanted, *beside.named}, limits or Limits()
        queues = cls(
            engine, sources=sources or Registry(), limits=limits, root=root, in_file=named, notify=notify
        )
        try:
            await queues._load(wanted, beside)
        except BaseException:
            await queues.close()
            raise
        return queues

    async def _load(self, wanted: Mapping[str, Definition], beside: Beside) -> None:
        rows = self._engine.rows()
        configuring = Configuring(rows, self.rounds, self._sources, wanted, beside=beside)
        self.found = await load(self._register, self._engine, configuring, self._configure)
        self.restored.begin(self.everyone)
        if self.inbox is not None:
            self.inbox.start()

    async def _configure(self, name: str, definition: Definition) -> None:
        await self.define(name, definition.source, trusted=True, settings=definition.settings)

    # -- which there are

    def list(self) -> list[Queue]:
        """All queues, by name."""
        return [self._queues[name] for name in sorted(self._queues)]

    def page(self, after: str, limit: int, sees: Sees = everything) -> tuple[Sequence[Queue], str | None]:
        """Up to ``limit`` queues whose names come after ``after``; and after which the next page begins."""
        names = nsmallest(limit + 1, (name for name in self._queues if name > after and sees(name)))
        shown = names[:limit]
        return [self._queues[name] for name in shown], shown[-1] if len(names) > limit else None

    async def infos(
        self, after: str, limit: int, sees: Sees = everything
    ) -> tuple[Sequence[QueueInfo], str | None]:
        """A page of queues as they are on disk, read off the loop, and where the next one begins.

        Raises:
            LedgerUnavailable: the ledger can't be read.
        """
        queues, following = self.page(after, limit, sees)
        looks = await asyncio.to_thread(lambda: [queue.browser.look() for queue in queues])
        return [
            queue.browser.shown(*look)
            for queue, look in zip(queues, looks, strict=True)
            if look.row.deleted_at is None
        ], following

    async def define(
        self,
        name: str,
        spec: SourceSpec | Kept | None,
        *,
        trusted: bool = False,
        reset: bool = False,
        confirmed: bool = True,
        settings: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> QueueInfo:
        """Create a queue, change it, or leave it if it is as defined; see `Definitions.define`."""
        if self._stopping:
            raise stopping()
        return await self._definitions.define(
            name,
            Definition(spec, settings or {}),
            trusted=trusted,
            reset=reset,
            confirmed=confirmed,
            key=key,
        )

    async def reconfigure(
        self,
        wanted: Mapping[str, Definition],
        wrong: Sequence[str] = (),
        *,
        others: Set[str] = frozenset(),
    ) -> Changed:
        """Take over the queues of a changed configuration; see `Reconfiguring.run`."""
        if self._stopping:
            raise stopping()
        return await self._reconfiguring.run(wanted, wrong, others=others)

    async def delete(self, name: str, *, confirmed: bool = True, key: Key | None = None) -> QueueInfo:
        """Delete a queue; its name, cursor and generation stay, so that nothing is handed out again.

        Raises:
            QueueUnknown: there is none.
            QueueConflict: it is not ``confirmed``, and something is inside.
        """
        if key is not None and name not in self._queues and name in self._tombstones:
            return await self._definitions.deleted(self._tombstones[name], key)
        return await self.get(name).operations.delete(confirmed=confirmed, key=key)

    async def history(
        self, name: str, *, seq: int | None, after: int, limit: int, before: int | None = None
    ) -> HistoryPage:
        """Who took or acked items of a queue, or of one that had this name.

        From oldest to newest; with ``before`` from newest to oldest, those with an id below it.

        Raises:
            QueueUnknown: there is no queue of this name, and never was.
        """
        if name not in self._tombstones:
            self.get(name)
        found = await asyncio.to_thread(self._engine.history, name, seq, after, limit + 1, before)
        rows = tuple(found[:limit])
        return HistoryPage(name, rows, rows[-1].id if len(found) > limit else None)

    async def stats(self, after: str = "", limit: int = MAX_PAGE, sees: Sees = everything) -> Stats:
        """The server since it started, of the queues that are seen, and a page of them."""
        page, following = self.page(after, limit, sees)
        return await self._statistics.all(page, following, sees)

    # -- the server's life

    @property
    def ready(self) -> bool:
        """Whether hand-outs can be answered: the ledger can be written, and the server may go on."""
        return not self._stopping and self.down is None and not self.restored.held

    @property
    def everyone(self) -> Collection[Queue]:
        """All queues, in no order."""
        return self._queues.values()

    def find(self, name: str) -> Queue | None:
        """The queue of this name, if there is one."""
        return self._queues.get(name)

    @property
    def sights(self) -> Sights:
        """What can be seen of the ledger beside its transactions."""
        return self._engine.sights

    def actions(self) -> Sequence[Action]:
        """The last actions that were noted, oldest first."""
        return self._engine.actions()

    async def note(self, action: Action) -> None:
        """Note an action.

        Raises:
            LedgerFull, LedgerUnavailable, OutcomeUnknown: the disk is at fault.
        """
        await self.rounds.commit(action)

    @property
    def folder(self) -> Path | None:
        """The ledger's folder; None in memory."""
        return self._engine.folder

    @property
    def size(self) -> int:
        """Bytes that the ledger occupies."""
        return self._engine.size()

    def now(self) -> int:
        """Ledger time, in milliseconds."""
        return self._engine.now()

    @property
    def stopping(self) -> bool:
        """Whether the server is going down."""
        return self._stopping

    @property
    def down(self) -> LedgerError | None:
        """Why the ledger can't be written now; None while it can. This looks at the ledger's files."""
        return self.rounds.writer.down

    def stop(self) -> None:
        """Begin to go down: waiting requests are told at once, none begins anew, the line is committed."""
        self._stopping = True
        self._register.sweeper.stop()
        for queue in self._queues.values():
            queue.line.stop()

    async def close(self) -> None:
        """Go down: every acknowledged op is on disk, the ledger is closed, the sources are let go."""
        self.stop()
        for queue in self._queues.values():
            queue.line.supply.stop()
        if self.inbox is not None:
            await self.inbox.stop(STOP_PATIENCE)
        await asyncio.to_thread(self.rounds.writer.close, STOP_PATIENCE)
        self.rounds.close()

    async def recover(self, *, accept_loss: bool, who: str) -> Recovered:
        """Go on after the database has lost transactions; see ``Engine.recover``."""
        return await asyncio.wrap_future(self.rounds.writer.recover(accept_loss=accept_loss, who=who))

    async def accept(self, advance: int, named: Mapping[str, int]) -> Sequence[Jumped]:
        """Let a restored backup hand out again; see `Restored.accept`."""
        return await self.restored.accept(self._queues, advance, named)

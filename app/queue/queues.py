"""All the queues of one ledger: which there are, the server's life, statistics. Lives on one event loop."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any, Final, Self

from ..errors import (
    ConfigError,
    Forbidden,
    LedgerError,
    LimitExceeded,
    QueueConflict,
    QueueUnknown,
    SourceError,
)
from ..ledger import MEMORY, open_ledger
from ..ledger.engine import Engine
from ..ledger.ops import QueueRow
from ..ledger.serve import Key
from ..sources import Registry, SourceSpec
from .answers import HistoryPage, QueueInfo, Stats
from .configured import Configuring
from .definition import Definition, Kept
from .definitions import Definitions
from .feeder import Feeder
from .gate import stopping
from .info import same_definition, spec_of
from .limits import Limits, check_name
from .line import Line
from .queue import Queue
from .rounds import Rounds
from .statistics import Statistics
from .supply import Supply, Undrawn
from .sweeper import Sweeper
from .tokens import Tokens
from .values import Computing

log = logging.getLogger("dibs.queue")

BACKUP_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,124}\.db")

START_PATIENCE: Final = 0.5
"""Seconds that a start waits for its sources; most are open in a thousandth of that."""

MAX_PAGE: Final = 1000
"""Queues of one page."""

STOP_PATIENCE: Final = 1.5
"""Seconds that the last commits may take when the server goes down."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A consistent copy of the ledger. ``bytes`` is its size."""

    path: str
    bytes: int


class Queues:
    """The queues of one ledger. There is one of these in a process that serves.

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
    ) -> None:
        self.limits = limits
        self.tokens = Tokens(engine.now)
        self._engine = engine
        self._sources = sources
        self._in_file = frozenset(in_file)
        self._queues: dict[str, Queue] = {}
        self._by_id: dict[int, Line] = {}
        self._tombstones: dict[str, QueueRow] = {}
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self.rounds = Rounds(
            self._loop,
            engine,
            by_id=self._by_id,
            changed=self._changed,
            patience=limits.commit_patience,
        )
        self._sweeper = Sweeper(self.rounds)
        self._definitions = Definitions(self._queues, self.rounds, limits, sources, root, self._in_file)
        self._statistics = Statistics(self._queues, self.rounds, engine)

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
        wanted = {name: Definition.of(definition) for name, definition in (define or {}).items()}
        queues = cls(
            engine, sources=sources or Registry(), limits=limits or Limits(), root=root, in_file=wanted
        )
        try:
            await queues._load(wanted)
        except BaseException:
            await queues.close()
            raise
        return queues

    async def _load(self, wanted: Mapping[str, Definition]) -> None:
        configuring = Configuring(self._engine, self.rounds, self._sources, wanted)
        await configuring.run()
        for row in configuring.rows.values():
            self._changed(row)
        for left in self._engine.unswept():
            self._sweeper.add(left)
        await asyncio.gather(*(self._configure(*wanted) for wanted in configuring.sound.items()))
        starting = [queue for queue in self._queues.values() if queue.line.supply.starting]
        await asyncio.gather(*(queue.line.started(START_PATIENCE) for queue in starting))

    async def _configure(self, name: str, definition: Definition) -> None:
        try:
            await self.define(name, definition.source, trusted=True, settings=definition.settings)
        except (SourceError, QueueConflict, LimitExceeded) as error:
            raise ConfigError(f"queue {name} = {definition}: {error}") from error

    def _changed(self, row: QueueRow) -> None:
        """Follow a queue's row, which decides what queue there is; on the event loop, in commit order."""
        queue = self._queues.get(row.name)
        if queue is not None and queue.line.row.id > row.id:
            return  # a row that was replaced since
        if row.deleted_at is not None:
            self._tombstones[row.name] = row
            self._queues.pop(row.name, None)
            self._by_id.pop(row.id, None)
            self._sweeper.add(row.id)
        elif queue is not None and same_definition(queue.line.row, row):
            queue.line.row = row
            return
        else:
            before = self._tombstones.pop(row.name, None)
            if before is not None:
                self._sweeper.add(before.id)  # with what is left of it its row goes
            self._queues[row.name] = made = self._made(row)
            self._by_id[row.id] = made.line
        if queue is not None:
            if queue.line.row.id != row.id:
                self._by_id.pop(queue.line.row.id, None)
                self._sweeper.add(queue.line.row.id)
            queue.line.retire()

    def _made(self, row: QueueRow) -> Queue:
        spec = spec_of(row)
        computing = Computing(spec, self._sources)
        line = Line(
            row,
            spec=spec,
            supply=partial(self._supply, row, spec, computing),
            computing=computing,
            rounds=self.rounds,
            limits=self.limits,
            now=self._engine.now,
            tokens=self.tokens,
            find=self._line_of,
        )
        line.supply.open(row)
        return Queue(line, self._engine, self.rounds, in_file=row.name in self._in_file)

    def _line_of(self, name: str) -> Line | None:
        queue = self._queues.get(name)
        return None if queue is None else queue.line

    def _supply(
        self, row: QueueRow, spec: SourceSpec | None, computing: Computing, news: Callable[[], None]
    ) -> Supply:
        if spec is None or computing.seekable is not None:
            return Undrawn(spec, self._sources, computing)
        return Feeder(
            spec,
            self._sources,
            self._engine,
            threads=self.limits.threads,
            call=self._call,
            later=self._loop.call_later,
            news=news,
            name=row.name,
        )

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function on the event loop, from any thread."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return  # the loop is closed: nobody is there to be told

    # -- which there are

    def get(self, name: str, *, keyed: bool = False) -> Queue:
        """The queue of this name. For a request that is ``keyed``, a deleted one too: it may have its answer.

        Raises:
            QueueUnknown: there is none.
        """
        queue = self._queues.get(name)
        if queue is not None:
            return queue
        if keyed and name in self._tombstones:
            return self._made(self._tombstones[name])
        check_name(name)
        raise QueueUnknown(f"there is no queue {name}", field="queue")

    def list(self) -> list[Queue]:
        """All queues, by name."""
        return [self._queues[name] for name in sorted(self._queues)]

    def page(self, after: str, limit: int) -> tuple[Sequence[Queue], str | None]:
        """Up to ``limit`` queues whose names come after ``after``; and after which the next page begins."""
        names = nsmallest(limit + 1, (name for name in self._queues if name > after))
        shown = names[:limit]
        return [self._queues[name] for name in shown], shown[-1] if len(names) > limit else None

    async def infos(self, after: str, limit: int) -> tuple[Sequence[QueueInfo], str | None]:
        """A page of queues as they are on disk, read off the loop, and where the next one begins.

        Raises:
            LedgerUnavailable: the ledger can't be read.
        """
        queues, following = self.page(after, limit)
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

    async def delete(self, name: str, *, confirmed: bool = True, key: Key | None = None) -> QueueInfo:
        """Delete a queue; its name, cursor and generation stay, so that nothing is handed out again.

        Raises:
            QueueUnknown: there is none.
            QueueConflict: it is not ``confirmed``, and something is inside.
        """
        if key is not None and name not in self._queues and name in self._tombstones:
            return await self._definitions.deleted(self._tombstones[name], key)
        return await self.get(name).operations.delete(confirmed=confirmed, key=key)

    async def history(self, name: str, *, seq: int | None, after: int, limit: int) -> HistoryPage:
        """Who took or acked items of a queue, or of one that had this name: from oldest to newest.

        Raises:
            QueueUnknown: there is no queue of this name, and never was.
        """
        if name not in self._tombstones:
            self.get(name)
        found = await asyncio.to_thread(self._engine.history, name, seq, after, limit + 1)
        rows = tuple(found[:limit])
        return HistoryPage(name, rows, rows[-1].id if len(found) > limit else None)

    async def stats(self, after: str = "", limit: int = MAX_PAGE) -> Stats:
        """The whole server since it started, and a page of its queues, which are read off the loop."""
        page, following = self.page(after, limit)
        return await self._statistics.all(page, following)

    # -- the server's life

    @property
    def ready(self) -> bool:
        """Whether hand-outs can be answered: the ledger can be written and the server isn't going down."""
        return not self._stopping and self.down is None

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
        self._sweeper.stop()
        for queue in self._queues.values():
            queue.line.stop()

    async def close(self) -> None:
        """Go down: every acknowledged op is on disk, the ledger is closed, the sources are let go."""
        self.stop()
        for queue in self._queues.values():
            queue.line.supply.stop()
        await asyncio.to_thread(self.rounds.writer.close, STOP_PATIENCE)
        self.rounds.close()

    async def backup(self, name: str | None = None) -> Backup:
        """Write a consistent copy of the ledger into ``DATA/backups``, while the server works.

        Raises:
            LimitExceeded: ``name`` is not a plain file name.
            QueueConflict: there is a backup of this name.
            Forbidden: the ledger is in memory.
        """
        if self._engine.folder is None:
            raise Forbidden(f"the ledger is in memory ({MEMORY}): there is nothing to back up")
        name = name or datetime.now(UTC).strftime("dibs-%Y%m%dT%H%M%S.%fZ.db")
        if not BACKUP_NAME.fullmatch(name):
            raise LimitExceeded(
                "a backup's name is up to 128 letters, digits, . _ - and ends in .db",
                field="name",
                limit="*.db",
            )
        folder = self._engine.folder / "backups"
        path = folder / name
        if path.exists():
            raise QueueConflict(f"there is a backup {name} already", reason="backup-exists", field="name")
        return Backup(str(path.absolute()), await asyncio.to_thread(self._engine.backup, str(path)))

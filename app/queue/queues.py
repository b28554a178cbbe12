"""All the queues of one ledger: opening, defining, deleting, statistics. Lives on one event loop."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

from ..errors import (
    ConfigError,
    Forbidden,
    LedgerError,
    LimitExceeded,
    QueueConflict,
    QueueUnknown,
    SourceError,
    Stopping,
)
from ..ledger import MEMORY, open_ledger
from ..ledger.committer import Committer
from ..ledger.entry import Entry
from ..ledger.ops import Configured, Define, Engine, Outcome, QueueRow, Remember
from ..ledger.pending import Pending
from ..ledger.work import DEFAULT_SETTINGS, Woken
from ..sources import Registry, SourceSpec
from .answers import HistoryPage, LedgerStats, QueueInfo, QueueStats, Stats
from .configured import Configuring
from .definition import Definition, Kept, changed_settings
from .desk import outcome, recall
from .info import in_force, info_of, same_definition, written
from .keys import KeysInFlight, check_same
from .limits import Limits, check_name
from .meters import Meter, percentiles
from .queue import Look, Queue
from .rounds import Rounds
from .sweeper import Sweeper

log = logging.getLogger("dibs.queue")

BACKUP_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,124}\.db")

START_PATIENCE = 0.5
"""Seconds that a start or a definition waits for its source; most are open in a thousandth of that."""

RELEASE_PATIENCE = 0.5
"""Seconds that the sources' own clean-up may take when the server goes down."""

MAX_PAGE = 1000
"""Queues of one page."""

QUEUES_A_STEP = 500
"""Queues whose meters are added up before others have their turn: 1 to 2 ms."""

STATS_A_STEP = 25
"""Queues whose statistics are worked out before others have their turn."""

STOP_PATIENCE = 1.5
"""Seconds that the last commits may take when the server goes down."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A consistent copy of the ledger. ``bytes`` is its size."""

    path: str
    bytes: int


class Queues:
    """The queues of one ledger. There is one of these in a process that serves.

    >>> queues = await Queues.open("dibs-data", sources=Registry())      # doctest: +SKIP
    >>> (await queues.get("default").take(1)).first                      # doctest: +SKIP
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
        self._engine = engine
        self._sources = sources
        self._limits = limits
        self._root = root
        self._in_file = frozenset(in_file)
        self._queues: dict[str, Queue] = {}
        self._by_id: dict[int, Queue] = {}
        self._tombstones: dict[str, QueueRow] = {}
        self._defining = KeysInFlight()
        # One definition of a name at a time; those of many names, as at a start, share their commits.
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._commits: deque[float] = deque(maxlen=1024)
        self._batches: deque[int] = deque(maxlen=1024)
        self._commit_count = 0
        self._commit_time = 0.0
        self._op_count = 0
        self._began = time.monotonic()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._rounds = Rounds(self._loop, limits.commit_patience)
        self._committer = Committer(
            engine, observe=self._observe, refresh=self._refresh, refreshed=self._refreshed
        )
        self._sweeper = Sweeper(self._committer)

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
        configuring = Configuring(self._engine, self._committer, self._sources, self._limits, wanted)
        await configuring.run()
        for row in configuring.rows.values():
            self._changed(row)
        for left in self._engine.unswept():
            self._sweeper.add(left)
        await asyncio.gather(*(self._configure(*wanted) for wanted in configuring.sound.items()))
        starting = [queue for queue in self._queues.values() if queue.starting]
        await asyncio.gather(*(queue.started(START_PATIENCE) for queue in starting))

    async def _configure(self, name: str, definition: Definition) -> None:
        try:
            await self.define(name, definition.source, trusted=True, settings=definition.settings)
        except (SourceError, QueueConflict, LimitExceeded) as error:
            raise ConfigError(f"queue {name} = {definition}: {error}") from error

    def _changed(self, row: QueueRow) -> None:
        """Follow a queue's row, which decides what queue there is; on the event loop, in commit order."""
        queue = self._queues.get(row.name)
        if row.deleted_at is not None:
            self._tombstones[row.name] = row
            self._queues.pop(row.name, None)
            self._by_id.pop(row.id, None)
            if queue is not None and (row.purged or not row.source):  # else nothing can be left of it
                self._sweeper.add(row.id)
        elif queue is not None and same_definition(queue.row, row):
            queue.learn(row)
            return
        else:
            self._tombstones.pop(row.name, None)
            self._queues[row.name] = self._by_id[row.id] = Queue(
                row,
                self._engine,
                self._committer,
                self._sources,
                self._limits,
                rounds=self._rounds,
                changed=self._changed,
                route=self._route,
                in_file=row.name in self._in_file,
            )
            # Only now, when it is told what comes: nothing can come between the look and that, and what
            # goes wrong while the source is opened finds the queue.
            self._by_id[row.id].begin()
        if queue is not None:
            queue.retire()

    def _route(self, woken: Woken) -> None:
        """Tell a queue that it got items; on the committer's thread."""
        queue = self._by_id.get(woken.queue)
        if queue is not None:
            queue.claims.lower(woken.due, woken.items)

    # -- which there are

    def get(self, name: str) -> Queue:
        """The queue of this name.

        Raises:
            QueueUnknown: there is none.
        """
        queue = self._queues.get(name)
        if queue is None:
            check_name(name)
            raise QueueUnknown(f"there is no queue {name}", field="queue")
        return queue

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
        self._committer.check_read()
        looks = await asyncio.to_thread(_look_at, queues)
        return [
            queue.shown(look)
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
        key: str | None = None,
    ) -> QueueInfo:
        """Create a queue, change it, or leave it if it is as defined. A deleted one goes on after its cursor.

        Without a source producers push to it; one that is ``KEPT`` stays as it is. ``settings`` (as
        ``queue_settings`` gives them) may be given at any time; those that are not named stay as they are.
        ``reset`` begins a new generation at 1 instead, and drops what is inside. ``trusted`` definitions may
        name the user's own functions and any file; those that come over HTTP may not, but for the source that
        the queue has.

        Raises:
            QueueConflict: the queue has handed out items of another definition; or the ``reset`` of a queue
                with items inside is not ``confirmed``.
            SourceUnknown, SourceInvalid, Forbidden, LimitExceeded: the definition is wrong.
        """
        check_name(name)
        if self._stopping:
            raise Stopping("the server is going down", retry_after=1.0)
        queue = self._queues.get(name)
        if isinstance(spec, SourceSpec) and (trusted or queue is None or queue.spec != spec):
            check = partial(self._sources.check, spec, trusted=trusted, root=self._root)
            spec = check() if self._sources.is_prompt(spec) else await asyncio.to_thread(check)
        wanted = Definition(spec, settings or {})
        define = partial(self._define, name, wanted, reset=reset, confirmed=confirmed, trusted=trusted)
        if key is None:
            return await define(remember=None)
        self._limits.check_key(key)
        request = _request(wanted, reset)
        async with self._defining.hold(f"{name} {key}", request, self._limits.commit_patience):
            older = (_request(text, reset) for text in wanted.texts_in_0_3())
            replay = self._recall(name, key, request, older)
            if replay is not None:
                return replay
            remember = Remember(key, request, self._key_ttl(name, wanted))
            return await define(remember=remember)

    def _key_ttl(self, name: str, wanted: Definition) -> int:
        """Milliseconds that the answer to a definition is kept: by the settings of the queue after it."""
        queue = self._queues.get(name)
        settings = changed_settings(
            queue.row.settings if queue else DEFAULT_SETTINGS, wanted.settings, trusted=True
        )
        return in_force(settings, self._limits).key_ttl or 0

    def _recall(self, name: str, key: str, request: str, older: Iterable[str] = ()) -> QueueInfo | None:
        """The answer that is filed under a key; ``older``: the request as releases before this filed it."""
        row = self._queues[name].row if name in self._queues else self._tombstones.get(name)
        found = recall(self._engine, row, key) if row else None
        if found is None:
            return None
        if found.request not in older:
            check_same(found.request, request)
        return info_of(QueueRow.of(found.outcome), self._limits, replayed=True, in_file=name in self._in_file)

    async def _define(
        self,
        name: str,
        wanted: Definition,
        *,
        reset: bool,
        confirmed: bool,
        trusted: bool,
        remember: Remember | None,
    ) -> QueueInfo:
        async with self._names.setdefault(name, asyncio.Lock()):
            queue = self._queues.get(name)
            before, old = (queue.row.settings, queue.spec) if queue else (DEFAULT_SETTINGS, None)
            settings = changed_settings(before, wanted.settings, trusted=trusted)
            spec = old if isinstance(wanted.source, Kept) else wanted.source
            configured: Configured = "file" if name in self._in_file else "http"
            same = queue is not None and old == spec and not reset
            if queue is not None and not reset:
                if same and (settings, configured) == (before, queue.row.configured):
                    return await queue.read()
                if not same and queue.on_disk().cursor:
                    raise _changed(name, old, spec)
            if queue is not None and reset and not confirmed and (row := queue.on_disk()).inside:
                raise await queue.not_empty(row, "PUT")
            generation = queue.row.generation if queue and reset else 0
            op = Define(name, *written(spec), reset, remember, settings, configured, confirmed)
            begin = self._submit(op) if queue is None else queue.submit(op, same_source=same)
            row = await outcome(begin, self._limits)
        if queue is not None and row.generation == generation:  # items came before the reset
            raise await queue.not_empty(row, "PUT")
        if same and queue is not None:
            return await queue.seen(row)
        queue = self._queues.get(name)
        if queue is None or queue.row.generation != row.generation:  # and already deleted again, or reset
            return info_of(row, self._limits, created=True, in_file=name in self._in_file)
        await queue.started(START_PATIENCE)
        return await queue.seen(row, created=True)

    def _submit(self, op: Define) -> Pending[QueueRow]:
        """Put the definition of a name that is not in use into the line."""
        pending: Pending[QueueRow] = Pending()
        self._committer.submit(Entry(op, pending, settled=self._tell))
        return pending

    def _tell(self, row: Outcome) -> None:
        """Tell of a definition that is on disk; on the committer's thread, before the caller wakes."""
        assert isinstance(row, QueueRow)  # noqa: S101  # every op on queues answers with a row
        self._loop.call_soon_threadsafe(self._changed, row)

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

    async def delete(self, name: str, *, confirmed: bool = True, key: str | None = None) -> QueueInfo:
        """Delete a queue; its name, cursor and generation stay, so that nothing is handed out again.

        Raises:
            QueueUnknown: there is none.
            QueueConflict: it is not ``confirmed``, and something is inside.
        """
        queue = self._queues.get(name)
        if queue is None and key is not None:
            replay = self._recall(name, key, "delete")
            if replay is not None:
                return replay
        return await self.get(name).delete(confirmed=confirmed, key=key)

    # -- the server's life

    @property
    def ready(self) -> bool:
        """Whether hand-outs can be answered: the ledger can be written and the server isn't going down."""
        return not self._stopping and self.down is None

    @property
    def down(self) -> LedgerError | None:
        """Why the ledger can't be written now; None while it can. This looks at the ledger's files."""
        return self._committer.down

    def stop(self) -> None:
        """Begin to go down: waiting requests are told at once, none begins anew, the line is committed."""
        self._stopping = True
        self._sweeper.stop()
        for queue in self._queues.values():
            queue.stop()

    async def close(self) -> None:
        """Go down: every acknowledged op is on disk, the ledger is closed, the sources are let go."""
        self.stop()
        queues = self._queues.values()
        await asyncio.gather(*(queue.release(RELEASE_PATIENCE) for queue in queues), return_exceptions=True)
        await asyncio.to_thread(self._committer.close, STOP_PATIENCE)

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

    # -- on the committer's thread

    def _observe(self, batch: int, seconds: float) -> None:
        self._commit_count += 1
        self._commit_time += seconds
        self._op_count += batch
        self._commits.append(seconds)
        self._batches.append(batch)

    def _refresh(self, rows: Iterable[QueueRow]) -> None:
        by_id = {row.id: row for row in rows}
        for queue in list(self._queues.values()):
            if queue.row.id in by_id:
                queue.refresh(by_id[queue.row.id])

    def _refreshed(self, rows: Iterable[QueueRow]) -> None:
        for row in rows:
            self._loop.call_soon_threadsafe(self._changed, row)

    # -- looking

    async def stats(self, after: str = "", limit: int = MAX_PAGE) -> Stats:
        """The whole server since it started, and a page of its queues, which are read off the loop."""
        queues, following = self.page(after, limit)
        looks = await asyncio.to_thread(_look_at, queues)
        total, rate = await self._total()
        return Stats(
            uptime=time.monotonic() - self._began,
            processor_time=time.process_time(),
            requests=total.requests,
            handed_out=total.handed_out,
            replays=total.replays,
            refused=total.refused,
            pushed=total.pushed,
            settled=total.settled,
            nacked=total.nacked,
            rate=round(rate, 1),
            in_flight=total.in_flight,
            waiting=sum(queue.parked for queue in self._queues.values()),
            ledger=self._ledger_stats(),
            queue_count=len(self._queues),
            queues=await _stats_of(queues, looks),
            next=following,
        )

    async def _total(self) -> tuple[Meter, float]:
        """The meters of all queues and their rate, some at a time, for there may be ten thousand."""
        total, rate = Meter(), 0.0
        for number, queue in enumerate(list(self._queues.values())):
            total.add(queue.meter)
            rate += queue.meter.rate.per_second()
            if number % QUEUES_A_STEP == QUEUES_A_STEP - 1:
                await asyncio.sleep(0)
        return total, rate

    def _ledger_stats(self) -> LedgerStats:
        commits = self._commit_count
        return LedgerStats(
            engine=self._engine.kind,
            path=self._engine.path,
            commits=commits,
            syncs=commits if self._engine.durable else 0,
            ops=self._op_count,
            ops_per_commit=self._op_count / commits if commits else 0.0,
            commit_time=self._commit_time,
            commit=percentiles(list(self._commits)),
            batch=percentiles(list(self._batches)),
            reopened=self._committer.reopened,
            bytes=self._engine.size(),
        )


async def _stats_of(queues: Sequence[Queue], looks: Sequence[Look]) -> Sequence[QueueStats]:
    """Some at a time: the percentiles of a busy queue take a third of a millisecond."""
    found: list[QueueStats] = []
    for queue, look in zip(queues, looks, strict=True):
        found.append(queue.stats(look))
        if len(found) % STATS_A_STEP == 0:
            await asyncio.sleep(0)
    return found


def _look_at(queues: Sequence[Queue]) -> list[Look]:
    return [queue.look() for queue in queues]


def _request(wanted: Definition | str, reset: bool) -> str:
    """The text of a definition under its key."""
    return f"define {wanted} reset={reset}"


def _changed(name: str, old: SourceSpec | None, new: SourceSpec | None) -> QueueConflict:
    before, after = (spec.text if spec else "producers" for spec in (old, new))
    return QueueConflict(
        f"{name} has handed out items of {before}; they can't become items of {after}."
        " Give the new source a queue of its own, or begin again at 1 with reset",
        reason="source-changed",
        field="source",
    )

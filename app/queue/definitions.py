"""Defining queues: creating, changing, resetting them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Set
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from ..errors import KeyReused, QueueConflict, QueueUnknown
from ..ledger.ops import Configured, Conflict, Define, Delete, QueueRow
from ..ledger.serve import Key
from ..ledger.work import DEFAULT_SETTINGS
from ..sources import Registry, SourceSpec
from ..sources.masking import shown
from .answers import QueueInfo
from .definition import Definition, Kept, changed_settings
from .info import in_force, info_of, written
from .limits import Limits, check_name
from .once import Done, once

if TYPE_CHECKING:
    from .queue import Queue
    from .rounds import Rounds

START_PATIENCE: Final = 0.5
"""Seconds that a definition waits for its source; most are open in a thousandth of that."""


class Definitions:
    """Defines the queues of one ledger: one definition of a name at a time; many names share commits.

    It owns a lock for each name that is being defined, on the event loop.
    """

    def __init__(  # noqa: PLR0917  # what all definitions need
        self,
        queues: Mapping[str, Queue],
        rounds: Rounds,
        limits: Limits,
        sources: Registry,
        root: Path | None,
        in_file: Set[str],
    ) -> None:
        self._queues = queues
        self._rounds = rounds
        self._limits = limits
        self._sources = sources
        self._root = root
        self._in_file = in_file
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def define(
        self,
        name: str,
        wanted: Definition,
        *,
        trusted: bool,
        reset: bool,
        confirmed: bool,
        key: Key | None,
    ) -> QueueInfo:
        """Create a queue, change it, or leave it if it is as defined. A deleted one goes on after its cursor.

        Without a source producers push to it; one that is ``KEPT`` stays as it is. Settings (as
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
        wanted = await self._checked(name, wanted, trusted=trusted)
        if key is not None:
            self._limits.check_key(key.text)
        async with self._names.setdefault(name, asyncio.Lock()):
            queue = self._queues.get(name)
            before = queue.line.row.settings if queue else DEFAULT_SETTINGS
            settings = changed_settings(before, wanted.settings, trusted=trusted)
            old = queue.line.spec if queue else None
            spec = old if isinstance(wanted.source, Kept) else wanted.source
            configured: Configured = "file" if name in self._in_file else "http"
            same = queue is not None and old == spec and not reset
            unchanged = (
                same and queue is not None and (settings, configured) == (before, queue.line.row.configured)
            )
            if unchanged and key is None and queue is not None:
                return await queue.browser.read()
            op = Define(name, *written(spec), reset, settings, configured, confirmed)
            ttl = in_force(settings, self._limits).key_ttl or 0
            done = await self._once(op, key, wanted, reset, ttl)
        return await self._answer(name, done, old, spec, changed=not same)

    @asynccontextmanager
    async def alone(self, names: Iterable[str]) -> AsyncIterator[None]:
        """Keep others from defining queues of these names in the meantime."""
        async with AsyncExitStack() as locks:
            for name in sorted(names):
                await locks.enter_async_context(self._names.setdefault(name, asyncio.Lock()))
            yield

    async def _checked(self, name: str, wanted: Definition, *, trusted: bool) -> Definition:
        spec, queue = wanted.source, self._queues.get(name)
        if not isinstance(spec, SourceSpec) or (
            not trusted and queue is not None and queue.line.spec == spec
        ):
            return wanted
        check = partial(self._sources.check, spec, trusted=trusted, root=self._root)
        checked = check() if self._sources.is_prompt(spec) else await asyncio.to_thread(check)
        return Definition(checked, wanted.settings)

    async def _once(self, op: Define, key: Key | None, wanted: Definition, reset: bool, ttl: int) -> Done:
        """Define once for a key; what release 0.3 has answered is known by its text of that time."""
        limits = self._limits
        try:
            return await once(self._rounds, op, key, _request(wanted, reset), limits)
        except KeyReused:
            for text in wanted.texts_in_0_3():
                try:
                    done = await once(self._rounds, op, key, _request(text, reset), limits)
                except KeyReused:
                    continue
                return done
            raise

    async def _answer(
        self, name: str, done: Done, old: SourceSpec | None, spec: SourceSpec | None, *, changed: bool
    ) -> QueueInfo:
        row = done.outcome
        queue = self._queues.get(name)
        if isinstance(row, Conflict):
            if row.row is None or queue is None:
                raise QueueUnknown(f"there is no queue {name}", field="queue")
            if row.why == "not-empty":
                raise await queue.browser.not_empty(row.row, "PUT")
            raise _source_changed(name, old, spec)
        in_file = name in self._in_file
        if done.replayed:
            return info_of(row, self._limits, replayed=True, in_file=in_file)
        if queue is None or queue.line.row.id != row.id:  # and already deleted again, or reset
            return info_of(row, self._limits, created=True, in_file=in_file)
        if not changed:
            return await queue.browser.seen(row)
        if queue.line.feeder is not None:
            await queue.line.feeder.started(START_PATIENCE)
        return await queue.browser.seen(row, created=True)

    async def deleted(self, row: QueueRow, key: Key) -> QueueInfo:
        """The answer to the deletion that was filed under a key, of a queue that is gone.

        Raises:
            QueueUnknown: nothing is filed: there is no queue to delete.
        """
        limits = self._limits
        done = await once(self._rounds, Delete(row.id), key, "delete", limits)
        if not done.replayed or not isinstance(done.outcome, QueueRow):
            raise QueueUnknown(f"there is no queue {row.name}", field="queue")
        return info_of(done.outcome, limits, replayed=True, in_file=row.name in self._in_file)


def _request(wanted: Definition | str, reset: bool) -> str:
    """The text of a definition under its key."""
    return f"define {wanted} reset={reset}"


def _source_changed(name: str, old: SourceSpec | None, new: SourceSpec | None) -> QueueConflict:
    before, after = (shown(spec) if spec else "producers" for spec in (old, new))
    return QueueConflict(
        f"{name} has handed out items of {before}; they can't become items of {after}."
        " Give the new source a queue of its own, or begin again at 1 with reset",
        reason="source-changed",
        field="source",
    )

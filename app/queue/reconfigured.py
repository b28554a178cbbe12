"""Takes over the queues of a configuration that was changed while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from ..errors import ConfigError
from ..ledger.ops import Conflict, Define, Retry
from ..ledger.work import DEFAULT_SETTINGS
from ..sources import Registry
from ..sources.functions import changed_file
from .configured import Beside, Configuring
from .definition import Definition, Kept, changed_settings
from .definitions import Definitions
from .info import spec_of, written
from .register import Register

log = logging.getLogger("dibs.queue")


class Changed(NamedTuple):
    """What a changed configuration did to queues, by their names; those that are ``gone`` go on.

    The code of those that are ``unread`` was changed in its file, which is not loaded again.
    """

    created: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    unread: tuple[str, ...]


class Reconfiguring:
    """Takes over configurations: first the queues that get another source, then all others in one commit.

    It alone changes ``in_file``, the names of the queues that the configuration has.
    """

    def __init__(
        self, register: Register, definitions: Definitions, sources: Registry, in_file: set[str]
    ) -> None:
        self._register = register
        self._definitions = definitions
        self._sources = sources
        self._in_file = in_file

    async def run(
        self,
        wanted: Mapping[str, Definition],
        wrong: Sequence[str] = (),
        *,
        others: Set[str],
    ) -> Changed:
        """Make the queues that are new, change those that are otherwise, keep those that are gone.

        ``others`` are the queues that the configurations of other servers have.

        Raises:
            ConfigError: A queue can't be as the configuration has it, or something else of that is ``wrong``:
                all of it is told; no queue was changed.
            LedgerFull, LedgerUnavailable, OutcomeUnknown: The disk is at fault.
        """
        queues, tombstones = self._register.queues, self._register.tombstones
        looks = await asyncio.to_thread(lambda: [queue.browser.look().row for queue in [*queues.values()]])
        configuring = Configuring(
            [*tombstones.values(), *looks],
            self._register.rounds,
            self._sources,
            wanted,
            beside=Beside(others),
        )
        await configuring.check(wrong)
        async with self._definitions.alone(wanted):
            ops: dict[str, list[Define | Retry]] = {name: self._ops(name, configuring) for name in wanted}
            ops |= {name: [*configuring.lifts(name)] for name in configuring.gone()}
            there = frozenset(queues)
            anew = [name for name in ops if self._is_another(name, configuring)]
            await self._commit({name: ops[name] for name in anew})
            await self._commit({name: its for name, its in ops.items() if name not in anew})
        self._in_file.clear()
        self._in_file.update(wanted, others)
        configuring.tell_gone()
        touched = sorted(name for name, its in ops.items() if its)
        return Changed(
            tuple(name for name in touched if name not in there),
            tuple(name for name in touched if name in there),
            tuple(configuring.gone()),
            await asyncio.to_thread(self._unread),
        )

    def _unread(self) -> tuple[str, ...]:
        """The queues whose functions are in files that were changed; logged, with the file."""
        specs = {name: queue.line.spec for name, queue in sorted(self._register.queues.items())}
        files = {name: changed_file(spec.name) for name, spec in specs.items() if spec and spec.is_function}
        unread = {name: file for name, file in files.items() if file is not None}
        for name, file in unread.items():
            log.warning(
                "queue %s: the code in %s was changed since it was loaded, and is not loaded again: it counts"
                " from the next start on",
                *(name, file),
            )
        return tuple(unread)

    async def _commit(self, ops: Mapping[str, Sequence[Define | Retry]]) -> None:
        every = [(name, op) for name, its in ops.items() for op in its]
        done = await asyncio.gather(*(self._register.rounds.commit(op) for _, op in every))
        for (name, _), outcome in zip(every, done, strict=True):
            if isinstance(outcome, Conflict):
                raise ConfigError(f"queue {name} was used or changed in the meantime: reload once more")

    def _is_another(self, name: str, configuring: Configuring) -> bool:
        """Whether a queue gets another source: the one change that comes too late if an item was taken."""
        queue, definition = self._register.queues.get(name), configuring.sound.get(name)
        if queue is None or definition is None or isinstance(definition.source, Kept):
            return False
        return queue.line.spec != definition.source

    def _ops(self, name: str, configuring: Configuring) -> list[Define | Retry]:
        """What makes a queue as it is wanted; nothing if it is so already."""
        definition = configuring.sound[name]
        queue = self._register.queues.get(name)
        row = None if queue is None else queue.line.row
        settings = changed_settings(
            DEFAULT_SETTINGS if row is None else row.settings, definition.settings, trusted=True
        )
        old = None if row is None else spec_of(row)
        spec = old if isinstance(definition.source, Kept) else definition.source
        lifts = configuring.lifts(name)
        if row is not None and (old, row.settings, row.configured) == (spec, settings, "file"):
            return [*lifts]
        return [*lifts, Define(name, *written(spec), settings=settings, configured="file")]

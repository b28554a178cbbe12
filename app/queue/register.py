"""The register: which queues there are, by the rows of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from functools import partial
from typing import Any

from ..errors import QueueUnknown
from ..ledger.engine import Engine
from ..ledger.ops import QueueRow
from ..sources import Registry, SourceSpec
from .computed import Computed
from .feeder import Feeder
from .info import same_definition, spec_of
from .limits import Limits, check_name
from .line import Line
from .moves import Moves
from .queue import Queue
from .rounds import Rounds
from .supply import Supply
from .sweeper import Sweeper
from .tokens import Tokens
from .values import Computing


class Register:
    """Makes the queues, and follows their rows. Lives on the event loop, which alone touches it.

    It owns the ``queues`` by name, their lines by the id of their row, the ``tombstones``, and what all have
    in common: ``rounds``, ``moves``, ``sweeper``, ``tokens``. ``in_file`` are the names of the configuration.
    """

    def __init__(self, engine: Engine, sources: Registry, limits: Limits, in_file: Set[str]) -> None:
        self.queues: dict[str, Queue] = {}
        self.tombstones: dict[str, QueueRow] = {}
        self.tokens = Tokens(engine.now)
        self._by_id: dict[int, Line] = {}
        self._engine = engine
        self._sources = sources
        self._limits = limits
        self._in_file = in_file
        self._loop = asyncio.get_running_loop()
        self.moves = Moves(self.queues, self._by_id)
        self.rounds = Rounds(self._loop, engine, by_id=self._by_id, changed=self.follow, limits=limits)
        self.rounds.touched = self.moves.touched
        self.sweeper = Sweeper(self.rounds)

    def get(self, name: str, *, keyed: bool = False) -> Queue:
        """The queue of this name. For a request that is ``keyed``, a deleted one too: it may have its answer.

        Raises:
            QueueUnknown: there is none.
        """
        queue = self.queues.get(name)
        if queue is not None:
            return queue
        if keyed and name in self.tombstones:
            return self._made(self.tombstones[name])
        check_name(name)
        raise QueueUnknown(f"there is no queue {name}", field="queue")

    def follow(self, row: QueueRow) -> None:
        """Follow a queue's row, which decides what queue there is; on the event loop, in commit order."""
        queue = self.queues.get(row.name)
        if queue is not None and queue.line.row.id > row.id:
            return  # a row that was replaced since
        self.moves.changed(row.name)
        if row.deleted_at is not None:
            self.tombstones[row.name] = row
            self.queues.pop(row.name, None)
            self._by_id.pop(row.id, None)
            self.sweeper.add(row.id)
        elif queue is not None and same_definition(queue.line.row, row):
            queue.line.row = row
            return
        else:
            before = self.tombstones.pop(row.name, None)
            if before is not None:
                self.sweeper.add(before.id)  # with what is left of it its row goes
            self.queues[row.name] = made = self._made(row)
            self._by_id[row.id] = made.line
        if queue is not None:
            if queue.line.row.id != row.id:
                self._by_id.pop(queue.line.row.id, None)
                self.sweeper.add(queue.line.row.id)
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
            limits=self._limits,
            now=self._engine.now,
            tokens=self.tokens,
            find=self._line_of,
        )
        if line.feeder is not None:
            line.feeder.open(row)
        return Queue(line, self._engine, self.rounds, in_file=self._in_file)

    def of_row(self, row: int) -> Queue | None:
        """The queue that has this row."""
        line = self._by_id.get(row)
        return None if line is None else self.queues.get(line.name)

    def _line_of(self, name: str) -> Line | None:
        queue = self.queues.get(name)
        return None if queue is None else queue.line

    def _supply(
        self, row: QueueRow, spec: SourceSpec | None, computing: Computing, news: Callable[[], None]
    ) -> Supply:
        if spec is None or computing.seekable is not None:
            return Computed(spec, self._sources, computing)
        return Feeder(
            spec,
            self._sources,
            self._engine,
            limits=self._limits,
            call=self._call,
            later=self._loop.call_later,
            news=partial(self.moves.news_of, row.name, news),
            name=row.name,
        )

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function on the event loop, from any thread."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return  # the loop is closed: nobody is there to be told

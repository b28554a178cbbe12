"""A warm copy: the memory of a ledger's owner, once more, on a server that is to own next.

It begins as a snapshot of PostgreSQL and goes on by what the owner sends. The last transaction that was sent
waits: it is known to be there when the next one says so, or when the row of the position does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ..sqlite.scratch import Scratch
from .arrays import values_of
from .fence import Mark
from .loading import insert_of, load
from .tables import TABLES, Kind

if TYPE_CHECKING:
    import psycopg

    from .changes import Packed
    from .shipments import Shipment

_BITS: Final = 0xFFFF
"""Of each number so much is summed: sums of all would be too large."""
_SUMMED: Final = {"run": ("last", "due")}
"""Of a table with so many rows these columns are summed; of the others all that are numbers."""
_COUNTER: Final = f"SELECT {', '.join(TABLES['counter'].columns)} FROM counter ORDER BY queue"
"""The table whose rows are compared one by one."""


class Gap(Exception):
    """The copy is of no use any more; the text says why."""


class WarmCopy:
    """The copy in one ``term``. Used by one thread at a time.

    ``scratch`` has the rows, as of the transaction ``mark``; both are None before :meth:`load`.
    """

    def __init__(self, term: int) -> None:
        self.term = term
        self.scratch: Scratch | None = None
        self.mark: Mark | None = None
        self._pending: Shipment | None = None

    def load(
        self, reader: psycopg.Connection[Any], paced: Callable[[Iterable[Any]], Iterator[Any]] = iter
    ) -> None:
        """Begin with what PostgreSQL has; ``paced`` gives the rows, one after the other, when it likes.

        Raises:
            Gap: another term has begun.
        """
        self.scratch = scratch = Scratch()
        with scratch.transaction:
            mark = load(reader, scratch.writer, paced)
        if mark.term != self.term:
            raise Gap(f"term {mark.term} has begun")
        self.mark = mark

    def follow(self, shipped: Iterable[Shipment]) -> None:
        """Go on by what was sent, in its order.

        Raises:
            Gap: one is missing.
            OpFailed, EngineFailed: one does not fit, or there is no room.
        """
        assert self.scratch is not None  # noqa: S101  # it is loaded
        with self.scratch.transaction:
            for each in shipped:
                self._follow(each)

    def _follow(self, shipped: Shipment) -> None:
        mark, pending = self.mark, self._pending
        assert mark is not None  # noqa: S101  # it is loaded
        if shipped.n <= mark.n:
            return  # it was in the snapshot, or was sent in vain
        if pending is not None and (shipped.n - 1, shipped.before) == (pending.n, pending.clock):
            mark = self._apply(pending)
        if (shipped.n - 1, shipped.before) != (mark.n, mark.clock):
            raise Gap(f"transaction {shipped.n} was sent, and {mark.n + 1} is missing")
        self._pending = shipped  # in the place of one that was sent in vain

    def _apply(self, shipped: Shipment) -> Mark:
        assert self.scratch is not None  # noqa: S101  # it is loaded
        for change in shipped.changes:
            _change(self.scratch, change)
        self._pending = None
        self.mark = mark = Mark(shipped.n, self.term, shipped.clock)
        return mark

    def reaches(self, mark: Mark) -> bool:
        """Whether this is, or can be made, what PostgreSQL has at this transaction.

        Raises:
            OpFailed, EngineFailed: as :meth:`follow`.
        """
        pending = self._pending
        if self.scratch is not None and pending is not None and (pending.n, self.term, pending.clock) == mark:
            with self.scratch.transaction:
                self._apply(pending)
        return self.mark == mark

    def check(self, reader: psycopg.Connection[Any]) -> str | None:
        """What is not as in PostgreSQL, by counts and sums that are quickly had; None where all is.

        The counters of queues are compared row by row.
        """
        assert self.scratch is not None  # noqa: S101  # it is loaded
        for name, table in TABLES.items():
            if not table.loaded:
                continue
            asked = _sums(name)
            if [*reader.execute(asked.encode())] != [*self.scratch.writer.execute(asked)]:
                return name
        return None

    def close(self) -> None:
        """Remove the copy."""
        scratch, self.scratch = self.scratch, None
        if scratch is not None:
            scratch.close()


def _change(memory: Scratch, change: Packed) -> None:
    """Do what a transaction did to a table.

    Raises:
        OpFailed: a row that is gone was not there, or one that is new was there already.
    """
    name, _, gone, rows = change
    table = TABLES[name]
    if gone:
        kinds = [table.columns[column] for column in table.key]
        memory.exactly(_delete_of(name), _rows_of(kinds, gone))
    if rows:
        memory.exactly(insert_of(table), _rows_of(table.columns.values(), rows))


def _rows_of(kinds: Iterable[Kind], arrays: Iterable[bytes]) -> list[tuple[Any, ...]]:
    columns = [values_of(kind, array) for kind, array in zip(kinds, arrays, strict=True)]
    return list(zip(*columns, strict=True))


@cache
def _delete_of(name: str) -> str:
    return f"DELETE FROM {name} WHERE {' AND '.join(f'{column} = ?' for column in TABLES[name].key)}"


@cache
def _sums(name: str) -> str:
    """The statement, for both, that counts the rows of a table and sums some of their numbers."""
    if name == "counter":
        return _COUNTER
    integers = [column for column, kind in TABLES[name].columns.items() if kind == "int"]
    summed = [f"coalesce(sum({column} & {_BITS}), 0)" for column in _SUMMED.get(name, integers)]
    return f"SELECT {', '.join(['count(*)', *summed])} FROM {name}"

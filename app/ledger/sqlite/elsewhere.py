"""A ledger that is kept elsewhere: what this store of SQLite asks of that place, and gives to it.

Queues, runs, blocks and failures are here, all of them. Filed answers and the history are there alone: what
is to be filed goes there with the transaction, and nobody else here reads it. Keys of items are there, too
many to be read at once: a look-up that finds nothing here asks there, and what comes is put here, beside the
record of what the transaction changes. So the rest of the store sees tables as always.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from ..serve import Applied
from ..state.rows import Answer, ItemKey, Name, Record
from . import answers
from .checksum import of_answer
from .collected import Waiting
from .recording import Changed, Recording
from .records import ItemKeys

_FORGET = "DELETE FROM item_key"
_ITEM_KEY = "INSERT OR IGNORE INTO item_key (queue, generation, key, seq, expires) VALUES (?, ?, ?, ?, ?)"


class LookUps(Protocol):
    """What is read elsewhere in the middle of a transaction, and removed there by conditions."""

    def answers(self, names: Sequence[Name]) -> Iterable[tuple[Any, ...]]:
        """Whole rows of answers: those of these names that are on file."""

    def item_keys(self, wanted: Collection[ItemKey]) -> Iterable[tuple[Any, ...]]:
        """Whole rows of the keys of items: those of these that there are."""

    def forget_item_keys(self, queue: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove the keys of these items with the transaction."""

    def sweep_item_keys(self, queue: int, most: int) -> int:
        """Remove up to ``most`` keys of a deleted queue with the transaction; how many."""

    def prune(self, now: int, most: int) -> int:
        """Remove what has expired with the transaction; how many rows the largest kind had, of ``most``."""


class Elsewhere(Protocol):
    """The place where a ledger is kept. Used by the writer's thread, in its transactions."""

    @property
    def recording(self) -> Recording:
        """Records what a transaction changes."""

    @property
    def passing(self) -> Passing:
        """What a transaction writes that is there alone."""

    @property
    def look_ups(self) -> LookUps:
        """What is read there."""

    def number(self) -> int:
        """The number of the last transaction that is kept."""

    @property
    def many(self) -> bool:
        """Whether so many keys of items are here, too, that all are to be forgotten."""

    def begin(self) -> None:
        """A transaction begins here."""

    def changed(self) -> bool:
        """Whether the transaction has changed anything."""

    def ship(self, applied: Applied) -> None:
        """Keep what the transaction has changed, if anything; it is committed here when this returns.

        Raises:
            CommitFailed: nobody knows whether it is kept.
            EngineFailed: it is not, or this server may not tell what it has read.
        """


class Passing:
    """What a transaction writes that is not here: rows of answers and of the history, in no table of SQLite.

    Of an answer that takes the place of another one the row ``gone`` is that of the other's request.
    """

    def __init__(self) -> None:
        self.answers: dict[Name, tuple[Any, ...]] = {}
        self.gone: dict[Name, int] = {}
        self.history: list[Record] = []

    def begin(self) -> None:
        """Another transaction begins."""
        self.answers.clear()
        self.gone.clear()
        self.history.clear()

    @property
    def empty(self) -> bool:
        """Whether there is nothing."""
        return not self.answers and not self.history

    def changes(self) -> list[Changed]:
        """All of it, as what has changed in tables."""
        changes = []
        if self.answers:
            gone = [(*name, n) for name, n in self.gone.items()]
            changes.append(Changed("answer", gone, list(self.answers.values())))
        if self.history:
            changes.append(Changed("history", [], list(self.history)))
        return changes


class AnswersElsewhere:
    """The table of answers, where it is elsewhere (see :class:`~..state.store.Answers`)."""

    collected: tuple[Waiting, ...] = ()

    def __init__(self, there: LookUps, passing: Passing) -> None:
        self._there = there
        self._filed, self._gone = passing.answers, passing.gone

    def find(self, names: Sequence[Name]) -> dict[Name, Answer]:
        """Those of the answers that are on file, those that were filed in this transaction too."""
        filed = self._filed
        if not filed:
            return dict(map(_read, self._there.answers(names)))
        rows = [filed[name] for name in names if name in filed]
        if len(rows) < len(names):
            rows += self._there.answers([name for name in names if name not in filed])
        return dict(map(_read, rows))

    def file(self, name: Name, answer: Answer) -> None:
        """File an answer."""
        _, request, outcome, values, expires, _, n = answer
        crc = of_answer(*name, request, outcome, values, expires, n)
        self._filed[name] = (*name, request, outcome, values, expires, crc, n)

    def refile(self, name: Name, answer: Answer, *, n: int, longer: bool) -> None:
        """Put an answer in the place of the one in its row."""
        if name not in self._filed:
            self._gone[name] = n
        self.file(name, answer)


def _read(row: tuple[Any, ...]) -> tuple[Name, Answer]:
    """A row of answers, by its name; it has no id here."""
    *columns, crc, n = row
    return answers.read((0, *columns, n, crc))


class HistoryElsewhere:
    """The table of the history, where it is elsewhere (see :class:`~..state.store.History`)."""

    collected: tuple[Waiting, ...] = ()

    def __init__(self, passing: Passing) -> None:
        self.add = passing.history.append


class ItemKeysElsewhere:
    """The table of the keys of items, where those that are not here may be elsewhere.

    It owns what was ``_asked`` there in the transaction: what is not here then is nowhere.
    """

    far = True

    def __init__(self, here: ItemKeys, there: LookUps, recording: Recording) -> None:
        self._here = here
        self._there = there
        self._recording = recording
        self.collected = here.collected
        self.learn = here.learn
        self._asked: set[ItemKey] = set()

    def expected(self, wanted: Collection[ItemKey]) -> None:
        """Look all of these up, together."""
        self._asked.clear()
        if wanted:
            here = self._here.has(wanted)
            self._ask([place for place in wanted if place not in here])

    def _ask(self, wanted: Collection[ItemKey]) -> None:
        rows = list(self._there.item_keys(wanted)) if wanted else []
        self._asked.update(wanted)
        if rows:
            with self._recording.paused() as writer:
                writer.executemany(_ITEM_KEY, rows)

    def known(self, queue: int, generation: int, keys: Sequence[str], now: int) -> dict[str, int]:
        """Those of the keys that are known, with the seqs of their items."""
        known = self._here.known(queue, generation, keys, now)
        if len(known) < len(keys):
            missing = [ItemKey(queue, generation, key) for key in keys if key not in known]
            unknown = [place for place in missing if place not in self._asked]
            if unknown:
                self._ask(unknown)
                known |= self._here.known(queue, generation, [place.key for place in unknown], now)
        return known

    def forget(self, queue: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove those of these items."""
        self._here.forget(queue, ranges)
        self._there.forget_item_keys(queue, ranges)


def forget(recording: Recording) -> None:
    """Forget the keys of items that were looked up, or are there by now, too."""
    with recording.paused() as writer:
        writer.execute(_FORGET)

"""A source: its definition, and the open source that is made of it.

A definition is one of five, by how it goes on after a restart (``Source.resume``):

======== =============================================================================== ==================
resume   how                                                                             mark in the ledger
======== =============================================================================== ==================
seek     any value can be computed from its seq: count, range, grid                      none
at       the function is called with ``resume_at``, the seq that it shall yield first    none
replay   run again from the start; what was handed out is skipped, its last value is     digest of the last
         compared (see ``replay.py``)                                                    value
anew     run again from the start, nothing is skipped or compared: its values need not   none
         repeat
after    goes on above the last value, whatever the clock says: snowflake, uuid7         the last value
======== =============================================================================== ==================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..errors import SourceChanged
from ..iterators import ThreadSafeIterator
from .encode import Encode
from .replay import CURE, Stop, abandon, finalizer, replay
from .spec import SourceSpec

Values = Sequence[int] | Sequence[str]
"""A ``range`` (arithmetic sources), or a list of JSON texts."""
Resume = Literal["seek", "at", "replay", "anew", "after"]


@dataclass(frozen=True, slots=True)
class Position:
    """The place where a source goes on: after ``cursor`` values, the last of which left ``mark``."""

    cursor: int = 0
    mark: str | None = None
    stop: Stop | None = None


class Computed(Protocol):
    """Values that follow from their index alone."""

    def __len__(self) -> int:
        """The number of values."""

    def __getitem__(self, part: slice, /) -> Values:
        """The values of consecutive indexes; 0 is the first."""


class Definition(Protocol):
    """A source with its arguments checked, ready to be opened any number of times."""

    @property
    def wide(self) -> bool:
        """Whether every value is a JSON string."""

    @property
    def resume(self) -> Resume:
        """How the source goes on after a restart; see the table of this module."""

    def iterator(self, position: Position) -> ThreadSafeIterator[Any]:
        """The shared iterator from ``position`` on; blocks while the source is replayed."""


@dataclass(frozen=True, slots=True)
class Seekable:
    """Values computed from their seq; ``arithmetic`` ones are a ``range``."""

    values: Computed
    wide: bool = False
    arithmetic: bool = False
    resume: Literal["seek"] = "seek"

    def iterator(self, position: Position) -> ThreadSafeIterator[Any]:
        """The shared iterator from any cursor on, at once."""
        return ThreadSafeIterator(Walk(self.values, position.cursor))


@dataclass(frozen=True, slots=True)
class Replayed:
    """An iterator that begins at its first value each time; so it must give the same values each time."""

    start: Callable[[], Iterator[object]]
    encode: Encode
    wide: bool = False
    resume: Literal["replay"] = "replay"
    formerly: Callable[[Any], object] | None = None
    """The value that an older release gave in this value's place, if that has changed."""
    cure: str = CURE
    """The advice for a replay that gives other values than those handed out."""

    def iterator(self, position: Position) -> ThreadSafeIterator[Any]:
        """The shared iterator after a replay up to the cursor; see ``replay.py``."""
        values = self.start()
        with abandon(values):
            try:
                replay(
                    values, self.encode, position.cursor, position.mark, position.stop, formerly=self.formerly
                )
            except SourceChanged as error:
                raise SourceChanged(f"{error}. {self.cure}") from error
        return shared(values, self.encode)


@dataclass(frozen=True, slots=True)
class Started:
    """An iterator that finds its place by itself: ``at`` a seq, ``after`` the last value; or run ``anew``.

    ``start`` makes it for a position.
    """

    start: Callable[[Position], Iterator[object]]
    encode: Encode
    resume: Literal["at", "after", "anew"]
    wide: bool = False

    def iterator(self, position: Position) -> ThreadSafeIterator[Any]:
        """The shared iterator of the values that come next."""
        return shared(self.start(position), self.encode)


def shared(values: Iterator[object], encode: Encode) -> ThreadSafeIterator[str]:
    """The shared iterator of JSON texts.

    Encoding happens inside of it, so that a value that JSON can't carry fails the source exactly at its seq.
    """
    return ThreadSafeIterator(map(encode, values), finalizer=finalizer(values))


class Walk(Iterator[Any]):
    """The computed values from a cursor to their end; ``take`` is as quick as they are (O(1) for a range)."""

    __slots__ = ("_next", "_values")

    def __init__(self, values: Computed, cursor: int) -> None:
        self._values = values
        self._next = cursor

    def __next__(self) -> Any:
        if found := self.take(1):
            return found[0]
        raise StopIteration

    def take(self, count: int) -> Values:
        """Take the next values, at most ``count``; none at the end, for good."""
        found = self._values[self._next : self._next + count]
        self._next += len(found)
        return found


@dataclass(frozen=True, slots=True)
class Source:
    """An open source. ``iterator`` is its one shared iterator.

    The iterator gives JSON texts; that of an ``arithmetic`` source gives integers, and ``range`` objects from
    ``take``. Where such a source is ``wide``, its numbers are JSON strings: whoever writes the answer quotes
    them. (The texts of other wide sources are quoted already.)
    """

    spec: SourceSpec
    iterator: ThreadSafeIterator[Any]
    resume: Resume
    wide: bool
    arithmetic: bool

    @property
    def counted(self) -> bool:
        """Whether each value belongs to a seq. Other sources give their next value to any seq."""
        return self.resume not in ("after", "anew")

    def close(self, timeout: float | None = None) -> None:
        """Close the iterator and what it holds open, such as a file, once a pull that runs has ended."""
        self.iterator.close(timeout=timeout)


def open_source(spec: SourceSpec, definition: Definition, position: Position) -> Source:
    """Open ``definition`` at ``position``; blocks while it replays."""
    return Source(
        spec=spec,
        iterator=definition.iterator(position),
        resume=definition.resume,
        wide=definition.wide,
        arithmetic=isinstance(definition, Seekable) and definition.arithmetic,
    )

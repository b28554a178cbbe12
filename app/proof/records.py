"""The records of a history, plain data: one header, one record per request, one end.

Times are nanoseconds of one monotonic clock, the same for all clients of a history.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

FORMAT = 1
"""The version of the history's format. A reader refuses every other one."""

_TEXT_KEPT = 48


class Outcome(StrEnum):
    """What the client knows of a request. Only ``unknown`` leaves open whether items were handed out."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Piece(NamedTuple):
    """Consecutive seqs whose values are consecutive integers too; or one seq with any other value.

    ``value`` is the first value: an int, or for everything else its canonical JSON text (long ones
    shortened, with a digest), so that ``1``, ``1.0``, ``"1"`` and ``true`` are four values.
    """

    first: int
    size: int
    value: int | str

    @property
    def last(self) -> int:
        """The last seq."""
        return self.first + self.size - 1

    def value_at(self, seq: int) -> int | str:
        """The value that stands at ``seq``, which must be inside."""
        return self.value if isinstance(self.value, str) else self.value + seq - self.first


@dataclass(frozen=True, slots=True)
class Header:
    """The header: the queue of the history, and its counters before the first request.

    ``exclusive``: nobody else takes from the queue meanwhile, so each missing seq is the server's.
    ``distinct``: the source yields no value twice, so a value seen twice was handed out twice.
    ``start`` and ``step``: of an arithmetic source, whose value at each seq is known; else None.
    ``cursor``, ``taken`` and ``jumped`` are None where nobody asked.
    """

    queue: str
    url: str = ""
    source: str = ""
    instance: str | None = None
    server: str | None = None
    started_at: str | None = None
    cursor: int | None = None
    taken: int | None = None
    jumped: int | None = None
    exclusive: bool = True
    distinct: bool = True
    start: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Audited:
    """The server's own counters, read while this load was not asking."""

    cursor: int
    taken: int
    jumped: int
    balanced: bool


@dataclass(frozen=True, slots=True)
class End:
    """The last line: the audits after the load (two when the server was restarted between them)."""

    requests: int
    audits: tuple[Audited, ...] = ()


class Ask(NamedTuple):
    """A request that was sent: its client, its key, how many items it asked for, when it began and ended."""

    client: str
    key: str | None
    wanted: int
    invoked: int
    completed: int


@dataclass(frozen=True, slots=True)
class Record:
    """One request as its client saw it. ``line`` is where it stands in the file, 0 when in none.

    ``count`` is how many items were asked for; ``pieces`` is what was answered, empty unless ``ok``.
    """

    client: str
    key: str | None
    invoked: int
    completed: int
    outcome: Outcome
    count: int
    pieces: tuple[Piece, ...] = ()
    replay: bool = False
    error: str | None = None
    line: int = 0


@dataclass(slots=True)
class History:
    """A whole history in memory."""

    header: Header
    records: list[Record] = field(default_factory=list)
    end: End | None = None


def pieces_of(seqs: Sequence[Sequence[int]], values: Sequence[Any]) -> tuple[Piece, ...]:
    """Pack an answer's ranges of seqs and their values, given in the same order."""
    pieces: list[Piece] = []
    at = 0
    for first, last in seqs:
        pieces += _pack(first, values[at : at + last - first + 1])
        at += last - first + 1
    return tuple(pieces)


def _pack(first: int, values: Sequence[Any]) -> list[Piece]:
    if _consecutive(values):
        return [Piece(first, len(values), values[0])]
    pieces: list[Piece] = []
    for seq, raw in enumerate(values, first):
        value, last = identity(raw), pieces[-1] if pieces else None
        if last and isinstance(last.value, int) and value == last.value + last.size:
            pieces[-1] = last._replace(size=last.size + 1)
        else:
            pieces.append(Piece(seq, 1, value))
    return pieces


def _consecutive(values: Sequence[Any]) -> bool:
    """Whether they are n, n+1, n+2…: the common case, told at the speed of C."""
    if not values or any(type(value) is not int for value in (values[0], values[-1])):
        return False
    if values[-1] - values[0] != len(values) - 1:
        return False
    return set(map(type, values)) == {int} and list(values) == list(range(values[0], values[-1] + 1))


def identity(value: Any) -> int | str:
    """The identity of a JSON value, equal for equal values: see `Piece`."""
    if type(value) is int:
        return value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text) <= _TEXT_KEPT:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:24]}… ({digest})"

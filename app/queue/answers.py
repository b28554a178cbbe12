"""What a queue answers: plain records, the same for HTTP, threads and tests.

Values travel as JSON text from the source to the reply: encoded once, where they are drawn. The
numbers of an arithmetic source travel as a ``range``: a million of them cost as much as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = Sequence[int] | Sequence[str]
"""A ``range`` (arithmetic sources), or a list of JSON texts."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Consecutive items, handed out for good; on disk before anyone sees this."""

    queue: str
    state: str
    first: int
    values: Values
    replayed: bool = False

    @property
    def count(self) -> int:
        """How many items these are."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive numbers, as their bounds; ``seq`` is the seq of the first.

    The numbers of a ``wide`` source are strings in JSON.
    """

    queue: str
    state: str
    seq: int
    first: int
    last: int
    step: int
    count: int
    wide: bool = False
    replayed: bool = False


def answer(
    queue: str, state: str, first: int, values: Values, *, wide: bool, block: bool, replayed: bool = False
) -> Taken | Block:
    """What a hand-out looks like to the caller, first time or replayed."""
    if block:
        assert isinstance(values, range)  # noqa: S101  # blocks are asked of arithmetic sources only
        return Block(queue, state, first, values[0], values[-1], values.step, len(values), wide, replayed)
    if wide and isinstance(values, range):
        values = [f'"{number}"' for number in values]
    return Taken(queue, state, first, values, replayed)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a source failed, and the seq that it did not give."""

    type: str
    message: str
    seq: int


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as the ledger has it.

    ``state`` is one word: ``open``, ``starting``, ``paused``, ``exhausted``, ``failed``, ``closed``.
    ``created_at`` is ledger time, in milliseconds.
    """

    queue: str
    generation: int
    source: str
    args: Mapping[str, Any]
    state: str
    paused: bool
    cursor: int
    taken: int
    jumped: int
    created_at: int
    failure: Failure | None
    created: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """The independent counters of one queue, read in one transaction; they must add up to the cursor."""

    queue: str
    generation: int
    cursor: int
    taken: int
    jumped: int

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing and nothing is there twice (the design's promise 4)."""
        return self.taken + self.jumped == self.cursor


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of the last samples, in seconds (or items, where the name says so). Zero before the first."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue, since the server started, except for what the ledger counts (``cursor``, ``taken``)."""

    queue: str
    state: str
    cursor: int
    taken: int
    requests: int
    handed_out: int
    replays: int
    refused: int
    rate: float
    in_flight: int
    waiting: int
    put_back: int
    threads: int
    pulls: int
    contended: int
    wait: Percentiles
    hold: Percentiles
    answer: Percentiles
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """The committer: how many ops shared a sync, and how long one took."""

    engine: str
    path: str
    commits: int
    syncs: int
    ops: int
    ops_per_commit: float
    commit: Percentiles
    batch: Percentiles
    reopened: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole server."""

    uptime: float
    requests: int
    handed_out: int
    replays: int
    refused: int
    rate: float
    in_flight: int
    waiting: int
    ledger: LedgerStats
    queues: Sequence[QueueStats]

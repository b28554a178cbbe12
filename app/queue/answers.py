"""The answers of a queue: plain records, the same for HTTP, threads and tests.

Values travel as JSON text from the source to the reply: encoded once, where they are drawn. The
numbers of an arithmetic source travel as a ``range``: a million of them cost as much as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DibsError
from ..ledger.work import FailureRow, HistoryRow, ItemState, QueueSettings, Settled, Span

Values = Sequence[int] | Sequence[str]
"""A ``range`` (arithmetic sources), or a list of JSON texts."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Items handed out for good; the hand-out is on disk before a caller sees it.

    Fresh items have consecutive seqs from ``first`` on; the seqs of items that had waited are in ``seqs``.
    """

    queue: str
    state: str
    first: int
    values: Values
    replayed: bool = False
    seqs: Sequence[int] | None = None

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


@dataclass(frozen=True, slots=True)
class Leased:
    """Items leased until ``due`` (ledger milliseconds) to the holder of ``token``; the lease is on disk.

    ``expires_in`` is the seconds until then, at the time of the answer. ``values`` go with ``spans``, in
    order.
    """

    queue: str
    state: str
    token: str
    due: int
    expires_in: float
    spans: tuple[Span, ...]
    values: Values
    replayed: bool = False

    @property
    def count(self) -> int:
        """How many items these are."""
        return len(self.values)


def leased(  # noqa: PLR0917  # the fields of a lease, in their order
    queue: str, state: str, token: str, due: int, spans: tuple[Span, ...], values: Values, now: int
) -> Leased:
    """The answer for a lease that was given, with its rest counted from ``now``."""
    return Leased(queue, state, token, due, max(due - now, 0) / 1000, spans, values)


@dataclass(frozen=True, slots=True)
class LeaseAsk:
    """A request for a lease: up to ``most`` items for ``ttl`` seconds; ``wait`` seconds for the first."""

    most: int = 1
    ttl: float = 30.0
    wait: float = 0.0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class SettleAnswer:
    """The outcomes of each entry, and the next lease if the request asks for one.

    ``refusal`` says why there is no next lease; it is None if there is one, or if the queue is only empty.
    ``now`` (ledger milliseconds) is the time of the answer.
    """

    queue: str
    state: str
    entries: tuple[tuple[Settled, ...], ...]
    now: int
    lease: Leased | None = None
    refusal: DibsError | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """The seq of each item that was pushed; ``known`` are the positions of those whose key was known."""

    queue: str
    seqs: Sequence[int]
    known: tuple[int, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class KeyPage:
    """The keys of items that a queue knows, with their seqs; ``next`` is the ``after`` of the next page."""

    queue: str
    keys: tuple[tuple[str, int], ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class MovedAnswer:
    """How many items were redriven or purged."""

    queue: str
    count: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Peeked:
    """One item inside a queue, as a reader sees it. ``value`` is JSON text; ``due`` as in ``ItemRow``.

    ``error`` is the error of its last failed attempt.
    """

    seq: int
    value: str
    state: ItemState
    attempt: int
    priority: int
    due: int
    worker: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Items by seq; ``next`` is the ``after`` of the next page."""

    queue: str
    items: tuple[Peeked, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """One item, and its failed attempts, oldest first."""

    queue: str
    item: Peeked
    history: tuple[FailureRow, ...]


@dataclass(frozen=True, slots=True)
class ItemDone:
    """An item that was taken or acked, as the history tells; ``value`` (JSON) where it is computed."""

    queue: str
    seq: int
    value: str | None
    done: HistoryRow


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Who took or acked which items, from oldest to newest; ``next`` is the ``after`` of the next page."""

    queue: str
    rows: tuple[HistoryRow, ...]
    next: int | None


def answer(
    queue: str, state: str, first: int, values: Values, *, wide: bool, block: bool, replayed: bool = False
) -> Taken | Block:
    """The answer for a hand-out, the first one or a replay."""
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
    ``source`` is None where producers push. ``created_at`` is ledger time, in milliseconds. ``settings`` are
    those in force: a setting that the queue leaves to the server has the server's limit. ``configured`` tells
    what defined the queue last (``file``, ``http``), or ``gone`` if the configuration no longer names it.
    """

    queue: str
    generation: int
    source: str | None
    args: Mapping[str, Any]
    state: str
    paused: bool
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    settings: QueueSettings
    created_at: int
    failure: Failure | None
    configured: str = "http"
    created: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """The independent counters of one queue, and its items counted run by run, at one moment.

    ``waiting`` includes ``delayed`` ones; ``overlaps`` are pairs of runs that share an item.
    """

    queue: str
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    delayed: int
    leased: int
    dead: int
    overlaps: int

    @property
    def balanced(self) -> bool:
        """Whether no item is missing and none is there twice (the design's promise 4)."""
        gone = self.taken + self.acked + self.purged + self.jumped
        return gone + self.waiting + self.leased + self.dead == self.cursor and not self.overlaps


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the last samples, in seconds (or items, if the name says so). Zero before the first."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue, since the server started, except for what the ledger counts.

    That is ``cursor``, ``taken``, ``acked``, and the items inside: ``waiting_items`` (delayed ones too),
    ``leased``, ``dead``; ``oldest_waiting``: for how many seconds the first could have been handed out.
    """

    queue: str
    state: str
    cursor: int
    taken: int
    acked: int
    waiting_items: int
    leased: int
    dead: int
    oldest_waiting: float | None
    pushed: int
    settled: int
    nacked: int
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
    """The committer: how many ops shared a sync, how long one took, and all of them: ``commit_time``."""

    engine: str
    path: str
    commits: int
    syncs: int
    ops: int
    ops_per_commit: float
    commit_time: float
    commit: Percentiles
    batch: Percentiles
    reopened: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole server, and a page of its queues by name; ``next`` is the ``after`` of the next page.

    ``processor_time``: what its process has used since it began; a second of one core is one.
    """

    uptime: float
    processor_time: float
    requests: int
    handed_out: int
    replays: int
    refused: int
    pushed: int
    settled: int
    nacked: int
    rate: float
    in_flight: int
    waiting: int
    ledger: LedgerStats
    queue_count: int
    queues: Sequence[QueueStats]
    next: str | None

"""The answers of a queue: plain records, the same for HTTP, threads and tests.

Values travel as JSON text from the source to the reply: encoded once, where they are drawn. The
numbers of an arithmetic source travel as a ``range``: a million of them cost as much as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import DibsError
from ..ledger.looks import FailureRow, HistoryRow, ItemState, Kept
from ..ledger.serve import Served
from ..ledger.sights import Death, Deaths
from ..ledger.work import QueueSettings, Settled, Span

Values = Sequence[int] | Sequence[str]
"""A ``range`` (arithmetic sources), or a list of JSON texts."""


class Answer(NamedTuple):
    """The answer to an ask: what is said in it is on disk.

    ``served`` is what came of it. ``values`` go with the spans of what was handed out, in order. ``refusal``
    tells why a settling has no next lease; None if it has one, or if the queue is only empty. ``now`` (ledger
    milliseconds) is the time of the answer.
    """

    queue: str
    served: Served
    values: Values = ()
    refusal: DibsError | None = None
    now: int = 0

    @property
    def state(self) -> str:
        """The queue's state, in one word."""
        return self.served.state

    @property
    def replayed(self) -> bool:
        """Whether it is the answer of an earlier request with the same key."""
        return self.served.replayed

    @property
    def entries(self) -> tuple[tuple[Settled, ...], ...]:
        """For each entry what became of its ranges."""
        return self.served.entries

    @property
    def size(self) -> int:
        """How many items were handed out."""
        handed = self.served.handed
        return 0 if handed is None else handed.size

    @property
    def spans(self) -> tuple[Span, ...]:
        """The seqs that were handed out, with their attempts."""
        handed = self.served.handed
        return () if handed is None else handed.spans

    @property
    def first(self) -> int:
        """The seq of the first item."""
        return self.spans[0].first

    @property
    def seqs(self) -> Sequence[int]:
        """The seq of each item."""
        spans = self.spans
        if len(spans) == 1:
            return range(spans[0].first, spans[0].last + 1)
        return [seq for span in spans for seq in range(span.first, span.last + 1)]

    @property
    def token(self) -> str:
        """The token of the lease; empty without one."""
        handed = self.served.handed
        return "" if handed is None else handed.token or ""

    @property
    def due(self) -> int:
        """When the lease ends, in ledger milliseconds; 0 without one."""
        handed = self.served.handed
        return 0 if handed is None else handed.due or 0

    @property
    def expires_in(self) -> float:
        """Seconds until the lease ends, at the time of the answer."""
        return max(self.due - self.now, 0) / 1000


class LeaseAsk(NamedTuple):
    """A request for a lease: up to ``most`` items for ``ttl`` seconds; ``wait`` seconds for the first."""

    most: int = 1
    ttl: float = 30.0
    wait: float = 0.0
    worker: str = ""


class DeadPage(NamedTuple):
    """Dead letters, newest first; ``next`` is the ``before`` of the next page. ``errors`` counts them all."""

    queue: str
    items: tuple[Death, ...]
    errors: tuple[Deaths, ...]
    next: int | None


class PushAnswer(NamedTuple):
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
    began: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Items by seq; ``next`` is the ``after`` of the next page."""

    queue: str
    items: tuple[Peeked, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """One item, and its failed attempts, oldest first. ``key``: of its push, while that is known."""

    queue: str
    item: Peeked
    history: tuple[FailureRow, ...]
    kept: Kept
    key: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ItemDone:
    """An item that was taken or acked, as the history tells; ``value`` (JSON) where it is computed."""

    queue: str
    seq: int
    value: str | None
    done: HistoryRow


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Who took or acked which items; ``next`` is the ``after`` (or ``before``) of the next page."""

    queue: str
    rows: tuple[HistoryRow, ...]
    next: int | None


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
    ``failure_place`` is for those alone who may operate the queue.
    """

    queue: str
    source: str | None
    args: Mapping[str, Any]
    state: str
    paused: bool
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    settings: QueueSettings
    configured: str
    created_at: int
    failure: Failure | None
    failure_place: str | None = None
    created: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Audit:
    """The independent counters of one queue, and its items counted run by run, at one moment.

    ``base``: the cursor at which the queue was created, in the place of a deleted one. ``waiting`` includes
    ``delayed`` ones; ``overlaps`` are pairs of runs that share an item.
    """

    queue: str
    generation: int
    base: int
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
        before = self.base + self.taken + self.acked + self.purged + self.jumped
        return before + self.waiting + self.leased + self.dead == self.cursor and not self.overlaps

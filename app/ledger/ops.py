"""The ops, their outcomes, and the contract that every engine keeps.

An op is a request to the ledger; an engine applies a list of them in one transaction with one sync.
``tests/contract`` states each promise as behaviour and runs on every engine:

* **Together or not at all.** ``apply(ops)`` puts all of them on disk, in order, or raises and puts none.
* **Prefix.** A :class:`Take` starts where the cursor stands (``first == cursor + 1``); anything else
  raises :class:`OpFailed`. So what is on disk is always a prefix of what was drawn.
* **Independent counters.** ``cursor``, ``taken`` and ``jumped`` each move by their own statement;
  none is derived from another, so that an audit can compare them.
* **Remembered with what it answers.** An op's :class:`Remember` is stored in the same transaction.
* **Endings stay.** An ending is lifted by :class:`Retry` (a failed one) and by a new definition, and by
  nothing else. :class:`Fail` makes any but *closed* a failed one.
* **A row for each creation.** Deleting keeps name, cursor and generation; defining again goes on after the
  cursor, unless ``reset``, which starts at 0 in the next generation. Either, and another source for a queue
  whose cursor is 0, makes a new row with counters at 0. What was inside the one before counts as purged, and
  is swept in slices; its tokens and the keys of its items mean nothing to the new one. Answers are found as
  long as the generation is the same.
* **Editions.** Closing, retrying and advancing raise the edition of a row.

The ops of work, and what they promise, are in ``work.py``; those for several callers in ``together.py``.

An op that raises changes nothing. An engine says :class:`EngineFailed` when the disk is at fault and
:class:`OpFailed` when the op is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import LedgerError
from .serve import Applied
from .together import Exchange, Exchanged, Shares
from .work import (
    DEFAULT_SETTINGS,
    Claim,
    Counts,
    FailureRow,
    HistoryRow,
    ItemRow,
    ItemState,
    Purge,
    Push,
    QueueSettings,
    Redrive,
    Settle,
    Sweep,
    Terms,
    WorkOutcome,
)

Ending = Literal["exhausted", "failed", "closed"]
Configured = Literal["file", "http"]


class EngineFailed(Exception):
    """The storage failed. ``full`` tells a lack of room from every other fault."""

    def __init__(self, detail: str, *, full: bool = False) -> None:
        super().__init__(detail)
        self.full = full


class CommitFailed(EngineFailed):
    """The last step of a transaction failed: whether it is on disk is told by its number after a reopening.

    ``applied`` is what was computed, which stands if it is. Any other :class:`EngineFailed` tells of a
    transaction of which nothing is on disk.
    """

    def __init__(self, detail: str, applied: Applied | None = None, *, full: bool = False) -> None:
        super().__init__(detail, full=full)
        self.applied = applied


class EngineDamaged(EngineFailed):
    """The storage gave back other bytes than were written. Nothing of the transaction is on disk."""


class OpFailed(Exception):
    """This op can't be applied to the ledger as it is; a guard, not a refusal that a user should meet."""


@dataclass(frozen=True, slots=True)
class Remember:
    """File the outcome under an idempotency key.

    ``request`` tells one request from another under the same key; ``ttl`` is in milliseconds of ledger
    time. ``values`` are what a :class:`Take` handed out: of a ``range`` only its bounds are kept, of JSON
    texts all; so an answer can be given again whatever became of the source. ``wide`` numbers are strings.
    """

    key: str
    request: str
    ttl: int
    caller: str = ""
    values: range | tuple[str, ...] = ()
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Recalled:
    """The answer that is filed under an idempotency key.

    ``outcome`` is a queue's row; of a :class:`Take` (also inside a :class:`Settle`) its ``first`` seq, the
    source's ``ending`` and, under a lease, its ``due``, beside the ``values``. ``work`` is the outcome of an
    op of work; ``token`` is that of the lease that the answer gave; ``source``
    (name, arguments) is what computes the values of a claim that has none.
    """

    request: str
    outcome: Mapping[str, Any]
    values: range | tuple[str, ...] = ()
    wide: bool = False
    work: WorkOutcome | None = None
    token: str | None = None
    source: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SourceEnd:
    """How a source ended: exhausted, or failed with its cause."""

    ending: Literal["exhausted", "failed"]
    type: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Define:
    """Create a queue, wake its tombstone, change the source of one whose cursor is 0, or its settings.

    ``source`` is empty for a queue that producers push to. ``settings`` None: as they are, or the defaults.
    ``configured``: by what it is defined. If a ``reset`` is not ``confirmed``, only an empty queue begins
    again; otherwise the outcome is its row, unchanged.
    """

    name: str
    source: str
    args: str
    reset: bool = False
    remember: Remember | None = None
    settings: QueueSettings | None = None
    configured: Configured = "http"
    confirmed: bool = True


class Take(NamedTuple):
    """Hand out ``count`` fresh items from ``first`` on, and record the source's end if it came.

    For good, for one caller or several (``shares``), or under a lease on ``terms``; then ``texts`` are the
    values, where they can't be computed again. The outcome of a lease is :class:`Claimed` with its ``due``.
    ``mark`` is what the source needs, beside the cursor, to go on (see ``Source.mark``). It is the
    one op that is no dataclass: as frozen as those, but made in a third of the time, once a draw.
    """

    queue: int
    first: int
    count: int  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs
    mark: str | None = None
    end: SourceEnd | None = None
    remember: Remember | None = None
    terms: Terms | None = None
    texts: tuple[str, ...] | None = None
    shares: Shares | None = None

    @property
    def last(self) -> int:
        """The seq of the last item; ``first - 1`` where there is none."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop (or, with ``paused`` false, go on with) handing out."""

    queue: int
    paused: bool
    remember: Remember | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """End draws and pushes for good; the items inside are still handed out."""

    queue: int
    remember: Remember | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Lift a failure, so that the source is opened again after the cursor."""

    queue: int
    remember: Remember | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail a source that can't be opened as it is defined, whatever its state was, unless it is closed."""

    queue: int
    type: str
    message: str
    remember: None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Jump forward to ``to_seq``: the items in between count as jumped.

    ``keeps_mark``: the source goes on above its last value, whatever its seq (snowflake, uuid7).
    """

    queue: int
    to_seq: int
    keeps_mark: bool = False
    remember: Remember | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a queue; its name, cursor and generation stay. Its items count as purged, and are swept later.

    If the op is not ``confirmed``, only an empty queue is deleted; otherwise the outcome is its row,
    unchanged.
    """

    queue: int
    remember: Remember | None = None
    confirmed: bool = True


WorkOp = Claim | Push | Settle | Exchange | Redrive | Purge | Sweep
Op = Define | Take | Pause | Close | Retry | Fail | Advance | Delete | WorkOp


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as the ledger has it; the outcome of every op on queues. Times: ledger milliseconds.

    There is a row for each creation; ``root`` is the id of the first one of the name, and ``base`` is where
    the cursor was at the creation of this one. What was drawn for an older ``edition`` is not handed out.
    ``configured`` tells whether the configuration file defined it last, or a request.
    """

    id: int
    name: str
    generation: int
    source: str
    args: str
    created_at: int
    deleted_at: int | None
    paused: bool
    ending: Ending | None
    failure_type: str | None
    failure_message: str | None
    mark: str | None
    cursor: int
    taken: int
    jumped: int
    acked: int = 0
    purged: int = 0
    configured: Configured = "http"
    settings: QueueSettings = DEFAULT_SETTINGS
    root: int = 0
    edition: int = 1
    base: int = 0

    @classmethod
    def of(cls, outcome: Mapping[str, Any]) -> QueueRow:
        """A row that was filed under a key."""
        settings = outcome.get("settings") or {}
        return cls(**{**outcome, "settings": QueueSettings(**settings)})

    @property
    def inside(self) -> int:
        """How many items were drawn or pushed and are not done: waiting, leased or dead."""
        return self.cursor - self.base - self.taken - self.acked - self.purged - self.jumped


class NotAsExpected(OpFailed):
    """An op on a queue can't be done, for the queue is not as it expects; see :class:`Conflict`."""

    def __init__(self, why: str, row: QueueRow | None) -> None:
        super().__init__(f"the queue is not as this op expects it: {why}")
        self.conflict = Conflict(why, row)


class Conflict(NamedTuple):
    """An op on a queue that was not done, for the queue is not as it expects. ``row``: what it is instead.

    ``why``: ``deleted``; ``not-failed`` (a retry); ``not-forward`` or ``ended`` (an advance); ``not-empty``
    (a deletion or a reset that is not confirmed); ``source-changed`` (a definition, of a queue whose cursor
    is above 0).
    """

    why: str
    row: QueueRow | None


Outcome = QueueRow | Conflict | WorkOutcome | Exchanged | None
"""A row; what came of work; or None for a :class:`Take` for good: who drew the items knows them already."""


class Engine(Protocol):
    """The storage engine, as the committer and the queues need it."""

    kind: str
    path: str

    @property
    def folder(self) -> Path | None:
        """The folder of the ledger; None in memory."""

    @property
    def durable(self) -> bool:
        """Whether a commit is a sync of a disk."""

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        """Apply all ops, in order, in one transaction, synced. Raises EngineFailed or OpFailed."""

    def apply_batch(self, ops: Sequence[Any]) -> Applied:
        """Apply all ops, `Serve` and `Keyed` too, in one transaction, synced; see ``serve.py``.

        Raises:
            CommitFailed: COMMIT failed; the error has what was computed.
            EngineFailed: the disk failed before; nothing of it is on disk.
            Exception: an op is at fault; nothing of it is on disk.
        """

    def number(self) -> int:
        """The number of the last transaction that is on disk; to be asked after a reopening."""

    def trouble(self) -> LedgerError | None:
        """Why nothing may be applied although it could be: damage, or files that are gone."""

    def rescue(self) -> str | None:
        """Save the content of open files whose names are gone; return in words what was done.

        To be called again until they are back, and once then.
        """

    def reopen(self) -> None:
        """Close, open, and make the disk agree with what is read; raises EngineFailed until it does."""

    def reserve(self) -> None:
        """Hold back the room that the next reopening may need; EngineFailed while there is none."""

    def rows(self) -> list[QueueRow]:
        """The rows of all queues, deleted ones too."""

    def unswept(self) -> list[int]:
        """The deleted queues that have left items."""

    def row(self, queue: int) -> QueueRow | None:
        """One queue as it is on disk now."""

    def recall(self, queue: int, generation: int, caller: str, key: str) -> Recalled | None:
        """The answer filed under a key, if it has not expired."""

    def known_keys(self, queue: int, generation: int, caller: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have an answer which has not expired."""

    def item_keys(
        self, queue: int, generation: int, prefix: str, *, after: str, most: int
    ) -> list[tuple[str, int]]:
        """The keys of items that are known, with their seqs: those that begin so and come after ``after``."""

    def next_due(self, queue: int) -> int | None:
        """The earliest due of the items that are not dead; None if there are none."""

    def glance(self, queue: int) -> tuple[int, int, int]:
        """Waiting (with delayed), leased and dead items, quickly: for statistics. All zero for none."""

    def counts(self, queue: int) -> Counts:
        """The items inside, counted run by run, and the row's counters, from one moment. May take seconds."""

    def items(
        self, queue: int, state: ItemState | None, after: int, most: int, most_bytes: int
    ) -> tuple[list[ItemRow], bool]:
        """Items inside with a seq above ``after``, in order, with their kept values; whether more follow.

        Up to ``most``, and up to ``most_bytes`` of values, one at least. May take seconds.
        """

    def failures(self, queue: int, seq: int) -> list[FailureRow]:
        """The last failed attempts of an item, oldest first."""

    def history(self, name: str, seq: int | None, after: int, most: int) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name (all generations), from oldest to newest.

        ``seq``: of this item only; ``after``: rows with a larger id; up to ``most``.
        """

    def now(self) -> int:
        """Ledger time, in milliseconds: never behind what was persisted."""

    def unheard(self) -> float | None:
        """Seconds until :meth:`keep_time` is due; None while no lease needs it."""

    def keep_time(self) -> None:
        """Persist ledger time, so that an expired lease can't be live again after a crash."""

    def size(self) -> int:
        """Bytes that the ledger occupies."""

    def backup(self, to: str) -> int:
        """Write a consistent, synced copy while the engine works; its size in bytes."""

    def close(self) -> None:
        """Close for good; every applied op is on disk."""

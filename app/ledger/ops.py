"""The ops on queues, their outcomes, and the contract that every engine keeps.

An op is a request to the ledger; an engine applies a batch of them in one transaction with one sync.
``tests/contract`` states each promise as behaviour and runs on every engine:

* **Together or not at all.** All ops of a batch are on disk, in order, or the engine raises and none is.
* **Independent counters.** ``cursor``, ``taken`` and ``jumped`` each move by their own statement;
  none is derived from another, so that an audit can compare them.
* **Filed with what it answers.** The answer of a key is stored in the same transaction (see ``serve.py``).
* **Endings stay.** An ending is lifted by :class:`Retry` (a failed one) and by a new definition, and by
  nothing else. :class:`Fail` makes any but *closed* a failed one.
* **A row for each creation.** Deleting keeps name, cursor and generation; defining again goes on after the
  cursor, unless ``reset``, which starts at 0 in the next generation. Either, and another source for a queue
  whose cursor is 0, makes a new row with counters at 0. What was inside the one before counts as purged, and
  is swept in slices; its tokens and the keys of its items mean nothing to the new one. Answers are found as
  long as the generation is the same.
* **Editions.** Closing, retrying and advancing raise the edition of a row.

The ops on items, and what they promise, are in ``work.py``; hand-outs, settling and keys in ``serve.py``.

An op that finds its queue otherwise than it expects changes nothing, and its outcome is a :class:`Conflict`.
One that raises changes nothing either, nor does the rest of its batch. An engine says :class:`EngineFailed`
when the disk is at fault and :class:`OpFailed` when the op is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from .access import AddToken, RevokeToken
from .serve import Applied
from .work import DEFAULT_SETTINGS, Purge, Push, QueueSettings, Redrive, Sweep

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
    settings: QueueSettings | None = None
    configured: Configured = "http"
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop (or, with ``paused`` false, go on with) handing out."""

    queue: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Close:
    """End draws and pushes for good; the items inside are still handed out."""

    queue: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Lift a failure, so that the source is opened again after the cursor."""

    queue: int


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail a source that can't be opened as it is defined, whatever its state was, unless it is closed."""

    queue: int
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Jump forward to ``to_seq``: the items in between count as jumped.

    ``keeps_mark``: the source goes on above its last value, whatever its seq (snowflake, uuid7).
    """

    queue: int
    to_seq: int
    keeps_mark: bool = False


@dataclass(frozen=True, slots=True)
class Accept:
    """Let a ledger that is a copy be used: from now on it may hand out. Of any other it changes nothing."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a queue; its name, cursor and generation stay. Its items count as purged, and are swept later.

    If the op is not ``confirmed``, only an empty queue is deleted; otherwise the outcome is its row,
    unchanged.
    """

    queue: int
    confirmed: bool = True


OnQueue = Define | Pause | Close | Retry | Fail | Advance | Delete | Push | Redrive | Purge | Sweep
Op = OnQueue | AddToken | RevokeToken


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as the ledger has it; the outcome of every op on queues. Times: ledger milliseconds.

    There is a row for each creation; ``root`` is the id of the first one of the name, and ``base`` is where
    the cursor was at the creation of this one. What was drawn for an older ``edition`` is not handed out.
    ``configured`` tells whether the configuration file defined it last, or a request. ``paused_at`` and
    ``ended_at``: since when it is paused, or has ended; None where it is not, or that is not known.
    ``failure_place``: where in its author's code a source failed, as far as that is known.
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
    paused_at: int | None = None
    ended_at: int | None = None
    failure_place: str | None = None

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

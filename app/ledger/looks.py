"""What can be seen of a queue: its counts, its items, what failed, and who took or acked what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

ItemState = Literal["waiting", "leased", "dead"]

HistoryVerb = Literal["taken", "acked"]


@dataclass(frozen=True, slots=True)
class Counts:
    """The items inside a queue, counted run by run at one moment; and the counters of its row at that moment.

    ``waiting`` includes ``delayed`` ones. ``oldest``: since when the longest waiting one could be claimed.
    ``overlaps``: pairs of runs that share a seq; there must be none. ``base``: the cursor at its creation.
    """

    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    delayed: int
    leased: int
    dead: int
    oldest: int | None
    overlaps: int
    base: int = 0


class Copied(NamedTuple):
    """What a ledger was copied from: what was handed out since is not in it.

    ``name`` is that of the backup; ``at``: when it was made; ``accepted``: since when it may hand out, None
    while nobody has said so. Both are in milliseconds of Unix time.
    """

    name: str
    at: int
    accepted: int | None


DAMAGED = "damaged"
"""The error of an item whose kept value is not what was written; and its text, which is no JSON."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item inside a queue. ``text`` is None where the queue's source computes it, or :data:`DAMAGED`.

    ``due``: since or from when it can be claimed; of a leased one, when the lease ends; of a dead one, since
    when it is dead. ``worker``: who holds it, or held it last. ``began``: since when a leased one is held.
    """

    seq: int
    state: ItemState
    attempt: int
    priority: int
    due: int
    worker: str
    text: str | None = None
    began: int = 0


class Kept(NamedTuple):
    """When the value of an item was pushed, or drawn (0: that is not known), and who pushed it.

    ``caller`` is the name of that one; empty where nobody is known, and for values of a source.
    """

    at: int
    caller: str


@dataclass(frozen=True, slots=True)
class FailureRow:
    """One failed attempt of an item: a nack, or a lease that expired. ``began``: when it was handed out.

    0: that is not known.
    """

    attempt: int
    at: int
    worker: str
    error: str
    began: int = 0


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """Consecutive items that one answer took or acked; ``id`` orders the rows by time.

    ``key`` is the answer's idempotency key, None where it had none; ``worker`` held what was acked.
    """

    id: int
    generation: int
    first: int
    last: int
    verb: HistoryVerb
    at: int
    caller: str
    key: str | None
    worker: str

"""The ops on items (push, redrive, purge, sweep), the entries of settlings, and the contract of both.

See the design's section 7.

* **A run** is consecutive items of one queue that share a state. A waiting run has no token; a leased one has
  the token of its lease answer until ``due``; a dead one waits for a redrive or a purge.
* **One rule:** a run can be claimed when it is not dead and ``due <= now``. So an expired lease needs no
  reaper: its due has passed. Claims go by priority, then due, then seq.
* **One owner:** a token is live while its run has it and ``now < due``. Whatever is not live is ``stale`` and
  changes nothing, an expired lease that nobody else has claimed yet included.
* **Attempts** count hand-outs under a lease. A run that is handed out for the n-th time has attempt n. One
  that is nacked with ``attempt >= max_attempts`` is buried: it is dead. A release does not count.
* **A worker's death costs only the item that it may have died of.** An answer of one item that expires has
  used an attempt; with ``attempt >= max_attempts`` it is dead from its due on, for every op and every look:
  claims, redrives and purges write it down. An answer of many that expires has used none: what is left of it
  is handed out again with the attempt that it had, in leases of half as many items as it had and of no
  others, until the item that its workers die of is alone. Takes for good take whatever is due.
* **Per run, not per item:** a lease of fresh items is one run; an ack of all of it deletes it; an ack of
  some splits it.
* **Values** that can't be computed live in blocks: immutable, deleted with the last item of theirs.
* **Balance:** taken + acked + purged + jumped + the items in runs = cursor - base, in every row of a queue,
  always; each counter moves by what its own op did, and runs are counted one by one.
* **History**, where a queue's ``history`` asks for it: a row for each range of an answer that took or acked
  items, in the same transaction. It belongs to the queue's name and generation, and outlives both.
* **Keys of items** are known for the queue's ``item_key_ttl``, or until the item is purged or the queue is
  deleted: a known one is not pushed again, and the seq of the first push is told.

Ops on what is not as they expect don't raise: their outcomes say ``stale`` or ``refused``, since a queue can
be closed or deleted while they are in the line. Durations are milliseconds, instants ledger time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Seqs = tuple[tuple[int, int], ...]
"""Ranges of seqs, both ends included, in order, not overlapping."""

MAX_SEQ = 2**53 - 1
"""Where every queue ends: the largest seq that each reader of JSON keeps exactly."""

Refusal = Literal["unknown", "closed", "source", "full", "paused", "stale", "end"]
"""Why a queue did not take or give: there is none of the name, it is closed, fed by a source, over
``max_ready``, paused. ``stale``: an ack with push did nothing, for others of its items are stale."""

FOREVER = 2**63 - 1
"""The expiry of what is kept for ever."""


def expiry(now: int, ttl: int) -> int:
    """The instant until which something is kept."""
    return min(now + ttl, FOREVER)


LAST_PRIORITY = 9
"""The priority of what is handed out last; that of what is handed out first is 0."""

FAILURES_KEPT = 10
"""Failures of one item that are kept, the last ones."""

ERRORS_BYTES = 1 << 20
"""Bytes of errors that the nacks of one settle write: each item has its own, so that of many is cut."""

ERROR_LEAST = 200
"""Bytes of an error that are kept in any case."""


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    ``max_attempts``: hand-outs after which a failing item is dead; None: never. ``backoff``: the delay after
    the first nack, doubled with each further attempt up to ``backoff_max``; ``jitter`` (0 to 1) is the share
    of it that is left to chance. ``max_ready``: items that may wait (delayed ones too) before producers are
    refused; None: any number. ``key_ttl``: how long the answer of an idempotency key is kept;
    ``item_key_ttl``: how long the key of a pushed item is known; :data:`FOREVER` for ever, None: as long as
    the server's limits say. ``history``: how long it is kept who took or acked which items; 0: not at all.
    A change of these settings leaves the times of keys and history that are kept already as they are.
    """

    max_attempts: int | None = 10
    backoff: int = 1_000
    backoff_max: int = 3_600_000
    jitter: float = 0.1
    max_ready: int | None = None
    key_ttl: int | None = None
    item_key_ttl: int | None = None
    history: int = 0

    def delay(self, attempt: int, chance: float) -> int:
        """Milliseconds until attempt ``attempt + 1`` after a nack; ``chance`` is from 0 to 1."""
        full = min(self.backoff_max, self.backoff * (1 << min(attempt - 1, 40)))
        return int(full * (1 - self.jitter * chance))

    def buries(self, attempt: int) -> bool:
        """Whether an item that failed at this attempt has used up its attempts."""
        return self.max_attempts is not None and attempt >= self.max_attempts


DEFAULT_SETTINGS = QueueSettings()


class Span(NamedTuple):
    """Consecutive items that were handed out together, for the ``attempt``-th time."""

    first: int
    last: int
    attempt: int = 1

    @property
    def size(self) -> int:
        """How many items these are."""
        return self.last - self.first + 1


class Traced(NamedTuple):
    """Consecutive items that one request pushed, and its W3C ``traceparent``."""

    first: int
    last: int
    parent: str


class Parcel(NamedTuple):
    """Items pushed alike: JSON texts, one ``delay`` and ``priority``, and a key for each or for none."""

    texts: tuple[str, ...]
    delay: int = 0
    priority: int = 0
    keys: tuple[str | None, ...] | None = None


class Push(NamedTuple):
    """Add items at the end of a queue that has no source.

    ``bounded``: refused whole where ``max_ready`` would be passed. ``key_ttl`` (milliseconds) is for the keys
    of the items, where the queue has no ``item_key_ttl`` of its own. ``parent``: the traceparent of the push.
    ``caller``: the name of who pushes; empty where nobody is known.
    """

    queue: int
    parcels: tuple[Parcel, ...]
    key_ttl: int = 86_400_000
    bounded: bool = True
    parent: str | None = None
    caller: str = ""


class Pushed(NamedTuple):
    """The outcome of a push. ``seqs``: of each item, in order; ``known``: positions of items with known keys.

    ``refused``: nothing was pushed. ``due``: the earliest instant at which one of them can be claimed.
    ``ready`` counts what waits or is delayed, where a push was refused as full.
    """

    seqs: Sequence[int] = ()
    known: tuple[int, ...] = ()
    due: int | None = None
    refused: Refusal | None = None
    ready: int = 0


class Result(NamedTuple):
    """A result: one item that an ack pushes into another queue, by name; ``parent`` is its traceparent."""

    queue: str
    text: str
    delay: int = 0
    priority: int = 0
    key: str | None = None
    parent: str | None = None


class Ack(NamedTuple):
    """These items are done.

    With ``push`` it is all or nothing: one stale seq, or one target that does not take its result, and the
    entry changes nothing.
    """

    token: str
    seqs: Seqs | None = None
    push: tuple[Result, ...] = ()


class Nack(NamedTuple):
    """These items failed. ``delay`` None: the queue's back-off. ``dead``: even if attempts are left.

    ``error`` is kept for each of them; of many items shortened, so that what one op writes stays about within
    :data:`ERRORS_BYTES`, but no shorter than :data:`ERROR_LEAST`.
    """

    token: str
    seqs: Seqs | None = None
    delay: int | None = None
    error: str = ""
    dead: bool = False


class Extend(NamedTuple):
    """These items take longer: their lease ends ``ttl`` after the commit, under the same token."""

    token: str
    ttl: int
    seqs: Seqs | None = None


class Release(NamedTuple):
    """These items were not begun: they wait again at once, and the hand-out does not count."""

    token: str
    seqs: Seqs | None = None


Entry = Ack | Nack | Extend | Release


Verdict = Literal["acked", "nacked", "extended", "released", "dead", "stale", "refused"]
UNCHANGED: Final[frozenset[Verdict]] = frozenset({"stale", "refused"})
"""The verdicts of items that are as they were."""


class Settled(NamedTuple):
    """The outcome of consecutive items of one entry. ``first`` is None if the token holds nothing at all.

    ``due``: when a nacked item can be claimed again, or when an extended lease ends. ``reason``: why an ack
    with push was refused; ``target``: by which queue, if it was by one.
    """

    verdict: Verdict
    first: int | None = None
    last: int | None = None
    due: int | None = None
    reason: Refusal | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Redrive:
    """Let dead items wait again with attempt 0: those of ``seqs`` or all, the first ``limit`` of them.

    ``rate`` (items a second) spreads their dues; without it they are due at once. It goes in slices: one op
    moves so many, and the next goes on from its outcome, ``part``. ``expect``: how many its caller has seen.
    Where it is another number as the first slice begins, nothing moves, and the outcome says how many were
    ``found``; what dies later is left alone.
    """

    queue: int
    seqs: Seqs | None = None
    limit: int | None = None
    rate: float | None = None
    part: Moved | None = None
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Purge:
    """Drop the items of these states for good; they count as purged. Leased items stay with their holders.

    An expired lease counts as waiting, or as dead. The keys of the items are forgotten. It goes in
    slices, as a redrive does, over the items that there are at the first of them, up to ``upto`` if that
    is said. ``expect``: how many its caller has seen; where there are more, nothing moves, and never more
    than these. What dies, or expires, after the first slice is left alone then. ``seen``: how many there
    were a moment before, where some wait: they are not counted within a transaction, which would take long.
    """

    queue: int
    states: tuple[Literal["waiting", "dead"], ...]
    part: Moved | None = None
    expect: int | None = None
    seen: int = 0
    upto: int | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Remove some of the items that a deleted queue has left; the outcome has a ``rest`` if more are left."""

    queue: int


@dataclass(frozen=True, slots=True)
class Moved:
    """How many items the slices of a redrive or a purge moved, and when the first of them is due.

    ``rest``: the op is not finished; it goes on after this seq, up to ``upto``. Until then ``due`` is when it
    began. ``found``: how many items match, where its caller expects another number: nothing was moved.
    """

    count: int
    due: int | None = None
    rest: int | None = None
    upto: int = 0
    found: int | None = None

    @property
    def begun(self) -> bool:
        """Whether any item was looked at."""
        return self.count > 0 or self.rest != 0

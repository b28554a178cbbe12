"""The op of a round, ``Serve``, and the contract that every engine keeps for it (see the design's section 4).

An **ask** is what one caller wants of one queue: entries to settle, items to hand out, a key. A **Serve** is
the asks of one queue in one round, in order of arrival, with what its source can give. In the transaction:

1. **Keys** of all ops of the batch, in one look-up, of deleted queues too. A known key gives its filed
   answer; of two asks with one key the second gets the answer of the first.
2. **All other ops**, in their order.
3. **Entries** of all asks, in order, so that what they free can go to asks that stood in line before.
4. **Hand-outs** of all asks, in order: waiting items, else fresh ones, never both in one answer. The first
   that gets nothing ends the pass of its queue (a block: for blocks only).

* **Whatever decides is read in the transaction.** What an answer says for good (deleted, exhausted, failed,
  stale, superseded) was true in it.
* **What changed is filed** under the key, in the same transaction; an answer that changed nothing is not.
* **Editions.** Closing, retrying and advancing raise the edition of a queue's row; a definition that changes
  the source, a reset and a re-creation make a new row. Fresh values that were drawn for another edition are
  not granted.
* **The end** of a source is recorded as soon as all values before it are granted, asks or not.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from .work import Entry, Settled, Span, Traced

Why = Literal[
    "empty",
    "dry",
    "paused",
    "exhausted",
    "failed",
    "deleted",
    "moved",
    "key-reused",
    "key-superseded",
    "damaged",
]
"""Why an ask got no items.

``empty``: nothing waits, and something may come. ``dry``: the source has not ended, and this Serve had no
value of it left. ``paused``, ``exhausted`` (nothing inside but the dead; closed queues too), ``failed``,
``deleted``: the state of the queue. ``moved``: the op names a row that is not the name's newest, or fresh
values of another edition: ask again. ``key-reused``: another request has this key. ``key-superseded``: a
later request of the session has been answered. ``damaged``: the filed answer is not what was written.
"""

Place = Literal["same", "later", "key-reused", "key-superseded"]
"""What a request is to an earlier one with its key: sent again, later in its session, or refused."""

MarkOf = Literal["digest", "text"]
"""What the ledger keeps of the last value that was granted: its digest, or what its JSON text says."""


class Key(NamedTuple):
    """An idempotency key; ``digest`` tells one request from another under it.

    ``n``: the number of the request in a session that counts its requests up, one at a time; 0 without.
    """

    text: str
    digest: str
    n: int = 0
    caller: str = ""

    def beside(self, n: int, digest: str) -> Place:
        """What a request with this key is to one with this number and digest, which came before."""
        if n == self.n:
            return "same" if digest == self.digest else "key-reused"
        if not (n and self.n):
            return "key-reused"
        return "later" if n < self.n else "key-superseded"


class Holder(NamedTuple):
    """The holder of a lease: the items belong to ``token`` until ``ttl`` milliseconds after the commit."""

    token: str
    ttl: int
    worker: str = ""


class HandOut(NamedTuple):
    """Items to hand out: at most ``most`` of them, and ``room`` bytes of kept values (one item at least).

    For good, or on the terms of a ``holder``. A ``block`` is fresh items of a computed source only.
    """

    most: int
    room: int
    holder: Holder | None = None
    block: bool = False


class Ask(NamedTuple):
    """What one caller wants of one queue. ``chance`` (0 to 1) is the jitter of its nacks.

    ``settled``: what became of its entries, which a batch before has put on disk: they are not settled
    again, and the hand-out is filed into that answer while the row is still its own. ``caller`` asks, for the
    history; its key has the same.
    """

    handout: HandOut | None = None
    entries: tuple[Entry, ...] = ()
    key: Key | None = None
    chance: float = 0.0
    settled: tuple[tuple[Settled, ...], ...] | None = None
    caller: str = ""


class End(NamedTuple):
    """How a source ended: exhausted, or failed with its cause.

    ``place``: where in its author's code that was; empty: that is not known.
    """

    ending: Literal["exhausted", "failed"]
    type: str = ""
    message: str = ""
    place: str = ""


class Drawn(NamedTuple):
    """Values that were drawn from an opening of a source and are not granted yet: JSON texts, in order.

    ``first`` is the seq of the first. Of a source whose values belong to no seq (``opening`` is then its
    number, from 1 on), it counts from 1 in this opening instead, and the engine grants past what it has
    granted of that opening already. ``end``: nothing comes after them. ``mark``: what is kept of the last
    that is granted.
    """

    first: int
    texts: tuple[str, ...] = ()
    end: End | None = None
    mark: MarkOf | None = None
    opening: int = 0


class Serve(NamedTuple):
    """The asks of one queue in one round. ``queue`` is the id of its row; ``edition`` that of what is drawn.

    ``length``: the number of values of a computed source, which is None for other queues. ``key_ttl`` and
    ``item_key_ttl`` (milliseconds) are for the keys of requests and of pushed results, where their queue has
    no setting.
    """

    queue: int
    edition: int
    asks: tuple[Ask, ...]
    drawn: Drawn | None = None
    length: int | None = None
    key_ttl: int = 86_400_000
    item_key_ttl: int = 86_400_000


class Handed(NamedTuple):
    """The items of one answer, in the order of ``spans``.

    ``values``: JSON texts, one an item; None where they are computed, by ``source`` (name, arguments) in a
    filed answer, else by the queue's own. ``due``: when the lease of ``token`` ends. ``fresh``: they had
    never been handed out, and ``spans`` is one span. ``traces``: of leased items those that were pushed with
    a traceparent; None: none was.
    """

    spans: tuple[Span, ...]
    values: tuple[str, ...] | None = None
    token: str | None = None
    due: int | None = None
    source: tuple[str, str] | None = None
    fresh: bool = False
    traces: tuple[Traced, ...] | None = None

    @property
    def size(self) -> int:
        """How many items were handed out."""
        return sum([span.last - span.first + 1 for span in self.spans])


class Served(NamedTuple):
    """What came of one ask.

    ``entries``: for each entry what became of its ranges, in the order of seqs. ``handed``: None if nothing
    was; then ``why`` says why, unless nothing was asked for. ``state``: one word for the queue after this ask
    (``open``, ``exhausted``, ``failed``, ``closed``, ``paused``). ``replayed``: the answer was filed before.
    A replay of entries whose hand-out was made just now is no replay: ``known``, as another request with the
    key has settled them. Nor is one in the batch that settles them, where the hand-out is still to be made.
    """

    entries: tuple[tuple[Settled, ...], ...] = ()
    handed: Handed | None = None
    why: Why | None = None
    state: str = "open"
    replayed: bool = False
    known: bool = False


class After(NamedTuple):
    """A queue that a batch has touched, as of the end of the batch.

    ``next_due``: nothing inside can be claimed before that instant (it may be later, and in the past where a
    claim stopped early); None: nothing is inside but the dead. ``over``: it has ended, and nothing is inside
    but the dead. ``deleted`` is true of a row that is not the name's newest, too. ``failure``: type and
    message of a failed source.
    """

    queue: int
    edition: int
    cursor: int
    ending: Literal["exhausted", "failed", "closed"] | None
    failure: tuple[str, str] | None
    paused: bool
    deleted: bool
    next_due: int | None
    over: bool


class Keyed(NamedTuple):
    """Any other op, once for its key.

    The outcome is :class:`Replay` where it was filed before, and a refusal (``key-reused``,
    ``key-superseded``) where it is not this request's. A purge or redrive that is filed unfinished goes on
    from there. ``ttl`` (milliseconds) is for a queue that has no ``key_ttl`` of its own.
    """

    op: object
    key: Key
    ttl: int = 86_400_000


class Replay(NamedTuple):
    """The outcome that was filed under a key."""

    outcome: object


class Refusal(NamedTuple):
    """Why a keyed op was not applied: as in :data:`Why`."""

    why: Why


class Applied(NamedTuple):
    """A batch that is applied: the outcomes of its ops, in order, and the queues that it touched, by row.

    ``now`` is its instant. ``outcomes`` has for a :class:`Serve` a tuple of :class:`Served`, one for each
    ask. ``number`` is that of the transaction, 0 if it wrote nothing.
    """

    outcomes: tuple[object, ...]
    after: dict[int, After]
    now: int
    number: int

"""The inbox: items that programs pushed in their own transactions, and what becomes of them.

See the design's section 7b. Some engines have an inbox; whoever writes to such a ledger drains it:

* **Look, apply, then look again.** A look finds rows; :class:`TakeIn` pushes them and takes them out of the
  inbox in the same transaction, and only when that is decided comes the next look. So a row is pushed once,
  and rows of one queue keep their order when a transaction fails.
* **Nothing is skipped.** A transaction with a lower number may commit later than one with a higher one. The
  next look begins after a row only where nothing can appear before it any more.
* **Nothing is dropped.** What can't be taken is kept with its reason. What a full queue has no room for stays
  where it is, and others are not held up by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Place(NamedTuple):
    """Which row of the inbox: the transaction that pushed it, and the number of the push.

    ``at`` (microseconds, the database's clock) is when. After a database has lost some the two numbers are
    given to other pushes.
    """

    tx: int
    n: int
    at: int = 0


class Arrival(NamedTuple):
    """A row of the inbox: an item for a queue, by name. ``due`` (ledger time): not before; 0: at once."""

    place: Place
    queue: str
    text: str
    key: str | None = None
    due: int = 0
    priority: int = 0


class Unfit(NamedTuple):
    """A row that can't be taken, and why, in words."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class TakeIn:
    """Push what a look has found, and take it out of the inbox: an op, whose outcome is :class:`TakenIn`.

    ``unfit`` can't become items. ``key_ttl`` (milliseconds) is for the keys of items whose queue has no
    ``item_key_ttl`` of its own. Without arrivals it changes nothing, and tells that all before it is decided.
    """

    arrivals: tuple[Arrival, ...] = ()
    unfit: tuple[Unfit, ...] = ()
    key_ttl: int = 86_400_000

    @property
    def size(self) -> int:
        """Characters of the values."""
        return sum([len(arrival.text) for arrival in self.arrivals])


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What became of the rows of a look. ``taken`` were pushed, or their key is known; they leave the inbox.

    ``pushed`` counts the new items of each queue. ``full``: the queues that had no room for all of theirs,
    which stay where they are.
    """

    taken: tuple[Place, ...] = ()
    refused: tuple[Unfit, ...] = ()
    full: frozenset[str] = frozenset()
    pushed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoundInbox:
    """Tell the database the limits of what is pushed there, and to which queues nothing more may be: an op.

    ``stopped`` None: as it is. ``notify``: each push is to be told to who listens. Its outcome is itself.
    """

    value_bytes: int
    key_bytes: int
    delay: int
    stopped: tuple[str, ...] | None = None
    notify: bool = False


class Look(NamedTuple):
    """What a look has found. ``whole``: there was no more than this. ``upto``: where the next may begin."""

    arrivals: tuple[Arrival, ...]
    unfit: tuple[Unfit, ...]
    whole: bool
    upto: int


class Measure(NamedTuple):
    """How many rows the inbox has, up to a bound; how old (seconds) its first is; how many are refused."""

    length: int
    oldest: float | None
    refused: int


class RefusedRow(NamedTuple):
    """A row that could not be taken. ``value`` is a JSON text; instants are milliseconds since 1970."""

    id: int
    queue: str
    value: str
    key: str | None
    at: int
    reason: str
    refused_at: int


class InboxUnreadable(Exception):
    """The inbox can't be looked at now."""


class Inbox(Protocol):
    """The inbox of a ledger, for the one who may write to it. A look and what becomes of it take turns."""

    @property
    def full(self) -> Collection[str]:
        """The queues whose rows are left out of looks."""

    @property
    def hears(self) -> bool:
        """Whether each push is told to who listens."""

    def listen(self, told: Callable[[], None]) -> None:
        """Let ``told`` be called, on any thread, once something was pushed, or may have been."""

    def look(self, text: Callable[[str], str], now: Callable[[], int], most: int) -> Look:
        """Look at up to ``most`` rows. ``text`` makes the ledger's text of a value, or raises ValueError.

        Raises:
            InboxUnreadable: the database does not answer.
        """

    def committed(self, taken: TakenIn) -> None:
        """The transaction with what the last look has found is on disk."""

    def failed(self) -> None:
        """Nothing of that transaction is on disk."""

    def roomy(self, queue: str) -> None:
        """A full queue has room again, or is gone."""

    def measure(self, most: int) -> Measure:
        """How much there is; of more than ``most`` rows only that there are so many."""

    def refused(self, queue: str | None, after: int, most: int) -> list[RefusedRow]:
        """Rows that could not be taken, of one queue or of all, whose id is above ``after``, in order."""

    def retry(self, queue: str | None) -> int:
        """Put what was refused into the inbox again; how many rows that were."""

    def close(self) -> None:
        """Let go of the connection."""

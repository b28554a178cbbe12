"""The store: verbs on rows, by which the algorithms of this folder read and write the ledger.

What is written is collected, and goes out as few statements for many rows: before a verb reads that could
see it, and at the end of the transaction. Who changes a row has read it in the same transaction. All that a
transaction changes passes through these verbs, and so do look-ups of keys and of kept values: another store
may ship the changes, and answer the look-ups from elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from ..access import AccessToken
from ..actions import Action
from ..looks import ItemState, Kept
from ..ops import QueueRow
from ..work import Traced
from .rows import Acked, Answer, Block, Failed, ItemKey, Name, Record, Run

QueueMove = tuple[int | str | None, ...]
"""How a queue has moved: its cursor; by how much taken, jumped, acked, purged, dead have grown; its mark.

Then the number of the transaction, its id and where its cursor was, by which the row is found.
"""


class Queues(Protocol):
    """Rows of queues, as :class:`~.accounts.Account` takes them."""

    def by_id(self, queue: int) -> tuple[QueueRow, int] | None:
        """The row of a queue, a deleted one's too, and how many of its items are dead."""

    def by_name(self, name: str) -> tuple[QueueRow, int] | None:
        """The newest row of this name, a deleted one's too, and how many of its items are dead."""

    def create(self, row: QueueRow) -> int:
        """A new row with its cursor at its base and all counters at 0; its id. Its root, if 0, is itself."""

    def remove(self, queue: int) -> None:
        """Remove a row."""

    def move(self, move: QueueMove) -> None:
        """Move counters. OpFailed where the cursor is not where the transaction found it."""

    def change(self, row: QueueRow) -> None:
        """Write what a row says, but for its cursor and counters."""


class Runs(Protocol):
    """Rows of runs. Those that a verb gives out lazily must not change while they are read."""

    def insert(self, queue: int, run: Run) -> None:
        """A new row."""

    def change(self, queue: int, run: Run) -> None:
        """Change the row that begins where this run begins: all but its priority and where its values are."""

    def remove(self, queue: int, first: int) -> None:
        """Remove the row that begins here."""

    def ack(self, held: Sequence[tuple[int, str]], now: int) -> list[Acked]:
        """Remove all that these tokens hold, each of a queue; what that was, in any order."""

    def claimable(self, queue: int, above: int) -> Iterator[Run]:
        """What is not dead, from the level below priority ``above`` on, in the order of claims."""

    def held(self, queue: int, token: str, now: int) -> list[Run]:
        """What a live token holds, in order."""

    def lapsed(self, queue: int, tokens: Sequence[str], now: int) -> list[Run]:
        """What these tokens hold no longer, since their lease has expired; in any order."""

    def crowd(self, queue: int, token: str, now: int) -> Iterator[Run]:
        """What is left of an answer that has expired, in the order of claims."""

    def spent(self, queue: int, now: int, most: int) -> list[Run]:
        """What is dead and not written so (see ``Run.spent``), up to ``most`` runs."""

    def dead(self, queue: int, first: int, last: int, most: int) -> list[Run]:
        """Dead runs that have any of these seqs, in order, up to ``most``."""

    def count_dead(self, queue: int, ranges: Sequence[tuple[int, int]]) -> int:
        """How many items of these ranges are dead, and written so."""

    def within(self, queue: int, first: int, last: int, most: int) -> list[Run]:
        """All runs that have any of these seqs, in order, up to ``most``."""

    def inside(self, queue: int, state: ItemState | None, after: int, now: int) -> Iterator[Run]:
        """Runs of one state, or of all, from the one on that may have the seq after ``after``, in order."""

    def leased_or_spent(self, queue: int, now: int) -> int:
        """How many items are leased, or are dead and not written so."""


class Blocks(Protocol):
    """Rows of blocks: immutable, one after the other in the order of seqs."""

    def insert(self, queue: int, first: int, last: int, texts: bytes, kept: Kept) -> None:
        """A new block."""

    def read(self, queue: int, seq: int) -> Iterator[Block]:
        """The blocks from the one on that may have this item."""

    def after(self, queue: int, seq: int) -> Block | None:
        """The next block that begins after this item."""

    def gone(self, queue: int, first: int, last: int) -> None:
        """These items are gone.

        At the end of the transaction so are the blocks of theirs that no run overlaps any more.
        """


class Failures(Protocol):
    """Rows of failed attempts."""

    def add(self, queue: int, failed: Failed) -> None:
        """Add a row for each of the items."""

    def trim(self, queue: int, first: int, last: int) -> None:
        """Of each of these items only the last :data:`~..work.FAILURES_KEPT` stay."""

    def forget(self, queue: int, first: int, last: int) -> None:
        """Remove those of these items."""


class Traces(Protocol):
    """Rows of the traceparents with which items were pushed; of one queue they don't overlap."""

    def add(self, queue: int, traced: Traced) -> None:
        """Add a row."""

    def last(self, queue: int) -> int:
        """The last item that is in a row; 0: none is."""

    def find(self, queue: int, first: int, last: int) -> list[Traced]:
        """The rows that have some of these items, in order."""

    def gone(self, queue: int, first: int, last: int) -> None:
        """These items are gone.

        At the end of the transaction so are the rows of theirs that no run overlaps any more.
        """


class ItemKeys(Protocol):
    """Rows of the keys of pushed items.

    ``far``: they are elsewhere, and each look-up takes its time; so those of a transaction are ``expected``.
    """

    far: bool

    def expected(self, wanted: Collection[ItemKey]) -> None:
        """A transaction begins that will ask for these, and hardly for others."""

    def known(self, queue: int, generation: int, keys: Sequence[str], now: int) -> dict[str, int]:
        """Those of the keys that are known, with the seqs of their items."""

    def learn(self, queue: int, generation: int, keys: Iterable[tuple[str, int]], expires: int) -> None:
        """Keep keys with their seqs."""

    def forget(self, queue: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove those of these items."""


class Answers(Protocol):
    """Rows of filed answers."""

    def find(self, names: Sequence[Name]) -> dict[Name, Answer]:
        """Those of the answers that are on file, expired ones too."""

    def file(self, name: Name, answer: Answer) -> None:
        """File an answer, in the place of one that may be there."""

    def refile(self, name: Name, answer: Answer, *, n: int, longer: bool) -> None:
        """Put an answer in the place of the one in its row, which is that of the request ``n``.

        Not ``longer``: that expires at the same time.
        """


class History(Protocol):
    """Rows of who took or acked what."""

    def add(self, record: Record) -> None:
        """Add a row."""


class AccessTokens(Protocol):
    """Rows of access tokens."""

    def find(self, token: str) -> AccessToken | None:
        """The token with this id."""

    def put(self, token: AccessToken) -> None:
        """Add a row, or change the one with its id."""

    def prune(self, before: int) -> None:
        """Remove the rows of what was revoked, or has expired, before this instant."""


class Actions(Protocol):
    """Rows of who did what."""

    def add(self, action: Action) -> None:
        """Add a row; of all only the last :data:`~..actions.KEPT` stay."""


class Store(Protocol):
    """All rows of a ledger, in one transaction at a time."""

    @property
    def queues(self) -> Queues:
        """The queues themselves."""

    @property
    def runs(self) -> Runs:
        """What is inside them."""

    @property
    def blocks(self) -> Blocks:
        """Values that can't be computed."""

    @property
    def failures(self) -> Failures:
        """Failed attempts."""

    @property
    def traces(self) -> Traces:
        """Of which trace pushed items are."""

    @property
    def item_keys(self) -> ItemKeys:
        """Keys of pushed items."""

    @property
    def answers(self) -> Answers:
        """Filed answers."""

    @property
    def history(self) -> History:
        """Who took or acked what."""

    @property
    def access(self) -> AccessTokens:
        """Who may ask."""

    @property
    def actions(self) -> Actions:
        """Who did what."""

    def sweep(self, queue: int, most: int) -> list[int]:
        """Remove up to ``most`` rows of each kind that a deleted queue has left; how many of each."""

    def accept(self, now: int) -> None:
        """Note that a copy may be used as the ledger, if it is one and that is not noted yet."""

    def write(self) -> None:
        """Write all that was collected."""

"""What a storage engine is to the writer, and to whoever looks at the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import LedgerError
from .access import AccessToken
from .actions import Action
from .inbox import Inbox
from .looks import Copied, Counts, FailureRow, HistoryRow, ItemRow, ItemState, Kept
from .ops import QueueRow
from .recovered import Recovered
from .serve import Applied
from .sights import Sights


class WritingEngine(Protocol):
    """The writing side of an engine. One thread uses it; only ``trouble`` is asked by others too."""

    @property
    def returns(self) -> bool:
        """Whether a ledger that can't be reached comes back by itself: a database does, a disk seldom."""

    def apply(self, ops: Sequence[Any]) -> Applied:
        """Apply all ops, `Serve` and `Keyed` too, in one transaction, synced; see ``serve.py``.

        Raises:
            CommitFailed: COMMIT failed; the error has what was computed.
            EngineFailed: the disk failed before; nothing of it is on disk.
            Exception: an op is at fault; nothing of it is on disk.
        """

    def number(self) -> int:
        """The number of the last transaction that is on disk; to be asked after a reopening."""

    def reopen(self) -> None:
        """Close, open, and make the disk agree with what is read; raises EngineFailed until it does."""

    def reserve(self) -> None:
        """Hold back the room that the next reopening may need; EngineFailed while there is none."""

    def trouble(self) -> LedgerError | None:
        """Why nothing may be applied although it could be: damage, or files that are gone."""

    def recover(self, *, accept_loss: bool, who: str = "") -> Recovered:
        """Go on after a loss: by writing back what is lost, or without it, as ``who`` has said.

        Raises:
            QueueConflict: it can't be, and why.
            LedgerUnavailable: it failed, and can be tried again.
        """

    def rescue(self) -> str | None:
        """Save the content of open files whose names are gone; return in words what was done.

        To be called again until they are back, and once then.
        """

    def unheard(self) -> float | None:
        """Seconds until :meth:`keep_time` is due; None while no lease needs it."""

    def keep_time(self) -> None:
        """Persist ledger time, so that an expired lease can't be live again after a crash."""

    def close(self) -> None:
        """Close for good; every applied op is on disk."""


class Engine(WritingEngine, Protocol):
    """An engine with all its looks, which are for any thread."""

    kind: str
    path: str
    copied: Copied | None
    """What it was copied from, as it was when it was opened."""
    sights: Sights
    inbox: Inbox | None
    """What programs push in their own transactions, where there is such a thing."""

    @property
    def folder(self) -> Path | None:
        """The folder of the ledger; None in memory."""

    @property
    def sure(self) -> bool:
        """Whether this server may say what the ledger is like without asking: a transaction asks, if not."""

    @property
    def durable(self) -> bool:
        """Whether a commit is a sync of a disk."""

    def rows(self) -> list[QueueRow]:
        """The rows of all queues, deleted ones too."""

    def unswept(self) -> list[int]:
        """The deleted queues that have left items."""

    def row(self, queue: int) -> QueueRow | None:
        """One queue as it is on disk now."""

    def item_keys(
        self, queue: int, generation: int, prefix: str, *, after: str, most: int
    ) -> list[tuple[str, int]]:
        """The keys of items that are known, with their seqs: those that begin so and come after ``after``."""

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

    def history(
        self, name: str, seq: int | None, after: int, most: int, before: int | None = None
    ) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name (all generations), from oldest to newest.

        ``seq``: of this item only; ``after``: rows with a larger id; up to ``most``. With ``before``, and no
        ``seq``: rows with a smaller id, from newest to oldest.
        """

    def kept(self, queue: int, seq: int) -> Kept | None:
        """When the value of an item was kept, and who pushed it; None where it is computed, or done."""

    def item_key(self, queue: int, generation: int, seq: int) -> str | None:
        """The key with which an item was pushed; None where it had none, or that is forgotten."""

    def traceparent(self, queue: int, seq: int) -> str | None:
        """The traceparent with which an item was pushed; None where it had none, or is done."""

    def actions(self) -> list[Action]:
        """The last actions, oldest first."""

    def access_tokens(self) -> list[AccessToken]:
        """All access tokens, those that count no longer too, in the order in which they were made."""

    def now(self) -> int:
        """Ledger time, in milliseconds: never behind what was persisted."""

    def size(self) -> int:
        """Bytes that the ledger occupies."""

    def backup(self, to: str) -> int:
        """Write a consistent, synced copy while the engine works; its size in bytes."""

"""What can be seen of a ledger beside its ops: sums, leases, what goes out next, dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, Protocol

ERROR_MOST: Final = 200
"""Characters of an error by which dead items are told apart."""

LEASES_MOST: Final = 20_000
"""Runs of leases of one queue that are looked at."""

WORKERS_MOST: Final = 5_000
"""Runs of leases of all queues that are looked at for their workers' names."""


class Inside(NamedTuple):
    """How many items of a queue wait (delayed ones too), are leased and are dead."""

    waiting: int
    leased: int
    dead: int


class Holding(NamedTuple):
    """One lease: its worker, when it ends (ledger milliseconds), how many items it has, in how many runs."""

    worker: str
    due: int
    items: int
    runs: int


class Workers(NamedTuple):
    """Who holds leases: the names by queue, '' for those without one. Not ``all``: of the first runs only."""

    names: Mapping[int, AbstractSet[str]]
    all: bool


class Next(NamedTuple):
    """A run of items that wait: its bounds, when it is due (ledger milliseconds), its priority."""

    first: int
    last: int
    due: int
    priority: int


class Death(NamedTuple):
    """A dead item, with its last failed attempt; ``at`` is in ledger milliseconds."""

    seq: int
    attempt: int
    at: int
    worker: str
    error: str


class Deaths(NamedTuple):
    """How many dead items have the same last error, by its beginning. ``newest``: their largest seq."""

    error: str
    items: int
    newest: int


class Sights(Protocol):
    """Looks at a ledger beside its transactions; they may take long, so never on the event loop.

    Raises:
        LedgerUnavailable: the ledger can't be read.
    """

    def inside(self) -> dict[int, Inside]:
        """Of each queue that holds something, by its row: what is inside. What expired waits, or is dead."""

    def holdings(self, queue: int) -> list[Holding]:
        """Who holds which leases of a queue, those that end first before; of at most ``LEASES_MOST`` runs."""

    def workers(self) -> Workers:
        """Who holds leases, of all queues; of at most ``WORKERS_MOST`` runs."""

    def first_due(self, queue: int) -> int | None:
        """When the first of what waits comes due, or came due; None where nothing waits."""

    def next(self, queue: int, most: int) -> list[Next]:
        """What goes out next of what waits, in the order of claims."""

    def newest_dead(self, queue: int, error: str | None, before: int | None, most: int) -> list[Death]:
        """Dead items below ``before``, newest seq first, with this last error (200 characters) or any."""

    def dead_by_error(self, queue: int, most: int) -> list[Deaths]:
        """How many of the 10,000 newest dead items have which last error, most frequent first."""

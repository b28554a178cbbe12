"""Ops for several callers: takes that share a draw, and workers that trade a lease for the next one.

An op for each caller costs more than its work. These ops do the same for many callers at once, and promise
the same: outcomes and filed answers are as if each caller had its own op, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .ops import Take
    from .work import Claimed


class Share(NamedTuple):
    """The part of one of several callers, filed under its ``key``; without a key nothing is filed."""

    key: str | None
    request: str
    count: int  # type: ignore[assignment]  # a tuple has a method of this name, which nobody needs


@dataclass(frozen=True, slots=True)
class Shares:
    """File the values of a :class:`Take` in ``parts``: to each caller the next of them, under its own key.

    The last may get fewer than it asked for, or nothing. ``ttl``, ``caller``, ``values`` and ``wide`` are as
    in :class:`Remember`.
    """

    parts: tuple[Share, ...]
    ttl: int
    caller: str = ""
    values: range = range(0)
    wide: bool = False

    def of(self, values: range, *, wide: bool) -> Shares:
        """The same, of these values."""
        return Shares(self.parts, self.ttl, self.caller, values, wide)


class Trade(NamedTuple):
    """One worker: ack all that ``token`` holds (None: nothing), and lease up to ``count`` items (0: none).

    The lease is on ``lease`` as its token, for ``ttl`` milliseconds.
    """

    token: str | None
    count: int = 0  # type: ignore[assignment]
    lease: str = ""
    ttl: int = 0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Each of several workers acks a whole lease and takes the next one, in one transaction.

    With ``take`` the leases are of its fresh items, in the order of ``trades``; else of what waits, and
    ``most_bytes`` bounds the values (one item at least). It is never filed under a key.
    """

    queue: int
    trades: tuple[Trade, ...]
    take: Take | None = None
    most_bytes: int = 0
    remember: None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The outcome of an :class:`Exchange`, as of ``now``.

    ``acked``: for each trade the ranges that were acked, neighbours joined; none where its token was stale.
    ``leases``: for each trade what its claim got; empty where nobody claimed: then the leases are of fresh
    items, and end ``ttl`` after ``now``. ``next_due``: that of the last claim, or the end of the first lease.
    """

    now: int
    acked: tuple[tuple[tuple[int, int], ...], ...]
    leases: tuple[Claimed, ...] = ()
    next_due: int | None = None

"""The last transactions of an owner, as they were sent: what a database has lost can be written back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from .pipeline import Statement

KEPT_BYTES: Final = 256 * 1024 * 1024
"""Bytes of memory for what an owner keeps, unless its settings say otherwise."""
_EACH: Final = 200
_STATEMENT: Final = 130
_VALUE: Final = 45
"""Bytes that a transaction, a statement and a parameter take beside what is in them, about."""


class Sent(NamedTuple):
    """A transaction that is there: its number, its ledger time, its statements."""

    n: int
    clock: int
    statements: Sequence[Statement]


class Shipped:
    """Keeps the last ``most`` bytes of transactions (measured: 4 to 6 µs each). Used by the writer's thread.

    ``after``: all transactions with a higher number are known. Those that are not kept among them changed
    nothing: they were beats.
    """

    def __init__(self, after: int, most: int = KEPT_BYTES) -> None:
        self.after = after
        self._most = most
        self._bytes = 0
        # Bytes, number, ledger time, statements: tuples of what refers to nothing, in which the search for
        # garbage does not look.
        self._kept: deque[tuple[int, int, int, tuple[tuple[str, tuple[bytes, ...]], ...]]] = deque()

    def add(self, sent: Sent) -> None:
        """Keep one that is there; the oldest ones go where it is too much."""
        if not sent.statements:
            return
        size = _EACH
        for _, values in sent.statements:
            size += _STATEMENT + _VALUE * len(values) + sum(map(len, values))
        self._kept.append(
            (size, sent.n, sent.clock, tuple([(of, tuple(has)) for of, has in sent.statements]))
        )
        self._bytes += size
        while self._bytes > self._most:
            size, self.after, _, _ = self._kept.popleft()
            self._bytes -= size

    def forget(self, after: int) -> None:
        """Drop all; from here on those with a higher number are known."""
        self._kept.clear()
        self.after, self._bytes = after, 0

    def above(self, n: int) -> list[Sent] | None:
        """Those with a higher number, in order; None where not all of them are kept."""
        if n < self.after:
            return None
        return [
            Sent(number, clock, [Statement(*each) for each in statements])
            for _, number, clock, statements in self._kept
            if number > n
        ]

"""What is known of the file between two transactions, so that it is not read again."""

from __future__ import annotations

from .accounts import Account
from .rows import Name, Position


class Cache:
    """Accounts of queues, positions of sessions, and what openings were granted; the only writer owns it.

    ``granted``: for each queue whose source's values belong to no seq, its present opening, and how many
    values of that were granted. It is not in the file, and outlives a transaction that failed.
    """

    __slots__ = ("accounts", "granted", "positions")

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.positions: dict[Name, Position] = {}
        self.granted: dict[int, tuple[int, int]] = {}

    def forget(self) -> None:
        """Forget what the file is believed to have, after a transaction that failed."""
        self.accounts.clear()
        self.positions.clear()

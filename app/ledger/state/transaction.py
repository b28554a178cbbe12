"""One transaction: its instant, its store, and an account of each queue that it touches.

Items that are pushed alike one after the other, by however many ops, become one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..looks import Kept
from ..ops import QueueRow
from ..work import Parcel, Result
from . import blocks
from .accounts import Account, Tail
from .cache import Cache
from .rows import pushed
from .store import Store

VALUES_MOST = 16 * 1024 * 1024
"""Bytes of kept values that one transaction hands out; beyond them each claim gets one item."""


class Transaction:
    """One transaction. ``now`` is the instant of everything in it, ``number`` its own.

    ``numbered``: the number is written. ``touched``: the accounts of all queues that it has to do with.
    ``granted``: what it grants of openings (see :class:`~.cache.Cache`), until it is on disk.
    """

    def __init__(self, store: Store, now: int, number: int, cache: Cache) -> None:
        self.store = store
        self.runs = store.runs
        self.blocks = store.blocks
        self.now = now
        self.number = number
        self.numbered = False
        self.learned = 0  # keys of items and of answers, rows of the history
        self.leased_until = 0  # the last end of a lease that was given or extended
        self.room = VALUES_MOST  # bytes of kept values that may still be read
        self.positions = cache.positions
        self._accounts = cache.accounts
        self._granted = cache.granted
        self.granted: dict[int, tuple[int, int]] = {}
        self.touched: dict[int, Account] = {}
        self._names: dict[str, int | None] = {}

    def lease(self, ttl: int) -> int:
        """When a lease ends that begins now."""
        due = self.now + ttl
        self.leased_until = max(self.leased_until, due)
        return due

    def granted_of(self, queue: int, opening: int) -> int | None:
        """How many values of this opening were granted; None where a later one is known."""
        known, count = self.granted.get(queue) or self._granted.get(queue, (0, 0))
        return None if known > opening else count if known == opening else 0

    def account(self, queue: int) -> Account | None:
        """The account of a queue, a tombstone's too; None where there is no such queue."""
        account = self.touched.get(queue)
        if account is None:
            account = self._accounts.get(queue)
            if account is None:
                found = self.store.queues.by_id(queue)
                if found is None:
                    return None
                account = self._accounts[queue] = Account(*found, self.store.traces.last(queue))
            self.touched[queue] = account
            account.now = self.now
        return account

    def live(self, queue: int) -> Account | None:
        """The account of a queue that is not deleted."""
        account = self.account(queue)
        return None if account is None or account.deleted else account

    def named(self, name: str) -> Account | None:
        """The account of the newest row of this name, a tombstone's too."""
        if name not in self._names:
            found = self.store.queues.by_name(name)
            self._names[name] = None if found is None else found[0].id
        queue = self._names[name]
        return None if queue is None else self.account(queue)

    def create(self, row: QueueRow, before: Account | None = None) -> Account:
        """A new row, which gets an id. The one before, in whose place it comes, is deleted if it was not."""
        if before is not None:
            if not before.deleted:
                before.delete(self.now)
            self.store.queues.change(before.row)
        queue = self._names[row.name] = self.store.queues.create(row)
        row = replace(row, id=queue, root=row.root or queue)
        account = self._accounts[queue] = self.touched[queue] = Account(row, 0)
        account.now = self.now
        return account

    def remove(self, account: Account) -> None:
        """Remove a row in whose place another has come."""
        self.store.queues.remove(account.id)
        del self._accounts[account.id], self.touched[account.id]

    def push(self, account: Account, texts: Sequence[str], how: Parcel | Result, caller: str) -> int:
        """Add items at the end of a queue, to be written with those before them if they are alike.

        The instant at which they can be claimed.
        """
        tail, run = account.tail, pushed(self.now, how)
        if tail is None or tail.how is not run:
            self.write_tail(account)
            tail = account.tail = Tail(account.cursor + 1, run)
        tail.extend(texts, caller)
        account.cursor += len(texts)
        account.due = min(account.due, run.due)
        return run.due

    def write_tail(self, account: Account) -> None:
        """Write what was pushed: before anything else looks at the queue's runs, or moves its cursor."""
        tail = account.tail
        if tail is None:
            return
        account.tail = None
        self.runs.insert(account.id, tail.how.part(tail.first, tail.first + len(tail.texts) - 1))
        for first, texts, caller in tail.by_caller():
            blocks.write(self.blocks, account.id, first, texts, Kept(self.now, caller))

    def write(self) -> None:
        """Write all that has changed."""
        queues = self.store.queues
        for account in self.touched.values():
            if account.tail is not None:
                self.write_tail(account)
            if account.changed:
                queues.change(account.row)
                account.changed = False
            if (move := account.move(self.number)) is not None:
                queues.move(move)
                self.numbered = True
        self.store.write()

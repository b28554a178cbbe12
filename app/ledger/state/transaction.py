"""One transaction: its instant, and an account of each queue that it touches.

A queue's row is read once, moved in memory, and written once; what statements of others need of it is written
before them. Items that are pushed alike one after the other, by however many ops, become one run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import apsw

from ..ops import OpFailed
from ..sqlite import run_statements as sql
from ..work import QueueSettings
from . import blocks

VALUES_MOST = 16 * 1024 * 1024
"""Bytes of kept values that one transaction hands out; beyond them each claim gets one item."""


@lru_cache(maxsize=256)
def settings_of(text: str) -> QueueSettings:
    """A queue's settings, as its row has them."""
    return QueueSettings(**json.loads(text))


class Account:
    """The row of one queue within a transaction, and by how much its counters have moved."""

    __slots__ = (
        "_dead",
        "_inside",
        "_settings",
        "acked",
        "args",
        "before",
        "buried",
        "cursor",
        "deleted",
        "ending",
        "generation",
        "gone",
        "history",
        "id",
        "mark",
        "name",
        "paused",
        "purged",
        "source",
        "tail",
        "taken",
    )

    def __init__(self, found: Any) -> None:
        (
            self.id,
            self.name,
            self.generation,
            self.source,
            self.args,
            self.deleted,
            self.paused,
            self.ending,
            self.mark,
            self.cursor,
            self._inside,
            self._dead,
            self._settings,
        ) = found
        self.history: int = self.settings.history
        self.before: int = self.cursor
        self.taken: int = 0
        self.acked: int = 0
        self.purged: int = 0
        self.buried: int = 0  # less than 0: more dead items were let out, or purged, than were buried
        self.tail: Tail | None = None
        self.gone: list[tuple[int, int]] = []  # kept values that nobody may need any more

    @property
    def settings(self) -> QueueSettings:
        """How the queue treats what fails."""
        return settings_of(self._settings)

    @property
    def inside(self) -> int:
        """Items that are waiting, leased or dead, as of now in the transaction."""
        inside: int = self._inside + self.cursor - self.before
        return inside - self.taken - self.acked - self.purged

    @property
    def dead(self) -> int:
        """How many of those inside are dead."""
        dead: int = self._dead + self.buried
        return dead

    @property
    def counted(self) -> bool:
        """Whether a counter has moved."""
        return bool(self.taken or self.acked or self.purged or self.buried)

    def move(self) -> tuple[Any, ...]:
        """What the row's statement needs; from here on the row is as this account says."""
        cursor, before = self.cursor, self.before
        taken, acked, purged, buried = self.taken, self.acked, self.purged, self.buried
        self._inside += cursor - before - taken - acked - purged
        self._dead += buried
        self.before = cursor
        self.taken = self.acked = self.purged = self.buried = 0
        return cursor, taken, acked, purged, buried, self.mark, self.id, before


class Tail:
    """Pushed items at the end of a queue that are not written yet: one run."""

    __slots__ = ("due", "first", "priority", "texts")

    def __init__(self, first: int, due: int, priority: int) -> None:
        self.first = first
        self.due = due
        self.priority = priority
        self.texts: list[str] = []


class Transaction:
    """One ``apply``. ``now`` is the instant of everything in it.

    ``accounts`` are those that stand as the file has them: who owns the only writer keeps them from one
    transaction to the next, and forgets them when one fails. ``careful``: pages of blocks are
    known to be damaged.
    """

    __slots__ = (
        "_accounts",
        "_names",
        "_touched",
        "careful",
        "changes",
        "execute",
        "executemany",
        "learned",
        "leased_until",
        "now",
        "room",
        "told_stale",
        "total_changes",
    )

    def __init__(
        self, connection: apsw.Connection, now: int, accounts: dict[int, Account], *, careful: bool = False
    ) -> None:
        self.changes = connection.changes
        self.total_changes = connection.total_changes
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.now = now
        self.careful = careful
        self.learned = 0  # keys of items and of answers, rows of the history
        self.leased_until = 0  # the last end of a lease that was given or extended
        self.told_stale = False  # somebody is told that a lease is over
        self.room = VALUES_MOST  # bytes of kept values that may still be read
        self._accounts = accounts
        self._touched: dict[int, Account] = {}
        self._names: dict[str, int | None] = {}

    def lease(self, ttl: int) -> int:
        """When a lease ends that begins now."""
        due = self.now + ttl
        self.leased_until = max(self.leased_until, due)
        return due

    def account(self, queue: int) -> Account | None:
        """The account of a queue, a tombstone's too; None where there is no such queue."""
        account = self._touched.get(queue)
        if account is None:
            account = self._accounts.get(queue)
            if account is None:
                found = self.execute(sql.ACCOUNT, (queue,)).fetchone()
                if found is None:
                    return None
                account = self._accounts[queue] = Account(found)
            self._touched[queue] = account
        return account

    def live(self, queue: int) -> Account | None:
        """The account of a queue that is not deleted."""
        account = self.account(queue)
        return None if account is None or account.deleted else account

    def named(self, name: str) -> Account | None:
        """The account of the queue of this name, if it is not deleted."""
        if name not in self._names:
            self._names[name] = self.execute(sql.NAMED, (name,)).get
        queue = self._names[name]
        return None if queue is None else self.live(queue)

    def push(self, account: Account, texts: Sequence[str], due: int, priority: int) -> None:
        """Add items at the end of a queue, to be written with those before them if they are alike."""
        tail = account.tail
        if tail is None or tail.due != due or tail.priority != priority:
            self.write_tail(account)
            tail = account.tail = Tail(account.cursor + 1, due, priority)
        tail.texts.extend(texts)
        account.cursor += len(texts)

    def write_tail(self, account: Account) -> None:
        """Write what was pushed: before anything else looks at the queue's runs, or moves its cursor."""
        tail = account.tail
        if tail is None:
            return
        account.tail = None
        last = tail.first + len(tail.texts) - 1
        self.execute(
            sql.INSERT, (account.id, tail.first, last, 0, tail.due, 0, 0, None, "", tail.priority, 0, 1, 0)
        )
        blocks.write(self.executemany, account.id, tail.first, tail.texts)

    def write(self) -> None:
        """Write all accounts."""
        moved: list[Account] = []
        for account in self._touched.values():
            if account.tail is not None:
                self.write_tail(account)
            if account.cursor != account.before or account.counted:
                moved.append(account)
            if account.gone:
                execute = blocks.carefully(self.execute) if self.careful else self.execute
                blocks.sweep(execute, account.id, account.gone)
                account.gone.clear()
        if moved:
            before = self.total_changes()
            self.executemany(sql.MOVE, [account.move() for account in moved])
            if self.total_changes() - before != len(moved):
                queues = [account.id for account in moved]
                raise OpFailed(f"the cursor of one of {queues} is not where this transaction found it")

    def write_all_and_forget(self) -> None:
        """Write all accounts, and read them anew: a statement is to change the rows of queues themselves."""
        self.write()
        self._accounts.clear()
        self._touched.clear()
        self._names.clear()

"""The history of a queue that keeps one: which items were taken or acked, by whom, under which key."""

from __future__ import annotations

from collections.abc import Iterable

from ..ops import Remember, Take
from ..serve import Ask
from ..work import HistoryVerb, expiry
from .accounts import Account
from .rows import Record
from .transaction import Transaction

Held = tuple[int, int, str]
"""Consecutive items, and the worker that held them."""


def record(
    tx: Transaction,
    account: Account,
    verb: HistoryVerb,
    ranges: Iterable[Held],
    key: tuple[str, str | None] = ("", None),
) -> None:
    """Write a row for each range, in the transaction of what it tells. ``key``: whose, and which."""
    if not account.history:
        return
    place, expires = (account.name, account.generation), expiry(tx.now, account.history)
    for first, last, worker in joined(ranges):
        tx.store.history.add(Record(*place, first, last, verb, tx.now, *key, worker, expires))
        tx.learned += 1


def record_take(tx: Transaction, account: Account, op: Take) -> None:
    """Fresh items that were taken for good: by one caller, or a part each by several."""
    if not account.history:
        return
    if op.shares is None:
        record(tx, account, "taken", [(op.first, op.last, "")], key_of(op.remember))
        return
    first = op.first
    for key, _, count in op.shares.parts:
        last = min(first + count - 1, op.last)
        if first <= last:
            record(tx, account, "taken", [(first, last, "")], (op.shares.caller, key))
        first = last + 1


def key_of(remember: Remember | None) -> tuple[str, str | None]:
    """The caller and the key that an answer is filed under; no key if it is not filed."""
    return ("", None) if remember is None else (remember.caller, remember.key)


def whose(ask: Ask) -> tuple[str, str | None]:
    """The caller and the key of an ask; no key if it has none."""
    return ("", None) if ask.key is None else (ask.key.caller, ask.key.text)


def joined(ranges: Iterable[Held]) -> list[Held]:
    """In the order of seqs, neighbours of one worker as one."""
    found: list[Held] = []
    for first, last, worker in sorted(ranges):
        if found and found[-1][1] + 1 == first and found[-1][2] == worker:
            found[-1] = (found[-1][0], last, worker)
        else:
            found.append((first, last, worker))
    return found

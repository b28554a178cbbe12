"""The history of a queue that keeps one: which items were taken or acked, by whom, under which key."""

from __future__ import annotations

from collections.abc import Iterable

from ..looks import HistoryVerb
from ..serve import Ask
from ..work import expiry
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
    ask: Ask,
) -> None:
    """Write a row for each range, in the transaction of what it tells."""
    if not account.history:
        return
    caller, text = caller_of(ask), None if ask.key is None else ask.key.text
    place, expires = (account.name, account.generation), expiry(tx.now, account.history)
    for first, last, worker in joined(ranges):
        tx.store.history.add(Record(*place, first, last, verb, tx.now, caller, text, worker, expires))
        tx.learned += 1


def caller_of(ask: Ask) -> str:
    """Who asks; empty where nobody is known."""
    return ask.caller or ("" if ask.key is None else ask.key.caller)


def joined(ranges: Iterable[Held]) -> list[Held]:
    """In the order of seqs, neighbours of one worker as one."""
    found: list[Held] = []
    for first, last, worker in sorted(ranges):
        if found and found[-1][1] + 1 == first and found[-1][2] == worker:
            found[-1] = (found[-1][0], last, worker)
        else:
            found.append((first, last, worker))
    return found

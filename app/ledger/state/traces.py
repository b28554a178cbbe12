"""Of which trace pushed items are.

An account knows the last item that has one, so a queue to which nobody pushes with a trace is asked nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..work import Span, Traced
from .accounts import Account
from .transaction import Transaction


def note(tx: Transaction, account: Account, first: int, parent: str) -> None:
    """Note of which trace the items are that were pushed last, from ``first`` on."""
    if account.cursor >= first:
        tx.store.traces.add(account.id, Traced(first, account.cursor, parent))
        account.traced = account.cursor


def of(tx: Transaction, account: Account, spans: Sequence[Span]) -> tuple[Traced, ...] | None:
    """The traces of items that are handed out, cut to their spans; None: they have none."""
    found: list[Traced] = []
    for first, last, _ in spans:
        if first <= account.traced:
            for begin, end, parent in tx.store.traces.find(account.id, first, last):
                found.append(Traced(max(first, begin), min(last, end), parent))
    return tuple(found) or None

"""The op that notes an action."""

from __future__ import annotations

from ..actions import Action
from .transaction import Transaction


def note(tx: Transaction, op: Action) -> None:
    """Note who did what; it has been done, in a transaction of its own or in several."""
    tx.store.actions.add(op)

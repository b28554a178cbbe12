"""The keys of items that a batch will ask for: where they are elsewhere, they are looked up together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..inbox import TakeIn
from ..serve import Keyed, Serve
from ..work import Ack, Push
from .accounts import Account
from .rows import ItemKey
from .transaction import Transaction


def item_keys(tx: Transaction, ops: Sequence[Any]) -> dict[ItemKey, None]:
    """Where these ops push items that have keys, each once."""
    found: dict[ItemKey, None] = {}
    for op in ops:
        for account, keys in _of(tx, op.op if type(op) is Keyed else op):
            if account is not None:
                found |= dict.fromkeys(
                    ItemKey(account.id, account.generation, key) for key in keys if key is not None
                )
    return found


def _of(tx: Transaction, op: Any) -> Iterator[tuple[Account | None, Iterable[str | None]]]:
    if type(op) is Push:
        for parcel in op.parcels:
            if parcel.keys:
                yield tx.account(op.queue), parcel.keys
    elif type(op) is TakeIn:
        for arrival in op.arrivals:
            if arrival.key is not None:
                yield tx.named(arrival.queue), (arrival.key,)
    elif type(op) is Serve:
        for ask in op.asks:
            for entry in ask.entries:
                if type(entry) is Ack:
                    for result in entry.push:
                        if result.key is not None:
                            yield tx.named(result.queue), (result.key,)

"""Taking in what the inbox has: rows become items of their queues, each queue's in their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from ..inbox import Arrival, Place, TakeIn, TakenIn, Unfit
from ..work import Parcel, Push, Pushed, Refusal
from . import pushing
from .transaction import Transaction

WHY: Final[dict[Refusal, str]] = {
    "unknown": "there is no queue of this name any more",
    "source": "the queue is fed by a source",
    "closed": "the queue is closed",
    "end": "the queue has counted to 2^53-1, where every queue ends",
}
"""Why a queue does not take an item, in words."""


def take_in(tx: Transaction, op: TakeIn) -> TakenIn:
    """Push what can be pushed. Of a queue without room the rest stays in the inbox, in its order."""
    taken: list[Place] = []
    refused = list(op.unfit)
    full: set[str] = set()
    pushed: dict[str, int] = {}
    of_queue: dict[str, list[Arrival]] = {}
    for arrival in op.arrivals:
        of_queue.setdefault(arrival.queue, []).append(arrival)
    for name, arrivals in of_queue.items():
        account = tx.named(name)
        reason = pushing.refusal(account, len(arrivals) - 1)
        if account is None or reason is not None:
            refused += [Unfit(arrival.place, WHY[reason or "unknown"]) for arrival in arrivals]
            continue
        count, pushed[name] = _push(tx, account.id, arrivals, op.key_ttl)
        taken += [arrival.place for arrival in arrivals[:count]]
        if count < len(arrivals):
            full.add(name)
    return TakenIn(tuple(taken), tuple(refused), frozenset(full), pushed)


def _push(tx: Transaction, queue: int, arrivals: Sequence[Arrival], key_ttl: int) -> tuple[int, int]:
    """Push as many as there is room for; how many rows these are, and how many new items."""
    done = new = 0
    size = len(arrivals)
    while done < len(arrivals):
        some = arrivals[done : done + size]
        pushed = pushing.push(tx, Push(queue, _parcels(some, tx.now), key_ttl))
        if pushed.refused is None:
            done += len(some)
            new += len(some) - len(pushed.known)
            continue
        size = _room(tx, queue, pushed)
        if size <= 0:
            break
    return done, new


def _room(tx: Transaction, queue: int, pushed: Pushed) -> int:
    """How many items a full queue still takes: less than were refused, so that the next push fits."""
    account = tx.account(queue)
    most = None if account is None else account.settings.max_ready
    return 0 if most is None or pushed.refused != "full" else most - pushed.ready


_terms = attrgetter("due", "priority")


def _parcels(arrivals: Sequence[Arrival], now: int) -> tuple[Parcel, ...]:
    """Parcels of neighbours that are due at once, or at the same instant, with the same priority."""
    parcels = []
    for (due, priority), group in groupby(arrivals, _terms):
        some = list(group)
        keys = tuple([arrival.key for arrival in some])
        texts = tuple([arrival.text for arrival in some])
        parcels.append(Parcel(texts, max(0, due - now), priority, keys if any(keys) else None))
    return tuple(parcels)

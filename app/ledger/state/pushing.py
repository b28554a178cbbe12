"""Pushing: items get their seqs from the cursor; a known key gives the seq of its first push."""

from __future__ import annotations

from collections.abc import Sequence

from ..work import MAX_SEQ, Parcel, Push, Pushed, Refusal, Result, expiry
from . import traces
from .accounts import Account
from .transaction import Transaction


def refusal(account: Account | None, ahead: int = 0) -> Refusal | None:
    """Why a queue takes no items from outside, if it does not; at most ``ahead`` others are pushed before."""
    if account is None or account.deleted:
        return "unknown"
    if account.source:
        return "source"
    if account.ending is not None:
        return "closed"
    return "end" if account.cursor + ahead >= MAX_SEQ else None


def push(tx: Transaction, op: Push) -> Pushed:
    """Add the items of all parcels, or none."""
    account = tx.account(op.queue)
    reason = refusal(account)
    if account is None or reason is not None:
        return Pushed(refused=reason)
    if account.cursor + sum(len(parcel.texts) for parcel in op.parcels) > MAX_SEQ:
        return Pushed(refused="end")
    known = _known_keys(tx, account, op.parcels)
    if op.bounded and account.settings.max_ready is not None:
        ready = _over(tx, account, account.settings.max_ready, _fresh(op.parcels, known))
        if ready is not None:
            return Pushed(refused="full", ready=ready)
    first = account.cursor + 1
    places = _Places(known) if any(parcel.keys for parcel in op.parcels) else None
    dues: list[int] = []
    for parcel in op.parcels:
        texts = parcel.texts if places is None else places.give(parcel, account.cursor + 1)
        if texts:
            dues.append(tx.push(account, texts, parcel, op.caller))
    if op.parent is not None:
        traces.note(tx, account, first, op.parent)
    due = min(dues, default=None)
    if places is None:
        return Pushed(range(first, account.cursor + 1), (), due)
    expires = _known_until(tx, account, op.key_ttl)
    tx.store.item_keys.learn(account.id, account.generation, places.learned.items(), expires)
    tx.learned += len(places.learned)
    if not places.duplicates:
        return Pushed(range(first, account.cursor + 1), (), due)
    return Pushed(tuple(places.seqs), tuple(places.duplicates), due)


def _known_until(tx: Transaction, account: Account, key_ttl: int) -> int:
    """The time until which the key of an item is known, by the queue's own setting or the server's."""
    own = account.settings.item_key_ttl
    return expiry(tx.now, key_ttl if own is None else own)


class _Places:
    """Gives items of one push their seqs, one with a known key that of its first push."""

    def __init__(self, known: dict[str, int]) -> None:
        self._known = known
        self.learned: dict[str, int] = {}
        self.seqs: list[int] = []
        self.duplicates: list[int] = []

    def give(self, parcel: Parcel, seq: int) -> list[str]:
        """Place the items of a parcel from ``seq`` on; the texts of those that are new."""
        texts: list[str] = []
        for text, key in zip(parcel.texts, parcel.keys or [None] * len(parcel.texts), strict=True):
            before = None if key is None else self._known.get(key, self.learned.get(key))
            if before is not None:
                self.duplicates.append(len(self.seqs))
                self.seqs.append(before)
                continue
            if key is not None:
                self.learned[key] = seq
            self.seqs.append(seq)
            texts.append(text)
            seq += 1
        return texts


def _known_keys(tx: Transaction, account: Account, parcels: Sequence[Parcel]) -> dict[str, int]:
    """Those of the parcels' keys that were pushed before, with their seqs."""
    asked = [key for parcel in parcels for key in parcel.keys or () if key is not None]
    return tx.store.item_keys.known(account.id, account.generation, asked, tx.now) if asked else {}


def _fresh(parcels: Sequence[Parcel], known: dict[str, int]) -> int:
    """How many items would be new."""
    seen = set(known)
    fresh = 0
    for parcel in parcels:
        if not parcel.keys:
            fresh += len(parcel.texts)
            continue
        for key in parcel.keys:
            fresh += key is None or key not in seen
            if key is not None:
                seen.add(key)
    return fresh


def _over(tx: Transaction, account: Account, most: int, fresh: int) -> int | None:
    """How many items are ready, if so many more would be over the bound; cheap while it is far away."""
    if not fresh or account.inside + fresh <= most:
        return None
    ready = account.inside - account.dead - tx.runs.leased_or_spent(account.id, tx.now)
    return ready if ready + fresh > most else None


def push_result(tx: Transaction, account: Account, result: Result, key_ttl: int, caller: str) -> None:
    """Push a result of a caller's ack, unless its key is known."""
    if result.key is not None:
        place = account.id, account.generation
        if tx.store.item_keys.known(*place, (result.key,), tx.now):
            return
        expires = _known_until(tx, account, key_ttl)
        tx.store.item_keys.learn(*place, ((result.key, account.cursor + 1),), expires)
        tx.learned += 1
    tx.push(account, (result.text,), result, caller)
    if result.parent is not None:
        traces.note(tx, account, account.cursor, result.parent)

"""Pushed items: bundled into parcels."""

from __future__ import annotations

from ..ledger.work import Parcel
from .models import PushItem, PushItems, milliseconds


def parcels(body: PushItems) -> tuple[Parcel, ...]:
    """The items of a push, in their order."""
    bundle = Bundle()
    for item in body["items"]:
        bundle.add(item)
    return bundle.parcels()


class Bundle:
    """Pushed items in their order; neighbours with the same delay and priority make a parcel."""

    def __init__(self) -> None:
        self.count = 0
        self._done: list[Parcel] = []
        self._texts: list[str] = []
        self._keys: list[str | None] = []
        self._keyed = False
        self._terms = (0, 0)

    def add(self, item: PushItem) -> None:
        """Add one item, as its model gives it: its value is a text."""
        terms, key = (0, 0), None
        if len(item) > 1:
            terms = milliseconds(item.get("delay", 0)), item.get("priority", 0)
            key = item.get("key")
        if terms != self._terms:
            self._close()
            self._terms = terms
        self._texts.append(item["value"])
        self._keys.append(key)
        self._keyed = self._keyed or key is not None
        self.count += 1

    def parcels(self) -> tuple[Parcel, ...]:
        """All that was added."""
        self._close()
        return tuple(self._done)

    def _close(self) -> None:
        if self._texts:
            keys = tuple(self._keys) if self._keyed else None
            self._done.append(Parcel(tuple(self._texts), *self._terms, keys))
            self._texts, self._keys, self._keyed = [], [], False

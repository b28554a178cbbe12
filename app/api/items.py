"""Pushed items: bundled into parcels."""

from __future__ import annotations

from typing import Final

from ..ledger.work import Parcel
from .models import PushItem, PushItems, pushed_how

_PLAIN: Final = pushed_how({"value": None})


def parcels(body: PushItems) -> tuple[Parcel, ...]:
    """The items of a push, in their order."""
    bundle = Bundle()
    for item in body["items"]:
        bundle.add(item)
    return bundle.parcels()


class Bundle:
    """Pushed items in their order; neighbours that are pushed alike make a parcel."""

    def __init__(self) -> None:
        self.count = 0
        self._done: list[Parcel] = []
        self._texts: list[str] = []
        self._keys: list[str | None] = []
        self._keyed = False
        self._how = _PLAIN

    def add(self, item: PushItem) -> None:
        """Add one item, as its model gives it: its value is a text."""
        how, key = _PLAIN, None
        if len(item) > 1:
            how, key = pushed_how(item), item.get("key")
        if how != self._how:
            self._close()
            self._how = how
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
            self._done.append(Parcel(tuple(self._texts), keys=keys, **self._how))
            self._texts, self._keys, self._keyed = [], [], False

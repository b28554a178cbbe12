"""Pushed items: read from a body or from the lines of a stream, and bundled into parcels."""

from __future__ import annotations

from typing import Final

from ..ledger.work import Parcel
from ..queue.limits import Limits
from .read import (
    Members,
    check_known,
    items_of,
    members_of,
    milliseconds,
    number,
    required,
    text,
    whole,
)
from .values import value_encoder

ITEM: Final = frozenset({"value", "key", "delay", "priority"})
PUSH: Final = frozenset({"items"})
LOWEST_PRIORITY: Final = 9


class ItemReader:
    """Reads pushed items, and the results of acks, by the limits of the settings."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.encode = value_encoder(limits.value_bytes)

    def parcels(self, body: Members) -> tuple[Parcel, ...]:
        """The items of ``{"items": [...]}``, in order."""
        check_known(body, PUSH, "")
        items = items_of(required(body, "items", ""), "items", self._limits.count)
        if not items:
            whole(0, "items", 1, self._limits.count)
        bundle = Bundle()
        for position, item in enumerate(items):
            self.add(bundle, item, f"items.{position}")
        return bundle.parcels()

    def add(self, bundle: Bundle, item: object, field: str) -> None:
        """Read one item into the bundle; ``field`` is its place, empty where it is a line of its own."""
        members = members_of(item, field or "item")
        where = field and f"{field}."
        if len(members) == 1 and "value" in members:
            bundle.add(self.encode(members["value"], where + "value"), None, 0, 0)
            return
        check_known(members, ITEM, where)
        value = self.encode(required(members, "value", where), where + "value")
        bundle.add(value, *self.terms(members, where))

    def terms(self, members: Members, where: str) -> tuple[str | None, int, int]:
        """An item's key, its delay in milliseconds, its priority."""
        key, delay, priority = None, 0, 0
        if "key" in members:
            key = text(members["key"], where + "key", self._limits.key_bytes, least=1)
        if "delay" in members:
            delay = milliseconds(number(members["delay"], where + "delay", 0, self._limits.delay))
        if "priority" in members:
            priority = whole(members["priority"], where + "priority", 0, LOWEST_PRIORITY)
        return key, delay, priority


class Bundle:
    """Items in their order; neighbours with the same delay and priority make a parcel."""

    def __init__(self) -> None:
        self.count = 0
        self._done: list[Parcel] = []
        self._texts: list[str] = []
        self._keys: list[str | None] = []
        self._keyed = False
        self._terms = (0, 0)

    def add(self, value: str, key: str | None, delay: int, priority: int) -> None:
        """Add one item."""
        if (delay, priority) != self._terms:
            self._close()
            self._terms = (delay, priority)
        self._texts.append(value)
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

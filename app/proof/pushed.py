"""The items in the answers to producers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .fold import Done, Effects
from .records import Push, Pushed
from .values import Value


class Item(NamedTuple):
    """An item of a push, with its name (its own key) or None."""

    seq: int
    value: Value
    name: str | None
    done: Done[Push, Pushed]


@dataclass(slots=True)
class Items:
    """The first push of each seq and of each name; ``maybe``: what pushes without a reply may have pushed."""

    by_seq: dict[int, Item] = field(default_factory=dict)
    by_name: dict[str, Item] = field(default_factory=dict)
    maybe: set[Value] = field(default_factory=set)
    maybe_names: set[str | None] = field(default_factory=set)


def items_of(pushes: Iterable[Done[Push, Pushed]], *, known: bool) -> Iterator[Item]:
    """The items that were new, or those that the server knew already."""
    for done in pushes:
        asked, answer = done.request.asked, done.answer
        for at, (seq, value, name) in enumerate(zip(answer.seqs, asked.values, asked.names, strict=True)):
            if (at in answer.known) is known:
                yield Item(seq, value, name, done)


def collect(pushes: Effects[Push, Pushed]) -> Items:
    """Collect the pushed items."""
    items = Items()
    for left in pushes.open:
        items.maybe.update(left.request.asked.values)
        items.maybe_names.update(left.request.asked.names)
    for item in items_of(pushes.done, known=False):
        items.by_seq.setdefault(item.seq, item)
        if item.name is not None:
            items.by_name.setdefault(item.name, item)
    return items

"""The rules of pushed items: one seq each, handed out with their values, none lost, and no other items."""

from __future__ import annotations

from collections.abc import Iterator

from .case import Case
from .pushed import items_of
from .verdict import Finding, finding, of_item

Found = Iterator[Finding]


def lost(case: Case) -> Found:
    """Find items that nobody acked and that are not in the queue."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if not maybe and case.inside is not None)


def unjudged(case: Case) -> Found:
    """Find items that nobody acked, where nobody looked whether they are in the queue."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if not maybe and case.inside is None)


def maybe(case: Case) -> Found:
    """Find items that are gone, and that a settle without a reply may have acked."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if maybe)


def _gone(case: Case, seq: int) -> Finding:
    holdings, item = case.held.by_seq.get(seq, []), case.items.by_seq.get(seq)
    told = f"handed out {len(holdings)} times, acked by nobody" if holdings else "never handed out"
    pushed = item.done.request.seen() if item else None
    return of_item(seq, told, pushed, holdings[-1].seen() if holdings else None)


def seq_twice(case: Case) -> Found:
    """Find seqs that two pushes were told."""
    for item in items_of(case.folded.pushes.done, known=False):
        other = case.items.by_seq[item.seq]
        if other.done is not item.done:
            seen = other.done.request.seen(), item.done.request.seen()
            yield of_item(item.seq, "two pushes were told this seq", *seen)


def key_twice(case: Case) -> Found:
    """Find names of items that stand for two seqs."""
    first = case.items.by_name
    for item in items_of(case.folded.pushes.done, known=False):
        other = first.get(item.name or "", item)
        if other.done is not item.done or other.seq != item.seq:
            told = f"key {item.name} was pushed to {other.seq} and to {item.seq}"
            spans = [(other.seq, other.seq), (item.seq, item.seq)]
            yield finding(1, told, spans, other.done.request.seen(), item.done.request.seen())
    for item in items_of(case.folded.pushes.done, known=True):
        other = first.get(item.name or "", item)
        if other.seq != item.seq:
            told = f"key {item.name} was pushed to {other.seq}, and is known as {item.seq}"
            yield of_item(item.seq, told, other.done.request.seen(), item.done.request.seen())


def known_falsely(case: Case) -> Found:
    """Find items that were called known, though nobody had pushed one of that name."""
    items = case.items
    for item in items_of(case.folded.pushes.done, known=True):
        if item.name is None or (item.name not in items.by_name and item.name not in items.maybe_names):
            yield of_item(item.seq, f"key {item.name} is new", item.done.request.seen())


def wrong_value(case: Case) -> Found:
    """Find items that were handed out with another value than the pushed one, or than before."""
    for seq, holdings in case.held.by_seq.items():
        item = case.items.by_seq.get(seq)
        value = item.value if item else holdings[0].value
        for one in holdings:
            if one.value != value:
                seen = item.done.request.seen() if item else holdings[0].seen()
                yield of_item(seq, f"{value} was handed out as {one.value}", seen, one.seen())


def phantom(case: Case) -> Found:
    """Find items that nobody had pushed, or not yet when they were handed out."""
    pushed, maybe = case.items.by_seq, case.items.maybe
    for seq, holdings in case.held.by_seq.items():
        item = pushed.get(seq)
        if item is None:
            if holdings[0].value not in maybe:
                yield of_item(seq, "handed out", holdings[0].seen())
        elif early := next((one for one in holdings if one.until < item.done.since), None):
            yield of_item(seq, "handed out before it was pushed", item.done.request.seen(), early.seen())
    for inside in case.inside or ():
        if inside.seq not in pushed and inside.seq not in case.held.by_seq and not maybe:
            yield of_item(inside.seq, f"{inside.state} in the queue")

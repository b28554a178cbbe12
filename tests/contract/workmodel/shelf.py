"""What is inside a queue, item by item: no runs, no blocks, no SQL."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from dibs.ledger.looks import Counts, ItemRow
from dibs.ledger.ops import QueueRow


@dataclass
class Item:
    """One item inside a queue. ``most``: how many items the answer had that leased it, at ``began``."""

    shelf: Shelf = field(repr=False, compare=False)
    seq: int
    text: str | None
    due: int
    priority: int = 0
    attempt: int = 0
    token: str | None = None
    ttl: int = 0
    worker: str = ""
    dead: bool = False
    most: int = 0
    began: int = 0
    failures: list = field(default_factory=list)

    def state(self, now: int) -> str:
        if self.dead or (self.lapsed_alone(now) and self.shelf.row.settings.buries(self.attempt)):
            return "dead"
        return "leased" if self.token is not None and self.due > now else "waiting"

    def lapsed_alone(self, now: int) -> bool:
        return self.token is not None and self.due <= now and self.most == 1

    def of_many(self, now: int) -> bool:
        return self.token is not None and self.due <= now and self.most > 1

    def failed(self, now: int) -> list:
        """Its failures, that of a lease which has just expired among them."""
        lapsed = [(self.attempt, None, self.worker, None)] if self.lapsed_alone(now) else []
        return [*self.failures, *lapsed][-10:]

    def fail(self, at: int | None, error: str | None) -> None:
        self.failures = [*self.failures, (self.attempt, at, self.worker, error)][-10:]


class Shelf:
    """A queue: its row, what is inside, and the keys that it knows."""

    def __init__(self, row: QueueRow) -> None:
        self.row = row
        self.items: dict[int, Item] = {}
        self.keys: dict[str, tuple[int, int]] = {}

    def count(self, **moved: int) -> None:
        self.row = replace(self.row, **{name: getattr(self.row, name) + n for name, n in moved.items()})

    def add(self, text: str, key: str | None, due: int, priority: int, expires: int, now: int) -> int | None:
        """Push one item; None where its key is known."""
        if key is not None and self.keys.get(key, (0, 0))[1] > now:
            return None
        self.count(cursor=1)
        seq = self.row.cursor
        self.items[seq] = Item(self, seq, text, due, priority)
        if key is not None:
            self.keys[key] = (seq, expires)
        return seq

    def done(self, items: list[Item], counter: str) -> None:
        for item in items:
            del self.items[item.seq]
        self.count(**{counter: len(items)})

    def clear(self) -> None:
        """It is deleted: what is inside counts as purged."""
        self.done(list(self.items.values()), "purged")
        self.keys = {}

    def forget(self, items: list[Item]) -> None:
        """The keys of items that were purged."""
        gone = {item.seq for item in items}
        self.keys = {key: known for key, known in self.keys.items() if known[0] not in gone}

    def held(self, token: str, now: int) -> dict[int, Item]:
        return {
            seq: item
            for seq, item in sorted(self.items.items())
            if item.token == token and item.state(now) == "leased"
        }

    def lapsed(self, now: int) -> bool:
        """Whether a lease of one item has expired that no claim has found yet."""
        return any(item.lapsed_alone(now) for item in self.items.values())

    def refusal(self) -> str | None:
        if self.row.deleted_at is not None:
            return "unknown"
        if self.row.source:
            return "source"
        return "closed" if self.row.ending is not None else None

    def counts(self, now: int) -> Counts:
        states = Counter(item.state(now) for item in self.items.values())
        waits = [item.due for item in self.items.values() if item.state(now) == "waiting"]
        row = self.row
        return Counts(
            *(row.cursor, row.taken, row.acked, row.purged, row.jumped),
            waiting=states["waiting"],
            delayed=sum(due > now for due in waits),
            leased=states["leased"],
            dead=states["dead"],
            oldest=min((due for due in waits if due <= now), default=None),
            overlaps=0,
            base=row.base,
        )

    def looks(self, now: int) -> list[ItemRow]:
        return [
            ItemRow(
                i.seq,
                i.state(now),
                i.attempt,
                i.priority,
                i.due,
                i.worker,
                i.text,
                i.began * (i.state(now) == "leased"),
            )
            for _, i in sorted(self.items.items())
        ]

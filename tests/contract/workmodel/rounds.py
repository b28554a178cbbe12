"""The contract of ``serve.py`` as plain Python: keys, then entries, then hand-outs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

from dibs.ledger.serve import Ask, Serve
from dibs.ledger.work import Claim, Settle, Terms

from workmodel.compare import agree_on_entry, single
from workmodel.model import UNCHANGED, Model
from workmodel.shelf import Item, Shelf

DAY, HOUR = 86_400_000, 3_600_000


class Told(NamedTuple):
    """What came of one ask, in the normal form of ``compare.py``."""

    entries: list = []  # noqa: RUF012  # never changed
    items: list | None = None
    values: tuple | None = None
    token: str | None = None
    due: int | None = None
    why: str | None = None
    state: str = "open"
    replayed: bool = False


class Round:
    """Serves of one batch, one after the other in each phase. ``out``: what came of each ask, once known."""

    def __init__(self, model: Model, ops: list[Serve], now: int) -> None:
        self.model = model
        self.now = now
        self.asks = [(op, self.model.shelves[op.queue], ask) for op in ops for ask in op.asks]
        self.out: list[Told | None] = [None] * len(self.asks)
        self.entries: dict[int, list] = {}
        self.settled: list[tuple] = []
        self.filed: set[int] = set()
        self.running: dict[tuple, int] = {}
        self.after: dict[int, int] = {}
        for at in range(len(self.asks)):
            self.rule(at)
        for at in range(len(self.asks)):
            self.settle(at)
        for settle, told in self.settled:
            self.model.take_away(settle, told, now)
        for op in ops:
            self.hand_out(op, self.model.shelves[op.queue])
        self.file()
        for at, of in self.after.items():
            told = self.out[of]
            self.out[at] = told._replace(replayed=not told.why or bool(told.items))
        counts = iter(self.out)
        self.answers = [[next(counts) for _ in op.asks] for op in ops]

    # -- keys

    def name(self, at: int) -> tuple:
        _, shelf, ask = self.asks[at]
        return shelf.row.id, shelf.row.generation, ask.key.caller, ask.key.text

    def rule(self, at: int) -> None:
        _, _, ask = self.asks[at]
        if ask.key is None:
            return
        name, key = self.name(at), ask.key
        if name in self.running:
            leader = self.running[name]
            if self.asks[leader][2].key == key:
                self.after[at], self.out[at] = leader, Told()
                return
            self.out[at] = self.refusal(self.asks[leader][2].key.n, key)
            if self.out[at] is not None:
                return
            self.out[leader] = Told(why="key-superseded")
        elif name in self.model.answers and self.model.answers[name][2] > self.now:
            n, digest, _, told = self.model.answers[name]
            if (n, digest) != (key.n, key.digest):
                self.out[at] = self.refusal(n, key)
                if self.out[at] is not None:
                    return
            elif ask.handout is not None and told.items is None:
                self.entries[at] = told.entries
                self.filed.add(at)
            else:
                self.out[at] = told._replace(replayed=True)
                return
        self.running[name] = at

    @staticmethod
    def refusal(n: int, key) -> Told | None:
        if (n > 0) != (key.n > 0) or n == key.n:
            return Told(why="key-reused")
        return Told(why="key-superseded") if key.n < n else None

    # -- entries

    def settle(self, at: int) -> None:
        op, shelf, ask = self.asks[at]
        if self.out[at] is not None or at in self.entries:
            return
        settle = Settle(shelf.row.id, ask.entries, ask.chance, key_ttl=op.item_key_ttl)
        woken: Counter[int] = Counter()
        told = [self.model.entry(settle, entry, self.now, woken) for entry in ask.entries]
        self.entries[at] = told
        self.settled.append((settle, told))

    # -- hand-outs

    def hand_out(self, op: Serve, shelf: Shelf) -> None:
        why, begun = self.begin(op, shelf), state(shelf)
        for at, (of, _, ask) in enumerate(self.asks):
            if of is not op or self.out[at] is not None:
                continue
            told = Told(self.entries.get(at, []))
            if shelf.row.deleted_at is not None:
                told = told._replace(why="deleted")
            elif ask.handout is not None:
                told, why = self.give(op, shelf, ask, told, why)
                told = told._replace(replayed=at in self.filed and told.items is None)
            self.out[at] = told._replace(state=state(shelf) if ask.handout else begun)

    def begin(self, op: Serve, shelf: Shelf) -> str | None:
        """Find what can be granted, and note an end before it; why nobody gets anything."""
        self.left, self.texts, self.end, self.moved = 0, None, None, False
        row = shelf.row
        if row.deleted_at is not None:
            return "deleted"
        if row.ending is None and op.length is not None:
            self.left, self.end = max(op.length - row.cursor, 0), ("exhausted", None, None)
        elif row.ending is None and op.drawn is not None:
            self.moved = op.edition != row.edition or op.drawn.first > row.cursor + 1
            if not self.moved:
                self.texts = op.drawn.texts[row.cursor + 1 - op.drawn.first :]
                self.left, end = len(self.texts), op.drawn.end
                if end is not None:
                    cause = (end.type, end.message) if end.ending == "failed" else (None, None)
                    self.end = end.ending, *cause
        self.over(shelf)
        return "paused" if row.paused else None

    def over(self, shelf: Shelf) -> None:
        if self.end is not None and not self.left:
            ending, type_, message = self.end
            shelf.row = replace(shelf.row, ending=ending, failure_type=type_, failure_message=message)
            self.end = None

    def give(self, op: Serve, shelf: Shelf, ask: Ask, told: Told, why: str | None) -> tuple[Told, str | None]:
        if why is not None:
            return told._replace(why=why), why
        want, holder = ask.handout, ask.handout.holder
        terms = None if holder is None else Terms(*holder)
        if not want.block:
            claim = Claim(shelf.row.id, want.most, want.room, terms)
            items, values, due, _ = self.model.claim(claim, self.now)
            if items:
                token = holder and holder.token
                return told._replace(items=items, values=values, due=due, token=token), None
        if self.left:
            return self.grant(op, shelf, want, told), None
        why = self.why(shelf)
        return told._replace(why=why), why

    def grant(self, op: Serve, shelf: Shelf, want, told: Told) -> Told:
        first, count = shelf.row.cursor + 1, min(want.most, self.left)
        texts = self.texts
        if texts is not None:
            sizes = [len(text.encode()) for text in texts[:count]]
            count = max([n for n in range(1, count + 1) if sum(sizes[:n]) <= want.room] or [1])
            self.texts, texts = texts[count:], texts[:count]
            mark = op.drawn.mark
            shelf.row = replace(shelf.row, mark=mark and texts[-1].strip('"'))
        self.left -= count
        shelf.count(cursor=count)
        due = None
        if want.holder is None:
            shelf.count(taken=count)
        else:
            token, ttl, worker = want.holder
            due = self.now + ttl
            for n in range(count):
                item = Item(shelf, first + n, texts and texts[n], due, 0, 1, token, ttl, worker, most=count)
                shelf.items[item.seq] = item
        self.over(shelf)
        items = [(first + n, 1) for n in range(count)]
        return told._replace(items=items, values=texts, due=due, token=want.holder and want.holder.token)

    def why(self, shelf: Shelf) -> str:
        if shelf.row.ending == "failed":
            return "failed"
        if shelf.row.ending is not None:
            alive = any(item.state(self.now) != "dead" for item in shelf.items.values())
            return "empty" if alive else "exhausted"
        return "moved" if self.moved else "dry" if shelf.row.source else "empty"

    # -- what is filed

    def file(self) -> None:
        for name, at in self.running.items():
            op, _, ask = self.asks[at]
            told = self.out[at]
            changed = {item[1] for entry in told.entries for item in entry} - {"stale", "refused", UNCHANGED}
            if told.why == "key-superseded" or not (told.items or (changed and at not in self.filed)):
                continue
            expires = self.now + (min(op.key_ttl, DAY) if ask.key.n else op.key_ttl)
            if ask.key.n:
                expires += -expires % HOUR
            self.model.answers[name] = ask.key.n, ask.key.digest, expires, told._replace(replayed=False)


def state(shelf: Shelf) -> str:
    return shelf.row.ending or ("paused" if shelf.row.paused else "open")


def differences(asks: tuple[Ask, ...], want: list[Told], outcomes: tuple) -> list[tuple]:
    """The asks that were not answered as the model answers them: each with both answers."""
    got = map(normal, outcomes)
    return [found for found in zip(asks, want, got, strict=True) if not agree(*found[1:])]


def agree(told: Told, other: Told) -> bool:
    """Whether two answers are the same, but for what may be told of entries that changed nothing."""
    return (
        told._replace(entries=[]) == other._replace(entries=[])
        and len(told.entries) == len(other.entries)
        and all(map(agree_on_entry, told.entries, other.entries))
    )


def normal(served) -> Told:
    """An engine's answer to an ask, as the model gives it."""
    handed: Any = served.handed
    entries = [[item for part in entry for item in single(part)] for entry in served.entries]
    told = Told(entries, why=served.why, state=served.state, replayed=served.replayed)
    if handed is None:
        return told
    items = [(seq, span.attempt) for span in handed.spans for seq in range(span.first, span.last + 1)]
    return told._replace(items=items, values=handed.values, token=handed.token, due=handed.due)

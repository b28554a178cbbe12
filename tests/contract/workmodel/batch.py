"""The contract of ``serve.py`` as plain Python: keys, then all other ops, then entries, then hand-outs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dibs.ledger.ops import Conflict, Define, QueueRow
from dibs.ledger.serve import Keyed, Refusal, Replay, Serve

from workmodel.compare import Told
from workmodel.model import UNCHANGED, Model
from workmodel.shelf import Item, Shelf

DAY, HOUR = 86_400_000, 3_600_000


class Batch:
    """One batch. ``outcomes``: what came of each op, of a Serve a list of what came of each ask.

    Who runs for a key is in ``running``: an ask by its place, a keyed op by its key and outcome.
    """

    def __init__(self, model: Model, ops: list[Any], now: int) -> None:
        self.model = model
        self.now = now
        serves = [op for op in ops if isinstance(op, Serve)]
        self.shelves = {op.queue: model.shelves.get(op.queue) for op in serves}
        self.asks = [(op, ask) for op in serves for ask in op.asks if self.shelves[op.queue] is not None]
        self.out: list[Told | None] = [None] * len(self.asks)
        self.entries: dict[int, list] = {}
        self.filed: set[int] = set()
        self.running: dict[tuple, int] = {}
        self.after: dict[int, int] = {}
        self.ran: dict[tuple, tuple] = {}
        names = {at: self.name_of_op(op) for at, op in enumerate(ops) if isinstance(op, Keyed)}
        self.names = {at: self.name(at) for at in range(len(self.asks)) if self.asks[at][1].key is not None}
        for at in self.names:
            self.rule(at)
        self.outcomes = [
            None if isinstance(op, Serve) else self.other(op, names.get(at)) for at, op in enumerate(ops)
        ]
        for op in serves:
            self.settle(op)
        for op in serves:
            if self.shelves[op.queue] is not None:
                self.hand_out(op, self.shelves[op.queue])
        self.file()
        for at, of in self.after.items():
            told = self.out[of]
            self.out[at] = told._replace(replayed=not told.why or bool(told.items))
        told = iter(self.out)
        for at, op in enumerate(ops):
            if isinstance(op, Serve):
                there = self.shelves[op.queue] is not None
                self.outcomes[at] = [next(told) if there else Told(why="moved") for _ in op.asks]

    def places(self, op: Serve) -> list[int]:
        return [at for at, (of, _) in enumerate(self.asks) if of is op]

    # -- keys

    def name(self, at: int) -> tuple:
        op, ask = self.asks[at]
        return self.place(self.shelves[op.queue].row, ask.key)

    @staticmethod
    def place(row: QueueRow, key) -> tuple:
        return row.root, row.generation, key.caller, key.text

    def name_of_op(self, op: Keyed) -> tuple:
        of = op.op
        shelf = self.model.named(of.name) if isinstance(of, Define) else self.model.row(of.queue)
        return (of, op.key.caller, op.key.text) if shelf is None else self.place(shelf.row, op.key)

    def rule(self, at: int) -> None:
        name, (_, ask) = self.names[at], self.asks[at]
        key = ask.key
        if name in self.running:
            leader = self.running[name]
            of = self.asks[leader][1].key
            if of == key:
                self.after[at], self.out[at] = leader, Told()
                return
            self.out[at] = refused(of.n, key)
            if self.out[at] is not None:
                return
            self.out[leader] = Told(why="key-superseded")
        elif (known := self.known(name)) is not None:
            n, digest, told = known
            if (n, digest) != (key.n, key.digest):
                self.out[at] = refused(n, key)
                if self.out[at] is not None:
                    return
            elif ask.handout is not None and told.items is None:
                self.entries[at] = told.entries
                self.filed.add(at)
            else:
                self.out[at] = told._replace(replayed=True)
                return
        self.running[name] = at

    def known(self, name: tuple) -> tuple | None:
        n, digest, expires, told = self.model.answers.get(name, (0, "", 0, None))
        return (n, digest, told) if expires > self.now else None

    # -- all other ops

    def other(self, op, name: tuple | None):
        if isinstance(op, Serve):
            return None  # not known yet
        if not isinstance(op, Keyed):
            return self.model.apply(op, self.now)
        refusal = self.rule_op(op.key, name)
        if refusal is not None:
            return refusal
        outcome = self.model.apply(op.op, self.now)
        self.ran[name] = op.key, outcome
        if changed(op.op, outcome):
            queue = outcome.id if isinstance(op.op, Define) else op.op.queue
            self.keep(self.place(self.model.row(queue).row, op.key), op.key, op.ttl, outcome)
        return outcome

    def rule_op(self, key, name: tuple):
        if name in self.ran:
            before, outcome = self.ran[name]
            if before == key:
                return Replay(outcome)
            told = refused(before.n, key)
            return told and Refusal(told.why)
        if name in self.running:
            at = self.running[name]
            told = refused(self.asks[at][1].key.n, key)
            if told is None:
                self.out[at] = Told(why="key-superseded")
                del self.running[name]
            return told and Refusal(told.why)
        known = self.known(name)
        if known is None:
            return None
        n, digest, outcome = known
        if (n, digest) == (key.n, key.digest):
            return Replay(outcome)
        told = refused(n, key)
        return told and Refusal(told.why)

    # -- entries

    def settle(self, op: Serve) -> None:
        shelf = self.shelves[op.queue]
        told: set[str] = set()
        for at in self.places(op):
            ask = self.asks[at][1]
            if self.out[at] is not None or at in self.entries:
                continue
            settled = [
                self.model.entry(shelf, entry, ask.chance, op.item_key_ttl, self.now) for entry in ask.entries
            ]
            self.entries[at] = settled
            told |= {
                entry.token
                for entry, items in zip(ask.entries, settled, strict=True)
                if "stale" in {verdict for _, verdict, *_ in items}
            }
        if told:
            self.model.take_away(shelf, told, self.now)

    # -- hand-outs

    def hand_out(self, op: Serve, shelf: Shelf) -> None:
        why, begun = self.begin(op, shelf), state(shelf)
        for at in self.places(op):
            if self.out[at] is not None:
                continue
            ask, told = self.asks[at][1], Told(self.entries.get(at, []))
            if shelf.row.deleted_at is not None:
                told = told._replace(why=why, replayed=at in self.filed)
            elif ask.handout is not None:
                told, why = self.give(op, shelf, ask, told, why)
                told = told._replace(replayed=at in self.filed and told.items is None)
            self.out[at] = told._replace(state=state(shelf) if ask.handout else begun)

    def begin(self, op: Serve, shelf: Shelf) -> str | None:
        """Find what can be granted, and note an end before it; why nobody gets anything."""
        self.left, self.texts, self.end, self.moved = 0, None, None, False
        row = shelf.row
        if row.deleted_at is not None:
            return "deleted" if self.model.shelves.get(row.id) is shelf else "moved"
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

    def give(self, op: Serve, shelf: Shelf, ask, told: Told, why: str | None) -> tuple[Told, str | None]:
        if why is not None:
            return told._replace(why=why), why
        want = ask.handout
        if not want.block and (handed := self.model.claim(shelf, want, self.now)) is not None:
            items, values, due = handed
            token = want.holder and want.holder.token
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
                item.began = self.now
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
            op, ask = self.asks[at]
            told = self.out[at]
            verdicts = {item[1] for entry in told.entries for item in entry} - {"stale", "refused", UNCHANGED}
            if told.items or (verdicts and at not in self.filed):
                self.keep(name, ask.key, op.key_ttl, told._replace(replayed=False, why=None))

    def keep(self, name: tuple, key, ttl: int, outcome) -> None:
        expires = self.now + (min(ttl, DAY) if key.n else ttl)
        if key.n:
            expires += -expires % HOUR
        self.model.answers[name] = key.n, key.digest, expires, outcome


def refused(n: int, key) -> Told | None:
    """Why a request is not run where another one, with this number, was."""
    if (n > 0) != (key.n > 0) or n == key.n:
        return Told(why="key-reused")
    return Told(why="key-superseded") if key.n < n else None


def changed(op, outcome) -> bool:
    """Whether an op changed anything: only such outcomes are filed."""
    if isinstance(outcome, int):
        return outcome > 0
    if isinstance(outcome, tuple):
        return not isinstance(outcome, Conflict) and outcome[3] is None
    return True


def state(shelf: Shelf) -> str:
    return shelf.row.ending or ("paused" if shelf.row.paused else "open")

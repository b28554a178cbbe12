"""The contract of ``work.py`` as plain Python: every op as a few loops over items."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import takewhile

from dibs.ledger.ops import OpFailed, QueueRow, Take
from dibs.ledger.work import Ack, Extend, Nack

from workmodel.shelf import Item, Shelf

UNCHANGED = "unchanged"
"""The verdict of an item that is as it was because its entry was refused or stale in another part."""


class Model:
    """``apply`` answers in the normal form of ``compare.py``, or raises OpFailed and is spoilt."""

    def __init__(self) -> None:
        self.shelves: dict[int, Shelf] = {}  # the newest row of each name
        self.answers: dict[tuple, tuple] = {}
        self.created = 0

    def named(self, name: str) -> Shelf | None:
        return next((shelf for shelf in self.shelves.values() if shelf.row.name == name), None)

    def there(self, queue: int) -> Shelf | None:
        shelf = self.shelves.get(queue)
        return shelf if shelf is not None and shelf.row.deleted_at is None else None

    def apply(self, op, now: int):
        return getattr(self, type(op).__name__.lower())(op, now)

    def start(self, stopped: int, now: int) -> None:
        """What a start does to the leases that were live when the ledger stopped."""
        for shelf in self.shelves.values():
            for item in shelf.items.values():
                if item.state(stopped) == "leased":
                    item.due = max(item.due, now + item.ttl)

    # -- handing out

    def take(self, op: Take, now: int):
        shelf = self.there(op.queue)
        if shelf is None or shelf.row.ending is not None or op.first != shelf.row.cursor + 1:
            raise OpFailed
        shelf.row = replace(shelf.row, mark=op.mark)
        shelf.count(cursor=op.count)
        if op.terms is None:
            shelf.count(taken=op.count)
            answer = None
        else:
            due = now + op.terms.ttl
            for n in range(op.count):
                text = op.texts[n] if op.texts else None
                terms = op.terms.token, op.terms.ttl, op.terms.worker
                item = Item(shelf, op.first + n, text, due, 0, 1, *terms, most=op.count)
                shelf.items[item.seq] = item
            answer = ([], None, due, {None})
        if op.end is not None:
            shelf.row = replace(shelf.row, ending=op.end.ending)
        return answer

    def claim(self, op, now: int):
        shelf = self.there(op.queue)
        if shelf is None or shelf.row.paused:
            return ([], None, None, shelf.next_claims(now) if shelf else {None})
        told = shelf.next_claims(now) & {now}  # of what was dead before, it may tell or not
        got = self.fitting(op, self.claimable(shelf, op, now))
        for item in got:
            if item.lapsed_alone(now):
                item.fail(None, None)
            item.attempt += not item.of_many(now)
            item.token, item.most = None, 0
            if op.terms is not None:
                item.token, item.ttl, item.worker = op.terms.token, op.terms.ttl, op.terms.worker
                item.due, item.most = now + op.terms.ttl, len(got)
        if op.terms is None:
            shelf.done(got, "taken")
        values = tuple(item.text for item in got) if got and got[0].text is not None else None
        due = now + op.terms.ttl if got and op.terms else None
        handed = [(item.seq, item.attempt) for item in got]
        return (handed, values, due, shelf.next_claims(now) | (told if shelf.lapsed(now) else set()))

    def claimable(self, shelf: Shelf, op, now: int) -> list[Item]:
        """In claim order. A lease holds what is left of one expired answer of many, or none of such."""
        ready = [item for item in shelf.items.values() if item.state(now) != "dead" and item.due <= now]
        ready.sort(key=lambda item: (item.priority, item.due, item.seq))
        if op.terms is None or not ready:
            return ready[: op.most]
        first = ready[0]
        if first.of_many(now):
            half = max(1, first.most // 2)
            return [item for item in ready if item.token == first.token][: min(op.most, half)]
        return list(takewhile(lambda item: not item.of_many(now), ready))[: op.most]

    def fitting(self, op, items: list[Item]) -> list[Item]:
        got, size = [], 0
        for item in items:
            size += len((item.text or "").encode())
            if got and size > op.most_bytes:
                break
            got.append(item)
        return got

    # -- pushing

    def push(self, op, now: int):
        shelf = self.there(op.queue)
        refused = "unknown" if shelf is None else shelf.refusal()
        ready = 0
        if refused is None:
            flat = [
                (text, parcel.keys[n] if parcel.keys else None, parcel)
                for parcel in op.parcels
                for n, text in enumerate(parcel.texts)
            ]
            names = [key for _, key, _ in flat if key is not None]
            known = sum(shelf.keys.get(key, (0, 0))[1] > now for key in set(names))
            fresh = len(flat) - len(names) + len(set(names)) - known
            waits = sum(item.state(now) == "waiting" for item in shelf.items.values())
            most = shelf.row.settings.max_ready
            if op.bounded and most is not None and fresh and waits + fresh > most:
                refused, ready = "full", waits
        if refused is not None:
            return ([], (), None, refused, ready)
        seqs, known, dues = [], [], []
        for n, (text, key, parcel) in enumerate(flat):
            due = now + parcel.delay
            seq = shelf.add(text, key, due, parcel.priority, now + op.key_ttl, now)
            if seq is None:
                known.append(n)
                seqs.append(shelf.keys[key][0])
            else:
                seqs.append(seq)
                dues.append(due)
        return (seqs, tuple(known), min(dues, default=None), None, 0)

    # -- settling

    def settle(self, op, now: int):
        woken: Counter[int] = Counter()
        entries = [self.entry(op, entry, now, woken) for entry in op.entries]
        self.take_away(op, entries, now)
        claimed = None if op.lease is None else self.apply(op.lease, now)
        return (entries, claimed, dict(woken))

    def take_away(self, op, entries: list, now: int) -> None:
        """A token that was told that something is stale loses what has expired, for good."""
        shelf = self.there(op.queue)
        told = {
            entry.token
            for entry, items in zip(op.entries, entries, strict=True)
            if "stale" in {i[1] for i in items}
        }
        for item in shelf.items.values() if shelf else ():
            if item.token not in told or item.due > now:
                continue
            if item.lapsed_alone(now):
                item.fail(None, None)
                item.dead = shelf.row.settings.buries(item.attempt)
                item.token, item.most = None, 0
            else:
                item.token += " before"

    def entry(self, op, entry, now: int, woken: Counter):
        shelf = self.there(op.queue)
        held = shelf.held(entry.token, now) if shelf else {}
        asked = list(held) or [None]
        if entry.seqs is not None:
            asked = [seq for first, last in entry.seqs for seq in range(first, last + 1)]
        push = entry.push if isinstance(entry, Ack) else ()
        if push and not all(seq in held for seq in asked):
            return [(seq, UNCHANGED if seq in held else "stale", None, None, None) for seq in asked]
        for result in push:
            target = self.named(result.queue)
            reason = "unknown" if target is None else target.refusal()
            if reason is not None:
                return [(seq, "refused", None, reason, result.queue) for seq in asked]
        for result in push:
            target = self.named(result.queue)
            due = now + result.delay
            if target.add(result.text, result.key, due, result.priority, now + op.key_ttl, now):
                woken[target.row.id] += 1
        return [
            (seq, *self.verdict(shelf, entry, held[seq], op, now, woken), None, None)
            if seq in held
            else (seq, "stale", None, None, None)
            for seq in asked
        ]

    def verdict(self, shelf: Shelf, entry, item: Item, op, now: int, woken: Counter):
        if isinstance(entry, Ack):
            shelf.done([item], "acked")
            return ("acked", None)
        if isinstance(entry, Extend):
            item.due, item.ttl = now + entry.ttl, entry.ttl
            woken[shelf.row.id] += 0  # its due is told, though nothing has come to wait
            return ("extended", item.due)
        item.token, item.most = None, 0
        if isinstance(entry, Nack):
            item.fail(now, entry.error)
            settings = shelf.row.settings
            if settings.buries(item.attempt):
                item.dead, item.due = True, now
                return ("dead", None)
            delay = settings.delay(item.attempt, op.chance) if entry.delay is None else entry.delay
            item.due = now + delay
        else:
            item.due, item.attempt = now, item.attempt - 1
        woken[shelf.row.id] += 1
        return ("nacked", item.due) if isinstance(entry, Nack) else ("released", None)

    # -- operating

    def redrive(self, op, now: int):
        shelf = self.there(op.queue)
        dead = [i for _, i in sorted(shelf.items.items()) if i.state(now) == "dead"] if shelf else []
        if op.seqs is not None:
            dead = [i for i in dead if any(first <= i.seq <= last for first, last in op.seqs)]
        dead = dead[: op.limit]
        for n, item in enumerate(dead):
            item.failures = item.failed(now)
            item.dead, item.attempt, item.token, item.most = False, 0, None, 0
            item.due = now + (int(n * 1_000 / op.rate) if op.rate else 0)
        return len(dead)

    def purge(self, op, now: int):
        shelf = self.there(op.queue)
        gone = [i for i in shelf.items.values() if i.state(now) in op.states] if shelf else []
        if shelf:
            shelf.done(gone, "purged")
            shelf.forget(gone)
        return len(gone)

    def changed(self, queue: int, **changes) -> QueueRow:
        shelf = self.there(queue)
        if shelf is None:
            raise OpFailed
        shelf.row = replace(shelf.row, **changes)
        return shelf.row

    def pause(self, op, now: int):
        return self.changed(op.queue, paused=op.paused)

    def close(self, op, now: int):
        row = self.changed(op.queue, ending="closed", failure_type=None, failure_message=None)
        return self.changed(op.queue, edition=row.edition + 1)

    def advance(self, op, now: int):
        before = self.shelves[op.queue].row.cursor
        row = self.changed(op.queue, cursor=op.to_seq, mark=None)
        jumped = row.jumped + op.to_seq - before
        return self.changed(op.queue, jumped=jumped, edition=row.edition + 1)

    def delete(self, op, now: int):
        shelf = self.there(op.queue)
        if shelf is not None:
            shelf.done(list(shelf.items.values()), "purged")
            shelf.keys = {}
        return self.changed(op.queue, deleted_at=now)

    def define(self, op, now: int):
        shelf = self.named(op.name)
        if shelf is None:
            return self.create(op, now, root=self.created + 1)
        row = shelf.row
        if op.reset or row.deleted_at is not None:
            del self.shelves[row.id]
        if op.reset:
            return self.create(op, now, root=row.root, generation=row.generation + 1)
        if row.deleted_at is not None:
            kept = {"base": row.cursor, "cursor": row.cursor, "mark": row.mark}
            return self.create(op, now, root=row.root, generation=row.generation, **kept)
        shelf.row = replace(row, settings=op.settings)
        return shelf.row

    def create(self, op, now: int, **kept) -> QueueRow:
        self.created += 1
        row = QueueRow(self.created, op.name, 1, op.source, op.args, now, None, False, *[None] * 4, 0, 0, 0)
        row = replace(row, settings=op.settings, **kept)
        self.shelves[row.id] = Shelf(row)
        return row

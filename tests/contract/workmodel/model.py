"""The contract of the ledger as plain Python: every op, entry and hand-out as a few loops over items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile

from dibs.ledger.ops import Conflict, QueueRow
from dibs.ledger.work import Ack, Extend, Nack

from workmodel.shelf import Item, Shelf

UNCHANGED = "unchanged"
"""The verdict of an item that is as it was because its entry was refused or stale in another part."""

SOON = 10_000
"""Milliseconds that a live lease has left at least after another owner has come."""

Handed = tuple[list[tuple[int, int]], tuple[str, ...] | None, int | None]
"""Items with their attempts, their values where those are kept, and when their lease ends."""


class Model:
    """``apply`` answers in the normal form of ``compare.py``; so do ``entry`` and ``claim``, for asks."""

    def __init__(self) -> None:
        self.shelves: dict[int, Shelf] = {}  # the newest row of each name
        self.replaced: dict[int, Shelf] = {}
        self.answers: dict[tuple, tuple] = {}
        self.created = 0

    def named(self, name: str) -> Shelf | None:
        return next((shelf for shelf in self.shelves.values() if shelf.row.name == name), None)

    def row(self, queue: int) -> Shelf | None:
        return self.shelves.get(queue) or self.replaced.get(queue)

    def apply(self, op, now: int):
        return getattr(self, type(op).__name__.lower())(op, now)

    def start(self, stopped: int, now: int, renews: bool) -> None:
        """What a start does to the leases that were live when the ledger stopped.

        Unless it ``renews`` all, those that would end soon get a little more time.
        """
        for shelf in self.shelves.values():
            for item in shelf.items.values():
                if item.state(stopped) != "leased":
                    continue
                if renews:
                    item.due = max(item.due, now + item.ttl)
                elif item.due <= now + SOON:
                    item.due = max(item.due, now + min(item.ttl, now - stopped + SOON))

    # -- handing out

    def claim(self, shelf: Shelf, want, now: int) -> Handed | None:
        """What waits, for an ask that wants it; None where nothing does."""
        got = self.fitting(want, self.claimable(shelf, want, now))
        if not got:
            return None
        holder = want.holder
        for item in got:
            if item.lapsed_alone(now):
                item.fail(None, None)
            item.attempt += not item.of_many(now)
            item.token, item.most = None, 0
            if holder is not None:
                item.token, item.ttl, item.worker = holder
                item.due, item.most, item.began = now + holder.ttl, len(got), now
        if holder is None:
            shelf.done(got, "taken")
        values = None if got[0].text is None else tuple(item.text for item in got)
        return [(item.seq, item.attempt) for item in got], values, holder and now + holder.ttl

    def claimable(self, shelf: Shelf, want, now: int) -> list[Item]:
        """In claim order. A lease holds what is left of one expired answer of many, or none of such."""
        ready = [item for item in shelf.items.values() if item.state(now) != "dead" and item.due <= now]
        ready.sort(key=lambda item: (item.priority, item.due, item.seq))
        if want.holder is None or not ready:
            return ready[: want.most]
        first = ready[0]
        if first.of_many(now):
            half = max(1, first.most // 2)
            return [item for item in ready if item.token == first.token][: min(want.most, half)]
        return list(takewhile(lambda item: not item.of_many(now), ready))[: want.most]

    def fitting(self, want, items: list[Item]) -> list[Item]:
        got, size = [], 0
        for item in items:
            size += len((item.text or "").encode())
            if got and size > want.room:
                break
            got.append(item)
        return got

    # -- pushing

    def push(self, op, now: int):
        shelf = self.row(op.queue)
        refused = shelf.refusal()
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

    def entry(self, shelf: Shelf, entry, chance: float, key_ttl: int, now: int) -> list[tuple]:
        """Settle an entry: what became of each of its items."""
        held = shelf.held(entry.token, now)
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
            due = now + result.delay
            target = self.named(result.queue)
            target.add(result.text, result.key, due, result.priority, now + key_ttl, now)
        return [
            (seq, *self.verdict(shelf, entry, held[seq], chance, now), None, None)
            if seq in held
            else (seq, "stale", None, None, None)
            for seq in asked
        ]

    def verdict(self, shelf: Shelf, entry, item: Item, chance: float, now: int) -> tuple[str, int | None]:
        if isinstance(entry, Ack):
            shelf.done([item], "acked")
            return ("acked", None)
        if isinstance(entry, Extend):
            item.due, item.ttl = now + entry.ttl, entry.ttl
            return ("extended", item.due)
        item.token, item.most = None, 0
        if not isinstance(entry, Nack):
            item.due, item.attempt = now, item.attempt - 1
            return ("released", None)
        item.fail(now, entry.error)
        settings = shelf.row.settings
        if entry.dead or settings.buries(item.attempt):
            item.dead, item.due = True, now
            return ("dead", None)
        item.due = now + (settings.delay(item.attempt, chance) if entry.delay is None else entry.delay)
        return ("nacked", item.due)

    def take_away(self, shelf: Shelf, told: set[str], now: int) -> None:
        """Tokens of which something was told to be stale lose what has expired, for good."""
        for item in shelf.items.values():
            if item.token not in told or item.due > now:
                continue
            if item.lapsed_alone(now):
                item.fail(None, None)
                item.dead = shelf.row.settings.buries(item.attempt)
                item.token, item.most = None, 0
            else:
                item.token += " before"

    # -- operating

    def redrive(self, op, now: int) -> int:
        shelf = self.row(op.queue)
        dead = [item for _, item in sorted(shelf.items.items()) if item.state(now) == "dead"]
        if op.seqs is not None:
            dead = [item for item in dead if any(first <= item.seq <= last for first, last in op.seqs)]
        dead = dead[: op.limit]
        for n, item in enumerate(dead):
            item.failures = item.failed(now)
            item.dead, item.attempt, item.token, item.most = False, 0, None, 0
            item.due = now + (int(n * 1_000 / op.rate) if op.rate else 0)
        return len(dead)

    def purge(self, op, now: int) -> int:
        shelf = self.row(op.queue)
        gone = [item for item in shelf.items.values() if item.state(now) in op.states]
        shelf.done(gone, "purged")
        shelf.forget(gone)
        return len(gone)

    def changed(self, queue: int, why: Callable[[QueueRow], str | None], **columns) -> QueueRow | Conflict:
        """A row that has changed, unless it is deleted, or there is another reason why it may not."""
        shelf = self.row(queue)
        row = shelf.row
        reason = "deleted" if row.deleted_at is not None else why(row)
        if reason is not None:
            return Conflict(reason, row)
        shelf.row = replace(row, **columns)
        return shelf.row

    def pause(self, op, now: int):
        return self.changed(op.queue, lambda row: None, paused=op.paused)

    def close(self, op, now: int):
        edition = self.row(op.queue).row.edition + 1
        return self.changed(
            *(op.queue, lambda row: None),
            **{"ending": "closed", "failure_type": None, "failure_message": None, "edition": edition},
        )

    def retry(self, op, now: int):
        edition = self.row(op.queue).row.edition + 1
        return self.changed(
            *(op.queue, lambda row: None if row.ending == "failed" else "not-failed"),
            **{"ending": None, "failure_type": None, "failure_message": None, "edition": edition},
        )

    def fail(self, op, now: int):
        return self.changed(
            *(op.queue, lambda row: "ended" if row.ending == "closed" else None),
            **{"ending": "failed", "failure_type": op.type, "failure_message": op.message},
        )

    def advance(self, op, now: int):
        row = self.row(op.queue).row

        def why(row: QueueRow) -> str | None:
            return "ended" if row.ending is not None else None if op.to_seq > row.cursor else "not-forward"

        return self.changed(
            *(op.queue, why),
            cursor=op.to_seq,
            jumped=row.jumped + op.to_seq - row.cursor,
            mark=row.mark if op.keeps_mark else None,
            edition=row.edition + 1,
        )

    def delete(self, op, now: int):
        shelf = self.row(op.queue)
        if shelf.row.deleted_at is None:
            if shelf.items and not op.confirmed:
                return Conflict("not-empty", shelf.row)
            shelf.clear()
        return self.changed(op.queue, lambda row: None, deleted_at=now)

    def define(self, op, now: int):
        shelf = self.named(op.name)
        if shelf is None:
            return self.create(op, now, root=self.created + 1)
        row = shelf.row
        same = (row.source, row.args) == (op.source, op.args)
        if op.reset and shelf.items and not op.confirmed:
            return Conflict("not-empty", row)
        if op.reset:
            return self.create(op, now, shelf, generation=row.generation + 1)
        if row.deleted_at is not None:
            mark = row.mark if same else None
            return self.create(op, now, shelf, base=row.cursor, cursor=row.cursor, mark=mark)
        return self.redefine(op, now, shelf, same)

    def redefine(self, op, now: int, shelf: Shelf, same: bool):
        row = shelf.row
        if not (same and op.settings) and row.cursor:
            return Conflict("source-changed", row)
        if not same:
            return self.create(op, now, shelf, created_at=row.created_at, paused=row.paused)
        columns = {"ending": None, "failure_type": None, "failure_message": None, "edition": row.edition + 1}
        shelf.row = replace(row, **({"settings": op.settings} if op.settings else columns))
        return shelf.row

    def create(self, op, now: int, before: Shelf | None = None, **kept) -> QueueRow:
        """A new row, in the place of another, which counts as deleted from now on."""
        self.created += 1
        row = QueueRow(self.created, op.name, 1, op.source, op.args, now, None, False, *[None] * 4, 0, 0, 0)
        if before is not None:
            old = before.row
            self.replaced[old.id] = self.shelves.pop(old.id)
            row = replace(row, root=old.root, generation=old.generation)
            if old.deleted_at is None:
                row = replace(row, settings=old.settings)
                before.clear()
                before.row = replace(before.row, deleted_at=now)
        row = replace(row, **kept)
        self.shelves[row.id] = Shelf(row if op.settings is None else replace(row, settings=op.settings))
        return self.shelves[row.id].row

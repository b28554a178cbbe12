"""Moves become ops when the state that they meet is known: so most are legal, and some are not."""

from __future__ import annotations

import random
from typing import Any

from dibs.ledger.ops import Advance, Close, Define, Delete, Fail, Pause, Retry
from dibs.ledger.serve import Ask, Drawn, End, HandOut, Holder, Key, Keyed, Serve
from dibs.ledger.work import (
    Ack,
    Entry,
    Extend,
    Nack,
    Parcel,
    Purge,
    Push,
    QueueSettings,
    Redrive,
    Release,
    Result,
)

from workmodel.model import Model
from workmodel.shelf import Shelf

LENGTH = 2**53 - 1
BYTES = 1 << 20
TTLS = (1_000, 30_000, 90_000)
DELAYS = (0, 0, 1, 1_000, 31_000)
SOURCES = {"a": "", "b": "", "n": "numbers", "x": "texts"}
SETTINGS = (
    QueueSettings(),
    QueueSettings(max_attempts=1),
    QueueSettings(max_attempts=2, backoff=100, jitter=0.5),
    QueueSettings(max_attempts=3, backoff=1_000, backoff_max=3_000, jitter=0.0, max_ready=6),
    QueueSettings(max_attempts=None, backoff=0, max_ready=2),
)
OFTEN = ("round",) * 8 + ("push",) * 3
SOMETIMES = ("redrive", "purge", "resume", "settings")
SELDOM = ("advance", "pause", "close", "fail", "retry", "delete", "define", "reset", "change")
KINDS = OFTEN * 6 + SOMETIMES * 3 + SELDOM
"""The ops, as often as they should come."""


class Mover:
    """Makes ops of a kind; a seed decides the rest."""

    def __init__(self, model: Model, now: int, serial: int) -> None:
        self.model = model
        self.now = now
        self._serial = serial
        self._chance = random.Random(0)

    def batch(self, moves: list[tuple[str, int]]) -> list[Any]:
        """Make each move, as the state asks for that the ones before it left; of rounds the first."""
        ops: list[Any] = []
        for kind, seed in moves:
            self._chance.seed(seed)
            shelf = self.pick(list(self.model.shelves.values()))
            if kind == "round":
                ops += [] if any(isinstance(op, Serve) for op in ops) else self.round(shelf)
                continue
            op, key = getattr(self, kind)(shelf), self.key(prefix="op")
            if key is None or kind == "fail":
                self.model.apply(op, self.now)
                ops.append(op)
            else:  # whether it is applied is not known here
                ops.append(Keyed(op, key, self.pick((20_000, 90_000))))
        return ops

    def pick(self, options):
        return self._chance.choice(options)

    def one_with(self, shelf: Shelf, wanted) -> Shelf:
        """Mostly a queue that has an item of this sort, if there is any; else this one."""
        having = [s for s in self.model.shelves.values() if any(map(wanted, s.items.values()))]
        return self.pick([*having, *having, *having, shelf])

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def text(self) -> str:
        """Ten bytes of UTF-8, whatever it is."""
        return self.pick((f'"{self.serial():08d}"', f'"ä{self._serial:06d}"'))

    def fed(self, shelf: Shelf) -> Shelf:
        """This queue, or one with a source in its place."""
        return shelf if shelf.row.source else self.model.named(self.pick(("n", "x")))

    # -- rounds

    def round(self, shelf: Shelf) -> list[Serve]:
        """Asks of one queue or two."""
        other = self.pick(list(self.model.shelves.values()))
        shelves = [shelf] if other is shelf or self.pick((0, 0, 1)) == 0 else [shelf, other]
        return [self.serve(each) for each in shelves]

    def serve(self, shelf: Shelf) -> Serve:
        row = shelf.row
        asks = tuple(self.ask(shelf) for _ in range(self.pick((1, 1, 2, 3, 5))))
        edition = row.edition - (row.edition > 1 and self.pick((0,) * 9 + (1,)))
        ttls = self.pick((20_000, 90_000)), self.pick((20_000, 90_000))
        length = row.cursor + self.pick((0, 1, 3)) if self.pick((0,) * 30 + (1,)) else LENGTH
        drawn = self.drawn(shelf) if row.source == "texts" and self.pick((0, 1, 1, 1)) else None
        return Serve(row.id, edition, asks, drawn, length if row.source == "numbers" else None, *ttls)

    def drawn(self, shelf: Shelf) -> Drawn:
        end = self.pick((None,) * 20 + (End("exhausted"), End("failed", "E", "m")))
        back = min(shelf.row.cursor, self.pick((0, 0, 2)))
        texts = tuple(self.text() for _ in range(back + self.pick((0, 1, 4, 9))))
        return Drawn(shelf.row.cursor + 1 - back, texts, end, self.pick((None, "text")))

    def ask(self, shelf: Shelf) -> Ask:
        holder = Holder(f"t{self.serial()}", self.pick(TTLS), self.pick(("", "ann")))
        handout = HandOut(
            self.pick((1, 1, 2, 5)), self.pick((BYTES, BYTES, 25, 5)), self.pick((holder, holder, None))
        )
        if shelf.row.source == "numbers" and not self.pick((0,) * 9 + (1,)):
            handout = handout._replace(holder=None)
        entries = self.entries(shelf) if self.pick((0, 1, 1)) else ()
        return Ask(self.pick((handout, handout, handout, None)), entries, self.key(), self.pick((0.0, 0.5)))

    def key(self, prefix: str = "") -> Key | None:
        """None, one of its own, one that comes again, or the next of a session. Each sort has its digests."""
        again = Key(self.pick("pq"), prefix + self.pick("dde"), caller=self.pick(("", "", "ann")))
        session = Key(self.pick("st"), prefix + self.pick("dde"), self.pick((1, 2, 3, 4, 5, 6)))
        return self.pick((None, None, None, Key(f"o{self.serial()}", "d"), again, session, session))

    # -- pushing

    def unfed(self, shelf: Shelf) -> Shelf:
        """This queue, or mostly one that producers push to in its place."""
        if not shelf.row.source:
            return shelf
        odd = shelf.row.ending is None and self.pick((0, 0, 0, 1))
        return shelf if odd else self.model.named(self.pick(("a", "b")))

    def parcel(self) -> Parcel:
        texts = tuple(self.text() for _ in range(self.pick((2, 1, 5))))
        keys = tuple(self.pick((None, "k", "l", "m")) for _ in texts) if self.pick((0, 1)) else None
        return Parcel(texts, self.pick(DELAYS), self.pick((0, 0, 3, 9)), keys)

    def push(self, shelf: Shelf):
        shelf = self.unfed(shelf)
        parcels = tuple(self.parcel() for _ in range(self.pick((1, 1, 2))))
        return Push(shelf.row.id, parcels, self.pick((20_000, 90_000)))

    # -- settling

    def entries(self, shelf: Shelf) -> tuple[Entry, ...]:
        shelf = self.one_with(shelf, lambda item: item.state(self.now) == "leased")
        live = sorted({i.token for i in shelf.items.values() if i.state(self.now) == "leased"})
        lapsed = sorted({i.token for i in shelf.items.values() if i.token}.difference(live))
        tokens = [*live * 6, *lapsed, "forged"]
        return tuple(self.entry(shelf, self.pick(tokens)) for _ in range(self.pick((1, 2, 3))))

    def entry(self, shelf: Shelf, token: str):
        mine = sorted(item.seq for item in shelf.items.values() if item.token == token)
        seqs = self.pick((None, self.ranges(mine), self.ranges(mine)))
        lapsed = any(shelf.items[seq].state(self.now) != "leased" for seq in mine)
        return self.pick(
            (
                lambda: Ack(token, seqs),
                lambda: Nack(token, seqs, self.pick((None, *DELAYS)), self.pick(("", "Ümlaut"))),
                lambda: Extend(token, self.pick(TTLS), seqs),
                lambda: Release(token, seqs),
                lambda: Ack(token, seqs, () if seqs is None and lapsed else self.results()),
            )
        )()

    def ranges(self, mine: list[int]):
        """Some of the token's seqs, and now and then some that are not."""
        chosen = {seq for seq in mine if self.pick((1, 1, 0))} | set(mine[:1])
        if self.pick((0, 0, 0, 1)) or not chosen:
            chosen.add(self.pick((1, 2, 9, 50)))
        ranges: list[list[int]] = []
        for seq in sorted(chosen):
            if ranges and ranges[-1][1] == seq - 1 and self.pick((1, 1, 0)):
                ranges[-1][1] = seq
            else:
                ranges.append([seq, seq])
        return tuple((first, last) for first, last in ranges)

    def results(self) -> tuple[Result, ...]:
        names = ("a", "b", "a", "b", "n", "nowhere")
        return tuple(
            Result(
                self.pick(names),
                self.text(),
                self.pick(DELAYS),
                self.pick((0, 5)),
                self.pick((None, "k", "l")),
            )
            for _ in range(self.pick((1, 2)))
        )

    # -- operating

    def redrive(self, shelf: Shelf):
        shelf = self.one_with(shelf, lambda item: item.state(self.now) == "dead")
        dead = sorted(item.seq for item in shelf.items.values() if item.state(self.now) == "dead")
        return Redrive(
            shelf.row.id,
            self.pick((None, None, self.ranges(dead))),
            self.pick((None, None, 2)),
            self.pick((None, None, 2.0, 0.1)),
        )

    def purge(self, shelf: Shelf):
        return Purge(shelf.row.id, self.pick((("dead",), ("waiting",), ("waiting", "dead"))))

    def advance(self, shelf: Shelf):
        return Advance(shelf.row.id, shelf.row.cursor + self.pick((1, 1, 4, 0)), self.pick((False, True)))

    def pause(self, shelf: Shelf):
        return Pause(shelf.row.id, True)

    def resume(self, shelf: Shelf):
        there = [s for s in self.model.shelves.values() if s.row.deleted_at is None]
        paused = next((s for s in there if s.row.paused), shelf)
        return Pause(paused.row.id, False)

    def close(self, shelf: Shelf):
        return Close(shelf.row.id)

    def fail(self, shelf: Shelf):
        return Fail(self.fed(shelf).row.id, "E", "m")

    def retry(self, shelf: Shelf):
        ended = [s for s in self.model.shelves.values() if s.row.ending == "failed"]
        return Retry(self.pick([shelf, *ended, *ended]).row.id)

    def delete(self, shelf: Shelf):
        return Delete(shelf.row.id, confirmed=self.pick((True, True, False)))

    # -- defining

    def settings(self, shelf: Shelf):
        """Others than before, unless something has just died: an engine may have written that down or not."""
        row = shelf.row
        chosen = row.settings if shelf.lapsed(self.now) else self.pick(SETTINGS)
        return Define(row.name, row.source, "{}", settings=chosen)

    def define(self, shelf: Shelf):
        gone = [s for s in self.model.shelves.values() if s.row.deleted_at is not None or s.row.ending]
        row = self.pick([shelf, *gone, *gone]).row
        return Define(row.name, row.source, "{}", row.ending is not None and self.pick((True, False)))

    def reset(self, shelf: Shelf):
        settings = self.pick((None, *SETTINGS))
        confirmed = self.pick((True, True, False))
        return Define(shelf.row.name, shelf.row.source, "{}", True, settings=settings, confirmed=confirmed)

    def change(self, shelf: Shelf):
        """Another source, and back; of a queue whose cursor is above 0 it is refused."""
        unused = [s for s in self.model.shelves.values() if not s.row.cursor]
        row = self.pick([shelf, *unused, *unused]).row
        other = {"numbers": "texts", "texts": "numbers"}.get(row.source, "")
        return Define(row.name, other, "{}")

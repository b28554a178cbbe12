"""Moves become ops when the state that they meet is known: so most are legal, and some are not."""

from __future__ import annotations

import random

from dibs.ledger.ops import Advance, Close, Define, Delete, Pause, Remember, SourceEnd, Take
from dibs.ledger.serve import Ask, Drawn, End, HandOut, Holder, Key, Serve
from dibs.ledger.work import (
    Ack,
    Claim,
    Extend,
    Nack,
    Parcel,
    Purge,
    Push,
    QueueSettings,
    Redrive,
    Release,
    Result,
    Settle,
    Terms,
)

from workmodel.model import Model
from workmodel.shelf import Shelf

ALL = 10_000
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
OFTEN = ("settle",) * 6 + ("lease", "lease", "claim", "claim", "claim_all", "push", "push", "push")
SOMETIMES = ("keep", "take", "redrive", "purge", "resume", "settings")
SELDOM = ("fault", "advance", "pause", "close", "delete", "reset")
OFTEN = (*OFTEN, *("round",) * 8)
KINDS = OFTEN * 6 + SOMETIMES * 3 + SELDOM
"""The ops, as often as they should come."""


class Mover:
    """Makes ops of a kind; a seed decides the rest."""

    def __init__(self, model: Model, now: int, serial: int) -> None:
        self.model = model
        self.now = now
        self._serial = serial
        self._chance = random.Random(0)

    def op(self, kind: str, seed: int):
        self._chance.seed(seed)
        return getattr(self, kind)(self.pick(list(self.model.shelves.values())))

    def pick(self, options):
        return self._chance.choice(options)

    def one_with(self, shelf: Shelf, wanted) -> Shelf:
        """Mostly a queue that has an item of this sort, if there is any; else this one."""
        having = [s for s in self.model.shelves.values() if any(map(wanted, s.items.values()))]
        return self.pick([*having, *having, *having, shelf])

    def claimable(self, shelf: Shelf) -> Shelf:
        return self.one_with(shelf, lambda item: item.state(self.now) == "waiting" and item.due <= self.now)

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def filed(self) -> Remember | None:
        if self.pick((0, 0, 1)) == 0:
            return None
        return Remember(f"f{self.serial()}", "r", self.pick((20_000, 90_000)))

    def terms(self) -> Terms:
        return Terms(f"t{self.serial()}", self.pick(TTLS), self.pick(("", "ann", "bo")))

    def text(self) -> str:
        """Ten bytes of UTF-8, whatever it is."""
        return self.pick((f'"{self.serial():08d}"', f'"ä{self._serial:06d}"'))

    def fed(self, shelf: Shelf) -> Shelf:
        """This queue, or one with a source in its place."""
        return shelf if shelf.row.source else self.model.named(self.pick(("n", "x")))

    # -- handing out

    def lease(self, shelf: Shelf, terms: bool = True, lapse: int = 0):
        shelf = self.fed(shelf)
        if shelf.row.ending is not None or shelf.row.deleted_at is not None:
            return self.revive(shelf)
        count = self.pick((3, 1, 2, 10))
        kept = terms and shelf.row.source == "texts"
        return Take(
            shelf.row.id,
            shelf.row.cursor + 1 + lapse,
            count,
            mark=self.pick((None, "m")),
            end=self.pick((None,) * 20 + (SourceEnd("exhausted"),)),
            terms=self.terms() if terms else None,
            texts=tuple(self.text() for _ in range(count)) if kept else None,
        )

    def take(self, shelf: Shelf):
        return self.lease(shelf, terms=False)

    def fault(self, shelf: Shelf):
        return self.lease(shelf, lapse=self.pick((1, -1, 5)))

    def revive(self, shelf: Shelf):
        return Define(
            shelf.row.name, shelf.row.source, "{}", shelf.row.ending is not None, settings=SETTINGS[0]
        )

    def advance(self, shelf: Shelf):
        shelf = self.fed(shelf)
        if shelf.row.ending is not None or shelf.row.deleted_at is not None:
            return self.revive(shelf)
        return Advance(shelf.row.id, shelf.row.cursor + self.pick((1, 4)))

    def claim(self, shelf: Shelf):
        shelf = self.claimable(shelf)
        return Claim(
            shelf.row.id, self.pick((2, 1, 5, ALL)), self.pick((BYTES, 35, 5)), self.terms(), self.filed()
        )

    def claim_all(self, shelf: Shelf):
        shelf = self.claimable(shelf)
        return Claim(shelf.row.id, ALL, BYTES, self.terms(), self.filed())

    def keep(self, shelf: Shelf):
        shelf = self.claimable(shelf)
        return Claim(shelf.row.id, self.pick((1, 3)), BYTES, None, self.filed())

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
        entries = self.settle(shelf).entries if self.pick((0, 1, 1)) else ()
        return Ask(self.pick((handout, handout, handout, None)), entries, self.key(), self.pick((0.0, 0.5)))

    def key(self) -> Key | None:
        """None, one of its own, one that comes again, or the next of a session."""
        again = Key(self.pick("pq"), self.pick("dde"))
        session = Key(self.pick("st"), self.pick("dde"), self.pick((1, 2, 3, 4, 5, 6)))
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
        return Push(shelf.row.id, parcels, self.pick((20_000, 90_000)), remember=self.filed())

    # -- settling

    def settle(self, shelf: Shelf):
        shelf = self.one_with(shelf, lambda item: item.state(self.now) == "leased")
        live = sorted({i.token for i in shelf.items.values() if i.state(self.now) == "leased"})
        lapsed = sorted({i.token for i in shelf.items.values() if i.token}.difference(live))
        tokens = [*live * 6, *lapsed, "forged"]
        entries = tuple(self.entry(shelf, self.pick(tokens)) for _ in range(self.pick((1, 2, 3))))
        return Settle(
            shelf.row.id,
            entries,
            self.pick((0.0, 0.25, 1.0)),
            lease=self.next_lease(shelf) if self.pick((0, 1)) else None,
            key_ttl=self.pick((20_000, 90_000)),
            remember=self.filed(),
        )

    def next_lease(self, shelf: Shelf):
        row = shelf.row
        if row.source and row.ending is None and row.deleted_at is None and self.pick((0, 1)):
            texts = ('"0000000x"',) * 2 if row.source == "texts" else None
            return Take(row.id, row.cursor + 1, 2, terms=self.terms(), texts=texts)
        return Claim(row.id, self.pick((2, ALL)), BYTES, self.terms())

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
            if self.model.named("n").row.ending is None
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
            self.filed(),
        )

    def purge(self, shelf: Shelf):
        return Purge(shelf.row.id, self.pick((("dead",), ("waiting",), ("waiting", "dead"))), self.filed())

    def pause(self, shelf: Shelf):
        return self.revive(shelf) if shelf.row.deleted_at is not None else Pause(shelf.row.id, True)

    def resume(self, shelf: Shelf):
        paused = next(
            (s for s in self.model.shelves.values() if s.row.paused and s.row.deleted_at is None), shelf
        )
        return self.revive(paused) if paused.row.deleted_at is not None else Pause(paused.row.id, False)

    def settings(self, shelf: Shelf):
        if shelf.lapsed(self.now):  # whether a claim has written down that it is dead is left to the engine
            return self.claim_all(shelf)
        return Define(shelf.row.name, shelf.row.source, "{}", settings=self.pick(SETTINGS))

    def reset(self, shelf: Shelf):
        return Define(shelf.row.name, shelf.row.source, "{}", reset=True, settings=self.pick(SETTINGS))

    def close(self, shelf: Shelf):
        return self.revive(shelf) if shelf.row.deleted_at is not None else Close(shelf.row.id)

    def delete(self, shelf: Shelf):
        return self.revive(shelf) if shelf.row.deleted_at is not None else Delete(shelf.row.id)

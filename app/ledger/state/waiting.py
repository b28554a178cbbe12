"""Waiting items: one look at them serves as many asks as they are enough for, in claim order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from ..serve import Handed, HandOut
from ..work import Span
from . import blocks, claims, runs
from .accounts import Account
from .claims import Found, Wanted
from .history import record
from .rows import ALONE, LEASED, Run
from .transaction import Transaction

KeyOf = tuple[str, str | None]
"""A caller and its key, for the history; no key where it has none."""


class Piece(NamedTuple):
    """Consecutive items of one run: its place among those that were found, the first and the last."""

    at: int
    first: int
    last: int


def hand_out(tx: Transaction, account: Account, wanted: Sequence[tuple[HandOut, KeyOf]]) -> list[Handed]:
    """Hand waiting items out, to the first of these asks; an ask that gets nothing ends it."""
    tx.write_tail(account)
    handed: list[Handed] = []
    while len(handed) < len(wanted) and account.claimable(tx.now):
        more = _look(tx, account, wanted[len(handed) :])
        if not more:
            break
        handed += more
    return handed


def _look(tx: Transaction, account: Account, wanted: Sequence[tuple[HandOut, KeyOf]]) -> list[Handed]:
    """Serve the first of these asks, those that are alike, with one look at what waits."""
    leasing = wanted[0][0].holder is not None
    alike = list(takewhile(lambda want: (want[0].holder is not None) == leasing, wanted))
    most = sum([handout.most for handout, _ in alike])
    room = sum([handout.room for handout, _ in alike])
    found = claims.find_sound(tx, account, Wanted(most, room, alike[0][0].most, leasing))
    if not found.picked:
        return []
    shares = _Shares(tx, account, found)
    handed: list[Handed] = []
    for handout, key in alike[:1] if found.crowd else alike:
        share = shares.next(handout, key)
        if share is None:
            break
        handed.append(share)
    shares.write()
    return handed


class _Shares:
    """Shares out the items that were found, in order. ``_parts``: what becomes of each of their runs."""

    __slots__ = ("_account", "_at", "_first", "_found", "_kept", "_last", "_parts", "_text", "_tx")

    def __init__(self, tx: Transaction, account: Account, found: Found) -> None:
        self._tx = tx
        self._account = account
        self._found = found
        self._kept = bool(found.picked[0][0].kept)
        self._parts: list[list[Run]] = []
        self._text = 0
        self._at = -1
        self._go()

    def _go(self) -> None:
        """Go to the next run."""
        self._at += 1
        if self._at < len(self._found.picked):
            run, size = self._found.picked[self._at]
            self._first, self._last = run.first, run.first + size - 1
            self._parts.append([])

    def next(self, handout: HandOut, key: KeyOf) -> Handed | None:
        """The share of the next ask; None if nothing is left."""
        text = self._text
        pieces = self._pieces(handout)
        if not pieces:
            return None
        values = tuple(self._found.texts[text : self._text]) if self._kept else None
        if handout.holder is None:
            return Handed(self._give(pieces, key), values)
        due = self._tx.lease(handout.holder.ttl)
        return Handed(self._lease(pieces, handout, due), values, handout.holder.token, due)

    def _pieces(self, handout: HandOut) -> list[Piece]:
        """As many of the next items as fit."""
        most, room = handout.most, handout.room
        pieces: list[Piece] = []
        while most and self._at < len(self._found.picked):
            count = wanted = min(most, self._last - self._first + 1)
            if self._kept:
                count, room = self._fitting(wanted, room, one=not pieces)
            if count:
                pieces.append(Piece(self._at, self._first, self._first + count - 1))
            self._first += count
            most -= count
            if count < wanted:
                break
            if self._first > self._last:
                self._go()
        return pieces

    def _fitting(self, wanted: int, room: int, *, one: bool) -> tuple[int, int]:
        """How many of the next values fit, and the room that is left."""
        texts, at = self._found.texts, self._text
        end = at + wanted
        while at < end:
            size = blocks.size(texts[at])
            if size > room and not (one and at == self._text):
                break
            room -= size
            at += 1
        count, self._text = at - self._text, at
        return count, room

    def _give(self, pieces: list[Piece], key: KeyOf) -> tuple[Span, ...]:
        """Give items out for good: they leave the queue."""
        tx, account = self._tx, self._account
        spans: list[Span] = []
        for at, first, last in pieces:
            run = self._found.picked[at][0]
            runs.done(tx, account.id, first, last, run)
            account.taken += last - first + 1
            claims.join(spans, Span(first, last, run.next_attempt(tx.now)))
        record(tx, account, "taken", [(span.first, span.last, "") for span in spans], key)
        return tuple(spans)

    def _lease(self, pieces: list[Piece], handout: HandOut, due: int) -> tuple[Span, ...]:
        """Lease items; neighbours that are alike become one run."""
        holder = handout.holder
        assert holder is not None  # noqa: S101  # who gives no items calls this
        most = sum([last - first + 1 for _, first, last in pieces])
        spans: list[Span] = []
        home: list[Run] = []  # the parts of the run that has the last of them
        for at, first, last in pieces:
            run = self._found.picked[at][0]
            attempt, history = run.next_attempt(self._tx.now), run.history
            if run.state == LEASED and run.most <= ALONE:
                history = runs.expired(self._tx, self._account.id, run).history
            lease = attempt, holder.token, holder.worker, run.priority, history, run.kept, most
            piece = Run(first, last, LEASED, due, holder.ttl, *lease)
            claims.join(spans, Span(first, last, attempt))
            if home and home[-1].last + 1 == first and home[-1][5:] == lease:
                home[-1] = home[-1]._replace(last=last)
            else:
                home = self._parts[at]
                home.append(piece)
        return tuple(spans)

    def write(self) -> None:
        """Write what became of the runs; what nobody got of them stays as it was."""
        for at, parts in enumerate(self._parts):
            run = self._found.picked[at][0]
            rest = self._first if at == self._at else run.first + self._found.picked[at][1]
            if rest == run.first:
                continue
            if rest <= run.last:
                parts.append(run.part(rest, run.last))
            runs.rewrite(self._tx, self._account.id, run, parts)
        if self._at < len(self._found.picked):
            self._account.due = min(self._account.due, self._found.picked[self._at][0].due)

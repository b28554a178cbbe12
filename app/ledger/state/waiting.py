"""Waiting items: one look at them serves as many asks as they are enough for, in claim order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from ..serve import Ask, Handed, HandOut, Holder
from ..work import Span
from . import blocks, claims, runs, traces
from .accounts import Account
from .claims import Found, Wanted
from .history import record
from .rows import ALONE, LEASED, Run
from .transaction import Transaction

Piece = tuple[int, int, int]
"""Consecutive items of one run: its place among those that were found, the first and the last."""

# As their own constructors do, in a third of the time.
_handed: Callable[[Any], Handed] = partial(tuple.__new__, Handed)
_span: Callable[[Any], Span] = partial(tuple.__new__, Span)


def hand_out(tx: Transaction, account: Account, asks: Sequence[Ask]) -> list[Handed]:
    """Hand waiting items out, to the first of these asks; an ask that gets nothing ends it."""
    tx.write_tail(account)
    handed: list[Handed] = []
    while len(handed) < len(asks) and account.claimable(tx.now):
        more = _look(tx, account, asks[len(handed) :] if handed else asks)
        if not more:
            break
        handed += more
    return handed


def _look(tx: Transaction, account: Account, asks: Sequence[Ask]) -> list[Handed]:
    """Serve the first of these asks, those that are alike, with one look at what waits."""
    wanted = [ask.handout for ask in asks if ask.handout is not None]
    leasing = wanted[0].holder is not None
    alike = list(takewhile(lambda want: (want.holder is not None) == leasing, wanted))
    most = sum([handout.most for handout in alike])
    room = sum([handout.room for handout in alike])
    found = claims.find_sound(tx, account, Wanted(most, room, alike[0].most, leasing))
    if not found.picked:
        return []
    shares, cut = _Shares(tx, account, found), account.due <= tx.now
    handed: list[Handed] = []
    for handout, ask in zip(alike[:1] if found.crowd else alike, asks, strict=False):
        if shares.over or (handed and cut and shares.left < handout.most):
            break  # those before took more bytes than they asked for: it is the first of the next look
        handed.append(shares.next(handout, ask))
    shares.write()
    return handed


class _Shares:
    """Shares out the items that were found, in order. ``left``: how many; ``over``: none.

    ``_parts``: what becomes of each of their runs. ``_run`` is the present one, of which the items from
    ``_first`` to ``_last`` are left.
    """

    def __init__(self, tx: Transaction, account: Account, found: Found) -> None:
        self._tx = tx
        self._account = account
        self._picked, self._texts = found.picked, found.texts
        self._kept = bool(found.picked[0][0].kept)
        self._parts: list[list[Run]] = [[] for _ in found.picked]
        self._text = 0
        self.left = sum([size for _, size in found.picked])
        self.over = False
        self._go(0)

    def _go(self, at: int) -> None:
        """Go to a run."""
        self._at = at
        if at < len(self._picked):
            run, size = self._picked[at]
            self._first, self._last = run.first, run.first + size - 1
        else:
            self.over = True

    def next(self, handout: HandOut, ask: Ask) -> Handed:
        """The share of the next ask: one item at least."""
        most, room, holder, _ = handout
        text, left = self._text, self.left
        pieces = self._pieces(most, room) if most > 1 else self._piece()
        values = tuple(self._texts[text : self._text]) if self._kept else None
        if holder is None:
            return _handed((self._give(pieces, ask), values, None, None, None, False, None))
        due = self._tx.lease(holder.ttl)
        spans = self._lease(pieces, left - self.left, holder, due)
        traced = traces.of(self._tx, self._account, spans) if self._account.traced else None
        return _handed((spans, values, holder.token, due, None, False, traced))

    def _piece(self) -> list[Piece]:
        """The next item alone: it always fits."""
        at, first = self._at, self._first
        self._text += self._kept
        self.left -= 1
        self._first = first + 1
        if first == self._last:
            self._go(at + 1)
        return [(at, first, first)]

    def _pieces(self, most: int, room: int) -> list[Piece]:
        """As many of the next items as fit, one at least."""
        pieces: list[Piece] = []
        while most and not self.over:
            first = self._first
            left = self._last - first + 1
            count = wanted = most if most < left else left
            if self._kept:
                count, room = self._fitting(wanted, room, one=not pieces)
                self._text += count
            if count:
                pieces.append((self._at, first, first + count - 1))
                self._first += count
                self.left -= count
                most -= count
            if count == left:
                self._go(self._at + 1)
            if count < wanted:
                break
        return pieces

    def _fitting(self, wanted: int, room: int, *, one: bool) -> tuple[int, int]:
        """How many of the next values fit, and the room that is left."""
        begin = self._text
        for count, text in enumerate(self._texts[begin : begin + wanted]):
            room -= blocks.size(text)
            if room < 0 and not (one and count == 0):
                return count, 0
        return wanted, max(room, 0)

    def _give(self, pieces: list[Piece], ask: Ask) -> tuple[Span, ...]:
        """Give items out for good: they leave the queue."""
        tx, account = self._tx, self._account
        spans: list[Span] = []
        for at, first, last in pieces:
            run = self._picked[at][0]
            runs.done(tx, account.id, first, last, run)
            account.taken += last - first + 1
            claims.join(spans, Span(first, last, run.next_attempt(tx.now)))
        if account.history:
            record(tx, account, "taken", [(span.first, span.last, "") for span in spans], ask)
        return tuple(spans)

    def _lease(self, pieces: list[Piece], most: int, holder: Holder, due: int) -> tuple[Span, ...]:
        """Lease items, ``most`` altogether; neighbours that are alike become one run."""
        spans: list[Span] = []
        home: list[Run] = []  # the parts of the run that has the last of them
        for at, first, last in pieces:
            run = self._picked[at][0]
            attempt, history = run.attempt + 1, run.history
            if run.state == LEASED:
                attempt = run.next_attempt(self._tx.now)
                if run.most <= ALONE:
                    history = runs.expired(self._tx, self._account.id, run).history
            part = run.leased(first, last, due, holder, attempt, history, most)
            claims.join(spans, _span((first, last, attempt)))
            if home and part.goes_on(home[-1]):
                home[-1] = home[-1].part(home[-1].first, last)
            else:
                home = self._parts[at]
                home.append(part)
        return tuple(spans)

    def write(self) -> None:
        """Write what became of the runs; what nobody got of them stays as it was."""
        for at, parts in enumerate(self._parts[: self._at + 1]):
            run, size = self._picked[at]
            rest = self._first if at == self._at else run.first + size
            if rest == run.first:
                continue
            if rest <= run.last:
                parts.append(run.part(rest, run.last))
            runs.rewrite(self._tx, self._account.id, run, parts)
        if not self.over:
            self._tx.room += sum(map(blocks.size, self._texts[self._text :]))
            self._account.due = min(self._account.due, self._picked[self._at][0].due)

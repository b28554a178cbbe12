"""Fresh items: of a computed source the cursor moves; of others what was drawn is granted, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ... import marks
from ..looks import Kept
from ..ops import OpFailed
from ..serve import Drawn, Handed, HandOut, Holder, Serve, Why
from ..work import MAX_SEQ, Span
from . import blocks
from .accounts import Account
from .rows import FRESH
from .transaction import Transaction

# As their own constructors do, in a third of the time.
_handed: Callable[[Any], Handed] = partial(tuple.__new__, Handed)
_span: Callable[[Any], Span] = partial(tuple.__new__, Span)


class Fresh:
    """The fresh items that one Serve may grant. ``left``: how many there are; ``drawn``: what was drawn.

    The source's end is recorded as soon as everything before it is granted: when this is made, and with each
    grant.
    """

    def __init__(self, tx: Transaction, account: Account, op: Serve) -> None:
        self._tx = tx
        self._account = account
        self.drawn: Drawn | None = None
        self._begun = self._at = 0  # in the texts
        self._kept: list[tuple[int, list[str]]] = []  # values of leased items, by the first seq
        self._end: tuple[str, ...] | None = None  # the ending, and the cause of a failure
        self.left = 0
        self.moved = False
        if account.ending is not None:
            return
        if op.length is not None:
            self._end = ("exhausted",)
            self.left = max(min(op.length, MAX_SEQ) - account.cursor, 0)
        elif op.drawn is not None:
            self._begin(op.drawn, op.edition)
        else:
            return
        if not self.left and not self.moved:
            self._ended()

    def _begin(self, drawn: Drawn, edition: int) -> None:
        """Find the place in the texts from which on nothing was granted yet."""
        account = self._account
        done: int | None = account.cursor
        if drawn.opening:
            done = self._tx.granted_of(account.id, drawn.opening)
        self.moved = edition != account.edition or done is None or done + 1 < drawn.first
        if self.moved or done is None:
            return
        self.drawn = drawn
        self._begun = self._at = min(done + 1 - drawn.first, len(drawn.texts))
        room = MAX_SEQ - account.cursor
        self.left = min(len(drawn.texts) - self._at, room)
        if self.left == room:
            self._end = ("exhausted",)
        elif drawn.end is not None:
            self._end = drawn.end if drawn.end.ending == "failed" else (drawn.end.ending,)

    def _ended(self) -> None:
        if self._end is not None:
            self._account.end(*self._end)
            self._end = None

    def why(self) -> Why:
        """Why there is nothing."""
        account = self._account
        if account.ending == "failed":
            return "failed"
        if account.ending is not None:
            return "exhausted" if account.over else "empty"
        return "moved" if self.moved else "dry" if account.source else "empty"

    def grant(self, handout: HandOut) -> Handed:
        """Grant the next items: one at least; there are some."""
        most, room, holder, block = handout
        account, left = self._account, self.left
        first = account.cursor + 1
        count = most if most < left else left
        texts = token = due = None
        if self.drawn is not None:
            if block:
                raise OpFailed(f"the source of queue {account.id} is not computed: no blocks")
            texts = self._texts(self.drawn.texts, count, room)
            count = len(texts)
        account.cursor = last = first + count - 1
        self.left = left - count
        if holder is None:
            account.taken += count
        else:
            token, due = holder.token, self._lease(first, last, texts, holder)
        if not self.left:
            self._ended()
        return _handed(((_span((first, last, 1)),), texts, token, due, None, True, None))

    def _lease(self, first: int, last: int, texts: tuple[str, ...] | None, holder: Holder) -> int:
        """Write the run of a lease; its values are kept for the next hand-out. When it ends."""
        account, due, kept = self._account, self._tx.lease(holder.ttl), 0
        if texts is not None:
            kept = 1
            self._keep(first, texts)
        self._tx.runs.insert(account.id, FRESH[kept].leased(first, last, due, holder, 1, 0, last - first + 1))
        account.due = min(account.due, due)
        return due

    def _texts(self, texts: tuple[str, ...], count: int, room: int) -> tuple[str, ...]:
        """The next values that fit, one at least."""
        begin = at = self._at
        end = begin + count
        while at < end:
            room -= blocks.size(texts[at])
            if room < 0 and at > begin:
                break
            at += 1
        self._at = at
        return texts[begin:at]

    def _keep(self, first: int, texts: tuple[str, ...]) -> None:
        """Keep values for the next hand-out of their items; neighbours share blocks."""
        if self._kept and self._kept[-1][0] + len(self._kept[-1][1]) == first:
            self._kept[-1][1].extend(texts)
        else:
            self._kept.append((first, list(texts)))

    def write(self) -> None:
        """Write what was granted: the values of leased items, and the mark."""
        tx, account, drawn = self._tx, self._account, self.drawn
        for first, texts in self._kept:
            blocks.write(tx.blocks, account.id, first, texts, Kept(tx.now, ""))
        if drawn is None or self._at == self._begun:
            return
        if drawn.mark is not None:
            last = drawn.texts[self._at - 1]
            account.mark = marks.digest(last) if drawn.mark == "digest" else marks.plain(last)
        else:
            account.mark = None
        if drawn.opening:
            tx.granted[account.id] = drawn.opening, drawn.first + self._at - 1

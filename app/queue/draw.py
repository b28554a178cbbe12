"""The draw: from the shared iterator into the committer's line, in one step.

Two locks, always taken in this order:

* the **source's lock** is the iterator's own (``hold``). A draw keeps it from before the pull until its op is
  in the line, so values enter the line in the order in which they were drawn. It can be held for as
  long as the source sleeps.
* the **line's lock** (``lock``) guards the epoch, what was put back and the gate, for a few instructions. The
  committer and the event loop take it; they never wait for a source.

A pull takes place between two looks at the gate. If the queue was paused, closed, or its epoch raised in
the meantime, or if the caller has given up, the values are put back and drawn first next time: nothing is
handed out, nothing is lost, the order stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..errors import (
    DibsError,
    LedgerUnavailable,
    PullTimeout,
    Refused,
    SourceBusy,
    SourceClosed,
    Stopping,
)
from ..ledger.entry import Entry
from ..ledger.ops import Op, Outcome, Remember, SourceEnd, Take
from ..ledger.pending import Pending
from ..ledger.work import Claimed, Settle, Settlement, Span, Terms
from ..sources import MAX_SEQ
from .answers import Block, Leased, Taken, Values, answer, leased
from .line import Segment
from .many import DrawsForMany
from .pull import fitting, pull

if TYPE_CHECKING:
    from ..iterators import Hold
    from ..sources import Source


log = logging.getLogger("dibs.queue")


class Ask:
    """One request for values, from the event loop to a thread of the queue's pool.

    ``patience`` (seconds) is how long it waits for the source. ``terms``: hand out under a lease. ``settle``
    makes an op that settles and hands out in one transaction, and ``settled`` the answer to it.
    """

    __slots__ = (
        "block",
        "count",
        "enqueued",
        "given_up",
        "patience",
        "pending",
        "remember",
        "settle",
        "settled",
        "terms",
    )

    def __init__(self, count: int, *, block: bool = False, terms: Terms | None = None) -> None:
        self.count = count
        self.block = block
        self.terms = terms
        self.remember: Remember | None = None
        self.settle: Callable[[Take, Remember | None], Settle] | None = None
        self.settled: Callable[[Settlement | None, Leased], Any] | None = None
        self.begin()

    def begin(self) -> None:
        """Begin a further draw, as the draw before met the source's end."""
        self.patience = 0.0
        self.pending: Pending[Any] = Pending()
        self.enqueued = False
        self.given_up = False


class Draw(DrawsForMany):
    """Draws for one queue, on the threads of its pool; from a source that counts on the event loop, too."""

    def draw_at_once(self, ask: Ask) -> bool:
        """Draw on the event loop, from a source that counts: it never waits, so no thread has to.

        False: a thread draws from it just now, or it does not count; nothing was drawn.
        """
        source, patience = self.source, ask.patience
        if source is None or not source.arithmetic:
            return False
        ask.patience = 0.0
        try:
            self._draw(ask)
        except SourceBusy:
            return False
        except DibsError as error:
            ask.pending.fail(error)
        finally:
            ask.patience = patience
        return True

    def draw(self, ask: Ask) -> None:
        """Draw for ``ask`` and put the op into the line, or fail the op that the request waits for."""
        if ask.given_up:
            return
        try:
            self._draw(ask)
        except DibsError as error:
            ask.pending.fail(error)
        except Exception as error:
            log.exception("a draw of %s failed", self.name)
            ask.pending.fail(LedgerUnavailable(f"the draw failed: {error!r}"))

    def _draw(self, ask: Ask) -> None:
        while True:
            source = self._source()
            before = perf_counter()
            try:
                with source.iterator.hold(ask.patience) as held:
                    began = perf_counter()
                    if source is not self.source:
                        continue  # exchanged while this thread waited for its lock
                    self.waits.append(began - before)
                    drawn = self._draw_held(ask, source, held)
                    self.holds.append(perf_counter() - began)
                    if drawn:
                        return
            except SourceClosed:
                if source is self.source:  # not exchanged for another one, but closed
                    raise Stopping("the server is going down", retry_after=1.0) from None
            except PullTimeout:
                raise _busy(self.name) from None

    def _source(self) -> Source:
        self._committer.check()
        refusal = self.gate.refusal()  # it is looked at again with the line's lock held
        if refusal is not None:
            raise refusal
        return self.opened()

    def opened(self) -> Source:
        """The open source of the queue."""
        if self.source is None:
            raise LedgerUnavailable(f"{self.name} has no source yet")
        return self.source

    def _draw_held(self, ask: Ask, source: Source, held: Hold[Any]) -> bool:
        """Draw with the source's lock held; False if the source was exchanged meanwhile: then draw again."""
        with self.lock:
            self._admit(ask, self._epoch)
            epoch = self._epoch
            if self._back:
                self._enqueue_or_put_back(ask, source, self._take_back(ask.count), None)
                return True
            if source.arithmetic and source is self.source:
                # It keeps nobody waiting, so there is no need to let go of the lock, and to look again.
                values, end = pull(source, held, ask.count, self._limits.handout_bytes)
                segment = Segment(self._next_seq, values)
                self._next_seq += len(values)
                self._enqueue_or_put_back(ask, source, segment, end)
                return True
        values, end = self._pull_texts(source, held, ask.count)
        fit = fitting(values, self._limits.handout_bytes)
        with self.lock:
            if source is not self.source:
                # Opened anew in the meantime, at the ledger's cursor: the new one gives these values again.
                return False
            segment = Segment(self._next_seq, values[:fit])
            rest = Segment(self._next_seq + fit, values[fit:])
            self._next_seq += len(values)
            self._put_back(rest)
            try:
                self._admit(ask, epoch)
            except DibsError:
                self._put_back(segment)
                raise
            self._enqueue_or_put_back(ask, source, segment, None if rest.values else end)
            return True

    def _pull_texts(self, source: Source, held: Hold[Any], count: int) -> tuple[Values, SourceEnd | None]:
        """Pull values, but none beyond the seq where every queue ends."""
        room = MAX_SEQ + 1 - self._next_seq
        values, end = (
            pull(source, held, min(count, room), self._limits.handout_bytes) if room > 0 else ((), None)
        )
        return values, SourceEnd("exhausted") if len(values) >= room else end

    def _admit(self, ask: Ask, epoch: int) -> None:
        if ask.given_up:
            raise _busy(self.name)
        self.admit(epoch)

    # -- the line, with its lock held

    def _enqueue_or_put_back(self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None) -> None:
        try:
            self._enqueue(ask, source, segment, end)
        except DibsError:  # the ledger can't be written now
            self._put_back(segment)
            raise

    def _enqueue(self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None) -> None:
        first, values = segment
        take = Take(
            self.queue,
            first,
            len(values),
            source.mark(values[-1]) if values else None,
            end,
            terms=ask.terms if values else None,
            texts=_kept(source, values) if ask.terms and values else None,
        )
        remember = _remembered(ask.remember, values, wide=source.wide) if values else None
        op: Op
        if values and ask.settle is not None:
            op = ask.settle(take, remember)
        else:
            op = take if remember is None else take._replace(remember=remember)
        self._committer.submit(
            Entry(
                op,
                ask.pending,
                line=self,
                values=values,
                answer=self._answer(ask, source, segment, end) if values else None,
                settled=None
                if op is take and end is None and take.terms is None
                else partial(self._settled, take),
            )
        )
        ask.enqueued = True
        if values:
            self._mark = take.mark

    def _answer(
        self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None
    ) -> Callable[[Outcome], Any]:
        """The function that makes the caller's answer of the outcome; most of the answer is made here."""
        state = "open" if end is None else end.ending
        told = answer(self.name, state, *segment, wide=source.wide, block=ask.block)
        if ask.terms is None or isinstance(told, Block):
            return lambda _: told
        # A failure may hide when the lease ends; then it is told to end a little early, never late.
        return partial(self._lease, ask, ask.terms, told, self._now() + ask.terms.ttl)

    def _lease(self, ask: Ask, terms: Terms, taken: Taken, due: int, outcome: Outcome) -> Any:
        claimed = outcome.claimed if isinstance(outcome, Settlement) else outcome
        if isinstance(claimed, Claimed) and claimed.due is not None:
            due = claimed.due
        spans = (Span(taken.first, taken.first + taken.count - 1),)
        handed = leased(self.name, taken.state, terms.token, due, spans, taken.values, self._now())
        if ask.settled is None:
            return handed
        return ask.settled(outcome if isinstance(outcome, Settlement) else None, handed)

    def give_up(self, ask: Ask, why: Refused | None = None) -> bool:
        """Give up for a caller that waits no longer; False if its op is in the line, past withdrawing."""
        with self.lock:
            if ask.enqueued or ask.pending.done:
                return False
            ask.given_up = True
        ask.pending.fail(why or _busy(self.name))
        return True


def _kept(source: Source, values: Values) -> tuple[str, ...] | None:
    """The values of a lease, where they can't be computed again."""
    return None if source.computed else tuple(map(str, values))


def _remembered(remember: Remember | None, values: Values, *, wide: bool) -> Remember | None:
    """The key's answer with all its values, so that it can be repeated whatever becomes of the source."""
    if remember is None:
        return None
    kept = values if isinstance(values, range) else tuple(map(str, values))
    return replace(remember, values=kept, wide=wide)


def _busy(name: str) -> SourceBusy:
    return SourceBusy(f"the source of {name} gave nothing in time; ask again", retry_after=1.0)

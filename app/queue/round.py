"""The asks of one queue in one batch, and what each of them is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DibsError, LedgerFull, LedgerUnavailable, OutcomeUnknown
from ..ledger.serve import Serve, Served
from .answers import Answer, Values

if TYPE_CHECKING:
    from .condition import Condition
    from .replies import Replies
    from .supply import Supply
    from .values import Computing
    from .waiting import Waiting

log = logging.getLogger("dibs.queue")

# As its own constructor does, in a third of the time.
_answer: Callable[[Any], Answer] = partial(tuple.__new__, Answer)


class Home(Protocol):
    """The line of a round's asks."""

    name: str
    supply: Supply
    computing: Computing
    condition: Condition
    replies: Replies

    def park(self, waiting: Waiting, why: str) -> bool:
        """Let an ask that got nothing wait on; False if it may not."""

    def tried(self, count: int, *, all_served: bool) -> None:
        """Note how many parked asks were tried, and whether all of these were served."""

    def again(self, waiting: Waiting) -> None:
        """Ask once more: the queue as it is now."""

    def outlast(self, waiting: Waiting) -> bool:
        """Let an ask of which nothing is on disk wait until the disk is back; False if it may not."""


class Round:
    """A round of one queue. ``tried``: how many of the ``asked`` had been parked.

    Between :meth:`settle` and :meth:`tell` it keeps what its callers are told: answers and refusals, the asks
    that got nothing and may not wait, and those that are to be asked again. The event loop alone touches it.
    """

    __slots__ = ("_again", "_line", "_nothing", "_told", "asked", "op", "tried")

    def __init__(self, line: Home, op: Serve, asked: list[Waiting], tried: int) -> None:
        self._line = line
        self.op = op
        self.asked = asked
        self.tried = tried
        self._told: list[tuple[Waiting, Answer | DibsError]] = []
        self._nothing: list[tuple[Waiting, str]] = []
        self._again: list[Waiting] = []

    def settle(self, outcomes: Any, now: int) -> None:
        """Take what came of each ask: park those that wait, keep the others."""
        line, told, meter = self._line, self._told, self._line.replies.meter
        pulled, begin, unserved = self._pull(outcomes), 0, 0
        for waiting, served in zip(self.asked, outcomes, strict=True):
            if isinstance(served, DibsError):
                self._failed(waiting, served)
                continue
            if served.entries and waiting.ask.settled is None and not (served.replayed or served.known):
                meter.settle(served.entries)  # once it is on disk, whoever hears of it
            handed, handout = served.handed, waiting.ask.handout
            bare = handout is not None and handout.block  # a block's answer has its bounds alone
            values: Values | None = None
            if handed is not None and (pulled is None or served.replayed or not handed.fresh):
                try:
                    values = line.computing.of(handed, bare=bare)
                except Exception:  # the others have theirs
                    log.exception("the answer to an ask of %s", line.name)
                    if not waiting.done:
                        told.append((waiting, unmade()))
                    continue
            elif handed is not None:
                end = begin + handed.spans[0].last - handed.spans[0].first + 1
                values, begin = pulled[begin:end], end
                if line.computing.wide and not bare:
                    values = line.computing.shown(values)
            if waiting.done:
                continue  # it was told that nobody knows
            waiting.entries = served.entries or waiting.entries
            if values is not None or served.why is None or (served.entries and handout is None):
                told.append((waiting, _answer((line.name, served, values or (), None, now))))
            else:
                unserved += 1
                self._got_nothing(waiting, served, served.why)
        if self.tried:
            line.tried(self.tried, all_served=not unserved)

    def _failed(self, waiting: Waiting, error: DibsError) -> None:
        if waiting.done:
            return  # it was told that nobody knows
        undone = isinstance(error, (LedgerFull, LedgerUnavailable))
        if not (undone and self._line.outlast(waiting)):
            self._told.append((waiting, error))

    def _pull(self, outcomes: Sequence[Served | DibsError]) -> Any:
        """The values of all fresh items of a computed source, in one pull; None where the ledger has them."""
        first = size = 0
        for served in outcomes:
            if not isinstance(served, DibsError) and not served.replayed:
                handed = served.handed
                if handed is not None and handed.fresh:
                    span = handed.spans[0]
                    first = first or span.first
                    size += span.last - span.first + 1
        return self._line.supply.granted(first, size) if size else None

    def _got_nothing(self, waiting: Waiting, served: Served, why: str) -> None:
        if waiting.entries and waiting.ask.settled is None:
            # Only now: at its next try what is on file may be its own.
            waiting.known = served.replayed or served.known
            waiting.ask = waiting.ask._replace(entries=(), settled=waiting.entries)
        if why == "moved":
            self._again.append(waiting)
        elif not self._line.park(waiting, why):
            self._nothing.append((waiting, why))

    def tell(self) -> None:
        """Send the answers; whatever one caller makes of its own, the others hear theirs."""
        line, replies = self._line, self._line.replies
        for waiting, told in self._told:
            try:
                if isinstance(told, Answer):
                    replies.answer(waiting, told)
                elif waiting.ask.key is not None:  # it can be asked for what is settled, and for the lease
                    replies.refuse(waiting, told)
                else:
                    replies.without_items(waiting, told)
            except Exception:
                log.exception("after a batch")
        for waiting, why in self._nothing:
            handout = waiting.ask.handout
            more = why == "empty" and handout is not None and not handout.block and line.condition.due_now()
            if more:  # a bound on burying has stopped the claim
                guarded(line.again, waiting)
            else:
                guarded(replies.nothing, waiting, why)
        for waiting in self._again:
            guarded(line.again, waiting)

    def give_up(self, error: DibsError) -> None:
        """Tell all callers that nobody knows what became of their asks.

        What one has settled before is told, unless its key can be asked for that, and for the lease.
        """
        replies = self._line.replies
        for waiting in self.asked:
            if not waiting.done:
                keyed = waiting.ask.key is not None
                guarded(replies.refuse if keyed else replies.without_items, waiting, error)


def unmade() -> OutcomeUnknown:
    """The error for an answer whose values can't be had."""
    return OutcomeUnknown("the request is done and on disk, but its answer can't be made")


def guarded(callback: Callable[..., None], *args: object) -> None:
    """Tell one of many; if that fails, the others must hear of theirs all the same."""
    try:
        callback(*args)
    except Exception:
        log.exception("after a batch")

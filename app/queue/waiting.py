"""An ask of a caller, from its arrival to its answer."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Protocol

from ..ledger.serve import Ask
from ..ledger.work import Settled

if TYPE_CHECKING:
    from .callers import Caller

_places = count()


class Home(Protocol):
    """The line in which an ask stands."""

    def end(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.end`."""

    def drop(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.drop`."""


class Waiting:
    """One ask of a caller, from its arrival to its answer. The event loop alone touches it.

    ``line`` is where it stands: another one once its queue was defined anew. ``until`` is when its own wait
    ends, ``deadline`` when it is answered at the latest, both in the loop's time. ``place`` is its turn among
    all asks. ``entries``: what became of its settlings, which are on disk; ``known``: an earlier request with
    its key has settled them. ``why``: the reason for which it waits. ``alone``: it is a hand-out with nothing
    settled. ``over``: its caller waits no longer. ``noted``: the deadline under which those of its line have
    it. ``asked``: it joins the next round. ``done``: it has its answer.
    """

    __slots__ = (
        "alone",
        "ask",
        "asked",
        "began",
        "caller",
        "deadline",
        "done",
        "entries",
        "known",
        "line",
        "noted",
        "over",
        "parked",
        "place",
        "until",
        "why",
    )

    def __init__(self, line: Home, ask: Ask, caller: Caller, now: float, wait: float) -> None:
        self.line = line
        self.ask = ask
        self.caller = caller
        self.began = now
        self.until = self.deadline = now + wait
        self.place = next(_places)
        self.entries: tuple[tuple[Settled, ...], ...] = ()
        self.why = "empty"
        self.alone = not ask.entries
        self.noted = 0.0
        self.over = self.parked = self.asked = self.done = self.known = False

    def end(self) -> None:
        """End the wait, as the caller sends nothing more: ask once more without waiting, and answer."""
        self.line.end(self)

    def drop(self) -> None:
        """Drop the ask, as its caller has gone; what it settles is settled all the same."""
        self.line.drop(self)


def items_of(waiting: Waiting) -> int:
    """How many items an ask wants."""
    handout = waiting.ask.handout
    return 0 if handout is None else handout.most

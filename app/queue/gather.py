"""Takes of one round, drawn together.

As a rule, many connections send requests at once, not one after the other. So the takes of a round from a
source that counts are one draw, one op and one wake-up, however many they are, and each request costs its
share. A take that is not that simple goes its own way (``HandOuts.take``), which also makes its refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ..errors import DibsError, QueueExhausted
from ..ledger.together import Share, Shares
from .answers import Values
from .desk import unsure
from .many import Many
from .rounds import Rounds, tell

if TYPE_CHECKING:
    from .handout import HandOuts

T = TypeVar("T")

log = logging.getLogger("dibs.queue")

ITEMS_MOST: Final = 10_000
"""Items of one draw for many: its answers are made in one step of the loop, which the others wait for."""


class Taker(Protocol):
    """A request for ``count`` items, perhaps under a ``key``.

    Exactly one of its methods is called, once, on the event loop. ``request`` tells one request from another
    under the same key.
    """

    count: int
    key: str | None

    @property
    def request(self) -> str:
        """The text of the request, as ``HandOuts.take`` has it."""

    def handed(self, first: int, values: Values, state: str) -> None:
        """Answer with items that are on disk."""

    def refused(self, error: DibsError) -> None:
        """Refuse: nothing was handed out, or nobody knows."""

    def alone(self) -> None:
        """Take from the queue alone, as nothing was drawn."""


class Gathering:
    """The takes of one queue."""

    def __init__(self, queue: HandOuts, rounds: Rounds) -> None:
        self.queue = queue
        self.rounds = rounds
        self._asked: list[Taker] = []
        self._keyed = False

    def take(self, taker: Taker) -> None:
        """Take for this taker, together with all takers of the round."""
        if not self._asked:
            self.rounds.join(self)
        self._asked.append(taker)
        if taker.key is not None:
            self._keyed = True

    def begin(self) -> None:
        """Draw for the takers of the round."""
        keyed = self._keyed
        takers, self._asked = first_of(self._asked, [taker.count for taker in self._asked])
        self._keyed = keyed and bool(self._asked)
        if self._asked:
            self.rounds.join(self)
        if not self.queue.draws_at_once:
            for taker in takers:
                tell(taker.alone)
            return
        if keyed:
            takers = self._fresh(takers)
        if takers:
            _Draught(self, takers).begin(keyed=keyed)

    def _fresh(self, takers: list[Taker]) -> list[Taker]:
        """The takers without a key, or with a new key, which is held from here on. The others take alone."""
        keys = self.queue.keys
        held = [taker.key is not None and keys.begin(taker.key, taker.request) for taker in takers]
        asked = [taker.key for taker, holds in zip(takers, held, strict=True) if holds and taker.key]
        try:
            known = self.queue.known_keys(asked)
        except Exception:  # then each looks for itself, and hears what is wrong
            log.exception("looking keys up")
            known = None
        if known == set() and len(asked) == len(takers):
            return takers
        fresh: list[Taker] = []
        for taker, holds in zip(takers, held, strict=True):
            key = taker.key
            if key is None or (holds and known is not None and key not in known):
                fresh.append(taker)
                continue
            if holds:
                keys.end(key)  # it has its answer, or nobody can tell
            tell(taker.alone)
        return fresh


def first_of(asked: list[T], counts: Sequence[int]) -> tuple[list[T], list[T]]:
    """The takers that one draw can serve, at least one; and the others."""
    if sum(counts) <= ITEMS_MOST:
        return asked, []
    total = 0
    for at, count in enumerate(counts):
        total += count
        if total > ITEMS_MOST and at:
            return asked[:at], asked[at:]
    return asked, []


class _Draught(Many):
    """One draw for many takers. Their keys are let go when its op is settled, whatever they were told."""

    __slots__ = ("_began", "_gathering", "_keys", "_takers")

    def __init__(self, gathering: Gathering, takers: list[Taker]) -> None:
        super().__init__(sum([taker.count for taker in takers]))
        self._gathering = gathering
        self._takers = takers
        self._began = perf_counter()
        self._keys: list[str] = []

    def begin(self, *, keyed: bool) -> None:
        """Draw, and tell the takers of the outcome, whatever it is."""
        gathering, takers = self._gathering, self._takers
        queue, rounds = gathering.queue, gathering.rounds
        if keyed:
            self._keys = [taker.key for taker in takers if taker.key is not None]
        if keyed or queue.row.settings.history:  # whose each item is, in the ledger, too
            parts = [Share(taker.key, taker.request, taker.count) for taker in takers]
            self.shares = Shares(tuple(parts), queue.key_ttl)
        if queue.draw_for_many(self):
            queue.meter.in_flight += len(takers)
            rounds.began(self)
            self.when_done(self._done, rounds.loop)
        else:
            self._let_keys_go()
            for taker in takers:
                tell(taker.alone)

    def late(self) -> None:
        """Tell the takers that the disk does not answer in time."""
        self._refuse(unsure())

    def _let_keys_go(self) -> None:
        for key in self._keys:
            self._gathering.queue.keys.end(key)

    def _done(self) -> None:
        self._let_keys_go()
        if not self._takers:
            return  # they were told that nobody knows
        try:
            self.result(0)
        except QueueExhausted as error:
            if self.values is not None:
                self._refuse(error)
                return
            for taker in self._end():  # it ended just now; the queue knows whether something may come back
                tell(taker.alone)
            return
        except DibsError as error:
            self._refuse(error)
            return
        self._hand_out(self._end())

    def _end(self) -> list[Taker]:
        takers, self._takers = self._takers, []
        self._gathering.queue.meter.in_flight -= len(takers)
        self._gathering.rounds.ended(self)
        return takers

    def _refuse(self, error: DibsError) -> None:
        takers = self._end()
        self._gathering.queue.meter.refuse(len(takers))
        for taker in takers:
            tell(taker.refused, error)

    def _hand_out(self, takers: list[Taker]) -> None:
        """Give each taker its next items; takers after the source's end take alone, and hear of it there."""
        values = self.answered
        at, total, served, first = 0, len(values), 0, self.first
        for taker in takers:
            end = at + taker.count
            try:
                if end <= total:
                    taker.handed(first + at, values[at:end], "open")
                elif at < total:
                    taker.handed(first + at, values[at:], self.state)
                else:
                    taker.alone()
                    continue
            except Exception:  # the others have to hear of theirs
                log.exception("an answer")
            at = end
            served += 1
        self._gathering.queue.meter.handed_together(served, total, perf_counter() - self._began)

"""Takes that are asked for in one step of an event loop, drawn together.

Many connections ask at once, as a rule, not one after the other. So takes from a source that counts wait for
the end of the loop's step, and are then one draw, one op and one wake-up, however many they are: what a
request costs is its share. Whatever is not that simple goes its own way (``HandOuts.take``), and is told
there what is to be said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from app.errors import DibsError, QueueExhausted
from app.ledger.together import Share, Shares
from app.queue.answers import Taken, Values
from app.queue.desk import unsure
from app.queue.draw import Ask
from app.queue.meters import Meter
from app.queue.watch import Watch

if TYPE_CHECKING:
    from app.queue.handout import HandOuts

T = TypeVar("T")


ITEMS_MOST: Final = 10_000
"""Items of one draw for many: its answers are made in one step of the loop, which the others wait for."""


class Taker(Protocol):
    """Who asks for ``count`` items, perhaps under a ``key``.

    Exactly one of the methods is called, once, on the event loop. ``request`` tells one request from another
    under the same key.
    """

    count: int
    key: str | None

    @property
    def request(self) -> str:
        """As ``HandOuts.take`` calls it."""

    def handed(self, first: int, values: Values, state: str) -> None:
        """These are on disk."""

    def refused(self, error: DibsError) -> None:
        """Nothing is handed out, or nobody knows."""

    def alone(self) -> None:
        """Nothing was drawn: ask the queue by itself."""


class Gathering:
    """The takes of one queue on one event loop: the queue's own, or another one whose takes have no keys."""

    def __init__(self, queue: HandOuts, loop: asyncio.AbstractEventLoop, meter: Meter | None = None) -> None:
        self._queue = queue
        self._loop = loop
        self.meter = meter or Meter()
        self.watch = Watch(loop, queue.limits.pull_patience)
        self._asked: list[Taker] = []
        self._keyed = False
        self._under_way = False

    def take(self, taker: Taker) -> None:
        """Take for this one, with all who ask in this step of the loop."""
        if not self._asked and not self._under_way:
            self._loop.call_soon(self._draw_rest)
        self._asked.append(taker)
        if taker.key is not None:
            self._keyed = True

    def began(self) -> None:
        """A draw goes to the disk. Who asks now could not get there before it has: they gather until then."""
        self._under_way = True

    def ended(self) -> None:
        """It is there, or failed, or is given up.

        The next one begins when this one's takers have been told, and who of them asks again at once comes
        with it. For all but the fewest that is worth more than the moment: a commit costs as much as many
        answers, and is shared by twice as many.
        """
        self._loop.call_soon(self._draw_next)

    def _draw_next(self) -> None:
        self._under_way = False
        self._draw_rest()

    def _draw_rest(self) -> None:
        """Draw for who asks, until a draw is under way."""
        while self._asked and not self._under_way:
            self._draw()

    def _draw(self) -> None:
        takers, self._asked = first_of(self._asked, (taker.count for taker in self._asked))
        keyed, self._keyed = self._keyed, self._keyed and bool(self._asked)
        if not self._queue.draws_at_once:
            for taker in takers:
                taker.alone()
        else:
            fresh = self._fresh(takers) if keyed else takers
            if fresh:
                _Draught(self, self._queue, self._loop, fresh)

    def _fresh(self, takers: list[Taker]) -> list[Taker]:
        """Those without a key, or with a new one, which is held from here on. The others ask alone."""
        keys = self._queue.keys
        asked: dict[str, Taker] = {}
        for taker in takers:
            if taker.key is not None and keys.begin(taker.key, taker.request):
                asked[taker.key] = taker
        known = self._queue.known_keys(list(asked))
        fresh: list[Taker] = []
        for taker in takers:
            key = taker.key
            if key is None or (asked.get(key) is taker and known is not None and key not in known):
                fresh.append(taker)
                continue
            if asked.get(key) is taker:
                keys.end(key)  # it has its answer, or nobody can tell
            taker.alone()
        return fresh


def first_of(asked: list[T], counts: Iterable[int]) -> tuple[list[T], list[T]]:
    """As many of those who ask as one draw serves, one at least; and the others."""
    total = 0
    for at, count in enumerate(counts):
        total += count
        if total > ITEMS_MOST and at:
            return asked[:at], asked[at:]
    return asked, []


class _Draught:
    """One draw for many takers. Their keys are let go when its op is settled, whatever they were told."""

    __slots__ = (
        "_ask",
        "_began",
        "_gathering",
        "_keys",
        "_loop",
        "_meter",
        "_queue",
        "_takers",
        "over",
        "until",
    )

    def __init__(
        self,
        gathering: Gathering,
        queue: HandOuts,
        loop: asyncio.AbstractEventLoop,
        takers: list[Taker],
    ) -> None:
        self._gathering = gathering
        self._meter = gathering.meter
        self._queue = queue
        self._loop = loop
        self._takers = takers
        self._began = perf_counter()
        self._ask = ask = Ask(sum([taker.count for taker in takers]))
        self._keys = [taker.key for taker in takers if taker.key is not None]
        if self._keys:
            parts = [Share(taker.key, taker.request, taker.count) for taker in takers]
            ask.shares = Shares(tuple(parts), queue.key_ttl)
        self._meter.in_flight += len(takers)
        gathering.began()
        self.over = False
        self.until = 0.0
        gathering.watch.add(self)
        queue.begin_gathered(ask)
        ask.pending.when_done(self._done, loop)

    def late(self) -> None:
        """The takers' patience with the source is over; with the disk they have some more."""
        if not self._queue.give_up(self._ask):
            self._loop.call_later(self._queue.limits.commit_patience, self._refuse, unsure())

    def _done(self) -> None:
        for key in self._keys:
            self._queue.keys.end(key)
        if not self._takers:
            return  # they were told that nobody knows
        try:
            taken: Taken | None = self._ask.pending.result(0)
        except DibsError as error:
            if self._ask.enqueued or not isinstance(error, QueueExhausted):
                self._refuse(error)
                return
            taken = None
        takers = self._end()
        if taken is None:  # the source has ended, or is being retried
            for taker in takers:
                taker.alone()
        else:
            self._hand_out(takers, taken)

    def _end(self) -> list[Taker]:
        self.over = True
        takers, self._takers = self._takers, []
        self._meter.in_flight -= len(takers)
        self._queue.forget(self._ask)
        self._gathering.ended()
        return takers

    def _refuse(self, error: DibsError) -> None:
        if self.over:
            return
        takers = self._end()
        self._meter.refuse(len(takers))
        for taker in takers:
            taker.refused(error)

    def _hand_out(self, takers: list[Taker], taken: Taken) -> None:
        """To each the next of them; who comes after the source's end is told so by the queue."""
        first, values = taken.first, taken.values
        at, total, served = 0, len(values), 0
        for taker in takers:
            if at >= total:
                taker.alone()
                continue
            end = min(at + taker.count, total)
            taker.handed(first + at, values[at:end], "open" if end - at == taker.count else taken.state)
            at = end
            served += 1
        self._meter.handed_together(served, total, perf_counter() - self._began)

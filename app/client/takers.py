"""Callers that want one value each share requests, where there are many of them.

Sixty-four threads with a request each cost the client and the server far more than the values do. So at most
eight requests are on their way at once. Who comes meanwhile stands in line, and the next request asks for all
that stand there. Nothing is taken that nobody waits for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

from . import calls
from .errors import Exhausted, LimitExceeded
from .flow import Bell, Flow, Listen, Terms
from .persist import PATIENT, persist
from .records import Item

AT_ONCE: Final = 8
WAIT: Final = 20.0
"""Seconds of a long poll."""
_MOST: Final = 1_000
_EARLY: Final = 3
"""A pause of so many doublings where a request that waits came back empty before its time."""


class Caller:
    """One that wants an item. ``bell`` rings when it has its ``answer``, and when it may send a request.

    An error is the answer of many: ``trace`` is its traceback as it came, before any of them raised it.
    """

    __slots__ = ("answer", "ask", "bell", "trace")

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self.ask: Ask | None = None
        self.answer: Item | Exception | None = None
        self.trace: TracebackType | None = None


class Ask:
    """A request for one item for each of its callers, one of which leads: it sends the request.

    If the leader is interrupted another caller sends it again, with its key: the answer that was on its way
    may hold the items of all. One for a single item is sent again by whoever comes next.
    """

    def __init__(self, callers: list[Caller], terms: Terms) -> None:
        self.callers = callers
        self.count = len(callers)
        self.leader: Caller | None = None
        self.session = terms.sessions.take()
        self.key = self.session.next()


class Takers:
    """Those in one process, or on one event loop, that take items of one queue for good.

    The lock guards everything here and in the callers and asks.
    """

    def __init__(self, queue: str, terms: Terms, bell: Callable[[], Bell]) -> None:
        self._queue = queue
        self._terms = terms
        self._bell = bell
        self._home = bell()
        self._lock = threading.RLock()  # a finalizer may take in the middle of anything, in the same thread
        self._line: deque[Caller] = deque()
        self._spare: deque[Item] = deque()  # came for callers that were interrupted
        self._left: list[Ask] = []  # for one item each, whose callers were interrupted
        self._sent = 0
        self._most = _MOST
        self._wait = WAIT

    @property
    def here(self) -> bool:
        """Whether this is their process and event loop."""
        return self._home.here

    def take(self) -> Flow[Item | None]:
        """Take the next item, however long that takes; None if the queue is exhausted."""
        caller = Caller(self._bell())
        with self._lock:
            self._line.append(caller)
        try:
            while True:
                seen = caller.bell.rings  # first: an answer between looking and this would be slept through
                ask = self._turn(caller)
                if ask is not None:
                    yield from self._send(ask)
                elif caller.answer is None:
                    yield Listen(caller.bell, seen)
                else:
                    break
        except BaseException:
            self._leave(caller)
            raise
        if isinstance(caller.answer, Item):
            return caller.answer
        if isinstance(caller.answer, Exhausted):
            return None
        raise caller.answer.with_traceback(caller.trace)

    def _turn(self, caller: Caller) -> Ask | None:
        """The request that this caller is to send now; or its answer, if an item is there."""
        with self._lock:
            line, ask = self._line, caller.ask
            if caller.answer is not None:
                return None
            if ask is None and self._spare:
                line.remove(caller)
                caller.answer = self._spare.popleft()
                self._call()  # the next may be another's
            elif ask is None and self._left:
                line.remove(caller)
                caller.ask = ask = self._left.pop()
                ask.callers = [caller]
            elif ask is None and self._sent < AT_ONCE:
                line.remove(caller)
                others = [line.popleft() for _ in range(min(len(line), self._most - 1))]
                ask = Ask([*others, caller], self._terms)
                for one in ask.callers:
                    one.ask = ask
            if ask is None or ask.leader is not None:
                return None
            ask.leader = caller
            self._sent += 1
            return ask

    def _send(self, ask: Ask) -> Flow[None]:
        terms, wait = self._terms, self._wait
        call = calls.take(self._queue, ask.count, wait)
        began = terms.tempo.clock()
        try:
            items = yield from persist(call, terms, key=ask.key, endless=PATIENT)
            if not items and terms.tempo.clock() - began < wait / 2:
                yield from terms.pause(terms.tempo.step(_EARLY, None))
        except Exception as error:
            lower = isinstance(error, LimitExceeded) and self._lower(error, ask.count, wait)
            self._answer(ask, (), None if lower else error)
        else:
            self._answer(ask, items)

    def _lower(self, error: LimitExceeded, count: int, wait: float) -> bool:
        """Ask for less from now on, where a server's limits are lower than ours; False if that can't help."""
        if error.field == "wait":
            self._wait = min(error.longest, self._wait)
            return error.longest < wait
        self._most = max(1, min(error.most, count // 2))
        return count > 1

    def _answer(self, ask: Ask, items: Sequence[Item], error: Exception | None = None) -> None:
        """Give each caller its item, in order; those for whom there is none stand in line again, in front."""
        with self._lock:
            for caller, item in zip(ask.callers, items, strict=False):
                caller.answer = item
            for caller in ask.callers[len(items) :]:
                caller.answer, caller.ask = error, None
                caller.trace = error.__traceback__ if error else None
            self._spare.extend(items[len(ask.callers) :])
            self._line.extendleft(caller for caller in reversed(ask.callers) if caller.answer is None)
            for caller in ask.callers:
                if caller.answer is not None and caller is not ask.leader:
                    caller.bell.ring()
            self._terms.sessions.give(ask.session)
            self._sent -= 1
            self._call()

    def _leave(self, caller: Caller) -> None:
        """Let an interrupted caller go. What it has got, or would get, is the next one's."""
        with self._lock:
            ask = caller.ask
            if caller.answer is not None:
                self._spare.extend([caller.answer] if isinstance(caller.answer, Item) else ())
            elif ask is None:
                self._line.remove(caller)
            else:
                ask.callers.remove(caller)
                if ask.leader is caller:
                    ask.leader = None
                    self._sent -= 1
                    if ask.callers:
                        ask.callers[0].bell.ring()
                    elif ask.count == 1:
                        self._left.append(ask)
                    else:
                        self._terms.sessions.give(ask.session)  # so that a late arrival is superseded
            self._call()

    def _call(self) -> None:
        """Ring for the first in line, if there is something for it to do."""
        if self._line and (self._spare or self._sent < AT_ONCE):
            self._line[0].bell.ring()

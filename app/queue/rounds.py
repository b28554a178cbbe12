"""Rounds: what is asked of all queues of one event loop goes to the disk together, a round at a time.

A commit costs as much as many answers, so it should be shared by many. Who asks while the ops of one round
are on their way to the disk could not get there before those; they gather, and are the next round. It begins
when those of the round before have been told: who of them asks again at once comes with it, so that all
connections share one commit, and not each half of them every other one. Nobody waits for company that is not
there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("dibs.queue")


def tell(callback: Callable[..., None], *args: object) -> None:
    """Tell one of many; what goes wrong with it, the others have to hear of theirs all the same."""
    try:
        callback(*args)
    except Exception:
        log.exception("telling one of many")


class Joined(Protocol):
    """What has something to do in the next round."""

    def begin(self) -> None:
        """Do it: put ops into the line, each of them told to ``Rounds.began``."""


class Sent(Protocol):
    """What waits for an op of the round."""

    def late(self) -> None:
        """The disk is silent for too long: tell who waits, and come to an end."""


class Rounds:
    """The rounds of one event loop. ``patience`` (seconds) is how long the disk may take."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self.loop = loop
        self._patience = patience
        self._joined: list[Joined] = []
        self._sent: set[Sent] = set()
        self._called = False
        self._until = 0.0
        self._watched = False

    def join(self, one: Joined) -> None:
        """Be part of the next round, once."""
        self._joined.append(one)
        if not self._called and not self._sent:
            self._call()

    def began(self, sent: Sent) -> None:
        """Its op goes to the disk."""
        self._sent.add(sent)

    def ended(self, sent: Sent) -> None:
        """It is there, or failed, or is given up. Who waits for it is told in this step of the loop."""
        self._sent.discard(sent)
        if self._joined and not self._sent and not self._called:
            self._call()

    def _call(self) -> None:
        self._called = True
        self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        joined, self._joined = self._joined, []
        for one in joined:
            tell(one.begin)
        self._called = False  # only now: who joins again in the middle of this is in the next one
        if self._sent:
            self._until = self.loop.time() + self._patience
            if not self._watched:
                self._watch(self._patience)
        elif self._joined:
            self._call()

    # -- a silent disk; one timer for all rounds, since nearly all are over long before

    def _watch(self, seconds: float) -> None:
        self._watched = True
        self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._watched = False
        if not self._sent:
            return
        left = self._until - self.loop.time()
        if left > 0:
            self._watch(left)
            return
        for sent in self._sent.copy():
            tell(sent.late)


class RoundsByLoop:
    """The rounds of each event loop; each loop asks for its own."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._rounds: dict[asyncio.AbstractEventLoop, Rounds] = {}

    def on(self, loop: asyncio.AbstractEventLoop) -> Rounds:
        """Those of this loop, asked for on it."""
        rounds = self._rounds.get(loop)
        if rounds is None:
            rounds = self._rounds[loop] = Rounds(loop, self._patience)
        return rounds

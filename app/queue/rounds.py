"""Rounds: all requests that come in one round, of all queues, share one commit.

A commit costs as much as many answers, so many requests should share it. Requests that come while the ops of
one round are on their way to the disk could not get there before those; they gather, and are the next round.
It begins when the callers of the round before have been told: those that ask again at once join it, so that
all connections share one commit, and not each half of them every other one. No request waits for others that
are not there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("dibs.queue")


def tell(callback: Callable[..., None], *args: object) -> None:
    """Tell one of many callers; if that fails, the others must hear of theirs all the same."""
    try:
        callback(*args)
    except Exception:
        log.exception("telling one of many")


class Joined(Protocol):
    """A participant of the next round."""

    def begin(self) -> None:
        """Put ops into the line, and report each of them to ``Rounds.began``."""


class Sent(Protocol):
    """A participant that waits for an op of the round."""

    def late(self) -> None:
        """Tell the waiting callers that the disk does not answer in time, and end."""


class Rounds:
    """The rounds of the server, on its event loop. ``patience`` (seconds) is how long the disk may take."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self.loop = loop
        self._patience = patience
        self._joined: list[Joined] = []
        self._sent: set[Sent] = set()
        self._called = False
        self._until = 0.0
        self._watched = False

    def join(self, one: Joined) -> None:
        """Add a participant to the next round, once."""
        self._joined.append(one)
        if not self._called and not self._sent:
            self._call()

    def began(self, sent: Sent) -> None:
        """Note that a participant's op goes to the disk."""
        self._sent.add(sent)

    def ended(self, sent: Sent) -> None:
        """Note that an op is on disk, failed, or given up. Its callers are told in this step of the loop."""
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

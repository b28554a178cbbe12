"""The log of actions: who changed what of which queue, and when."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from time import time_ns
from typing import Any

from ..access.caller import ANYBODY, Caller
from ..errors import DibsError
from ..ledger.actions import KEPT, Action
from ..queue import Queues
from ..queue.statistics import Sees, everything
from .access_log import NOTICE, host_of

log = logging.getLogger("dibs.actions")


def counted(count: int, noun: str) -> str:
    """So many of something, in words."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class Actions:
    """The last actions on a server, newest last: those of the ledger. Lives on the event loop.

    An action is noted when it has been done, in a transaction of its own: its words say what came of it, and
    purges and redrives take several. Its caller is answered when the note is on disk, too.
    """

    def __init__(self) -> None:
        self._kept: deque[Action] = deque(maxlen=KEPT)
        self._queues: Queues | None = None

    async def begin(self, queues: Queues) -> None:
        """Read what was done before this start, and note on from there."""
        self._queues = queues
        found = await asyncio.to_thread(queues.actions)
        self._kept.clear()
        self._kept.extend(found)

    def end(self) -> None:
        """Note nothing more in those queues."""
        self._queues = None

    async def add(self, queue: str, what: str, brief: str, *, who: str) -> None:
        """Note an action that was done; ``brief`` is two words for a chart."""
        action = Action(time_ns() // 1_000_000, who, queue, what, brief)
        self._kept.append(action)
        log.log(NOTICE, "%s %s", who, what)
        try:
            if self._queues is not None:
                await self._queues.note(action)
        except DibsError as error:  # what was done is done, and its caller has to hear of that
            log.warning("the note of that action is not on disk, and is gone after a restart: %s", error)

    def of(self, queue: str | None, most: int, sees: Sees = everything) -> Sequence[dict[str, Any]]:
        """The last actions, newest first: on one queue, or on all that are seen; some are on none."""
        wanted = sees if queue is None else queue.__eq__
        found = [each._asdict() for each in reversed(self._kept) if wanted(each.queue)]
        return found[:most]


def who_of(caller: Caller, client: Any) -> str:
    """Who asks, for people: the name of its token, or the address of anybody."""
    return f"anybody at {host_of(client)}" if caller is ANYBODY else caller.name

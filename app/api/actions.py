"""The log of actions: who changed what of which queue, and when."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from time import time_ns
from typing import Any, Final, NamedTuple

from ..queue.statistics import Sees, everything
from .access_log import NOTICE

KEPT: Final = 1_000
"""Actions that can be read. The logger ``dibs.actions`` has all, at NOTICE."""
log = logging.getLogger("dibs.actions")


class Action(NamedTuple):
    """One action; ``at`` is in milliseconds. ``brief`` is two words for a chart."""

    at: int
    who: str
    queue: str
    what: str
    brief: str


class Actions:
    """The last actions on a server, newest last. Lives on the event loop, which alone touches it."""

    def __init__(self) -> None:
        self._kept: deque[Action] = deque(maxlen=KEPT)

    def add(self, queue: str, what: str, brief: str, *, who: str) -> None:
        """Note an action that was done."""
        self._kept.append(Action(time_ns() // 1_000_000, who, queue, what, brief))
        log.log(NOTICE, "%s %s", who, what)

    def of(self, queue: str | None, most: int, sees: Sees = everything) -> Sequence[dict[str, Any]]:
        """The last actions, newest first: on one queue, or on all that are seen; some are on none."""
        wanted = sees if queue is None else queue.__eq__
        found = [each._asdict() for each in reversed(self._kept) if wanted(each.queue)]
        return found[:most]

"""The wait of a request that a task works for: its caller may end it early."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class Wait:
    """The wait of one request. ``over``: the client sends nothing more, and may be gone."""

    __slots__ = ("_end", "over")

    def __init__(self) -> None:
        self.over = False
        self._end: Callable[[], None] | None = None

    def begin(self, end: Callable[[], None]) -> None:
        """The request asks a queue; ``end`` ends its wait there."""
        self._end = end
        if self.over:
            end()

    def end(self) -> None:
        """End the wait: the queue is asked once more without waiting, and answers."""
        self.over = True
        if self._end is not None:
            self._end()


WAIT: ContextVar[Wait | None] = ContextVar("WAIT", default=None)
"""The wait of the request that a task works for."""

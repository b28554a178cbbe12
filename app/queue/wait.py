"""Waiting without a thread: who asks with ``wait`` is parked on the event loop until the queue can give."""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters:
    """Parked requests of one queue, in the order in which they came. Lives on the event loop."""

    def __init__(self) -> None:
        self._parked: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._parked)

    async def park(self, seconds: float) -> None:
        """Return when woken, or after ``seconds``: the caller looks at the queue again either way."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked.append(turn)
        try:
            await asyncio.wait_for(turn, seconds)
        except TimeoutError:
            pass
        finally:
            if turn in self._parked:
                self._parked.remove(turn)

    def wake(self) -> None:
        """Wake all, the first to come first."""
        while self._parked:
            turn = self._parked.popleft()
            if not turn.done():
                turn.set_result(None)

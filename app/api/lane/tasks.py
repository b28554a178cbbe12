"""What of a connection takes a task: to read a large body, and to hear that the server cuts it off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from .content import LITTLE

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from .budget import Budget


class Tasks:
    """The tasks of one connection: the server waits for them when it goes down, and cancels them in the end.

    ``fail`` is told what ends one of them early.
    """

    __slots__ = ("_budget", "_fail", "_loop", "_over", "_state")

    def __init__(
        self,
        state: ServerState,
        budget: Budget,
        loop: asyncio.AbstractEventLoop,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._state = state
        self._budget = budget
        self._loop = loop
        self._fail = fail
        self._over: asyncio.Event | None = None  # once the server goes down

    def read(self, work: Coroutine[Any, Any, None], size: int) -> bool:
        """Begin to read a body of so many bytes, and to answer it; return whether there is room for it.

        A large one counts until that has ended, also when the client has gone.
        """
        large = size > LITTLE
        if large and not self._budget.hold(size):
            work.close()
            return False
        task = self._begin(work)
        if large:
            task.add_done_callback(partial(self._budget.let_go, size))
        return True

    def wait_for_the_end(self) -> None:
        """The server goes down: be among the tasks that it cancels when their time is over."""
        self._over = asyncio.Event()
        self._begin(self._over.wait())

    def wait_no_more(self) -> None:
        """The client has gone, or has its last answer."""
        if self._over is not None:
            self._over.set()

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        task = self._loop.create_task(self._watched(work))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return task

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            self._fail(error)

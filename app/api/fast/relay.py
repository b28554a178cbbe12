"""Between event loops: the queues live on one, and connections may live on others.

Requests of another loop are passed to the queues' loop, and their outcomes are passed back. Only takes from a
source that counts need no such detour: they are drawn on their own loop (``Gathering``), since the iterator,
the line and the committer are made for many threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import DibsError
from ...queue.answers import LeaseAsk, Values
from ...queue.exchange import Leasing, Ranges, Trader
from ...queue.gather import Taker
from ..front import KEEP

T = TypeVar("T")


async def there(owner: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` on another loop and return its result; a cancellation here cancels it there."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, owner))


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    with suppress(RuntimeError):  # it is closed: nobody is there to be told
        loop.call_soon_threadsafe(callback, *args)


class RelayedTaker:
    """A taker from another loop."""

    def __init__(self, taker: Taker, home: asyncio.AbstractEventLoop) -> None:
        self.count, self.key, self.request = taker.count, taker.key, taker.request
        self._taker, self._home = taker, home

    def handed(self, first: int, values: Values, state: str) -> None:
        """See :class:`Taker`."""
        _tell(self._home, self._taker.handed, first, values, state)

    def refused(self, error: DibsError) -> None:
        """See :class:`Taker`."""
        _tell(self._home, self._taker.refused, error)

    def alone(self) -> None:
        """See :class:`Taker`."""
        _tell(self._home, self._taker.alone)


class RelayedTrader:
    """A trader from another loop."""

    def __init__(self, trader: Trader, home: asyncio.AbstractEventLoop) -> None:
        self.token: str | None = trader.token
        self.ask: LeaseAsk | None = trader.ask
        self._trader, self._home = trader, home

    def traded(self, acked: Ranges, lease: Leasing | None, state: str, now: int) -> None:
        """See :class:`Trader`."""
        _tell(self._home, self._trader.traded, acked, lease, state, now)

    def unleased(self, acked: Ranges, state: str, now: int) -> None:
        """See :class:`Trader`."""
        _tell(self._home, self._trader.unleased, acked, state, now)

    def refused(self, error: DibsError) -> None:
        """See :class:`Trader`."""
        _tell(self._home, self._trader.refused, error)

    def alone(self) -> None:
        """See :class:`Trader`."""
        _tell(self._home, self._trader.alone)


class Elsewhere:
    """The application, for connections of another loop than its own."""

    def __init__(self, app: ASGIApp, owner: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run it on its loop; messages go to and fro. Who is cancelled here has the last word from there."""
        here = asyncio.get_running_loop()
        ended: asyncio.Future[asyncio.Task[None]] = here.create_future()
        tasks: list[asyncio.Task[None]] = []

        async def receive_here() -> Message:
            return await there(here, _call(receive))

        async def send_here(message: Message) -> None:
            await there(here, _call(send, message))

        scope = {**scope, KEEP: partial(here.call_soon_threadsafe, scope[KEEP])} if KEEP in scope else scope

        def begin() -> None:
            task = self._owner.create_task(_call(self._app, scope, receive_here, send_here))
            tasks.append(task)
            task.add_done_callback(partial(_tell, here, ended.set_result))

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        self._owner.call_soon_threadsafe(begin)
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                self._owner.call_soon_threadsafe(cancel)
        ended.result().result()


async def _call(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await function(*args)

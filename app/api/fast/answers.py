"""The answers of the fast lane on a connection, and the hot calls that need a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from ...queue.wait import WAIT, Wait
from ..problems import RequestRefused, reply_to

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from ..reply import Reply
    from .lane import Lane


class Answers:
    """Writes the answers of one connection, one for each call; ``answered`` is called after each.

    ``gone``: the client has gone, or has its last answer. ``last``: no request after this one. ``calling``: a
    hot call is under way. ``held`` are the bytes of its large body, until its task lets them go. ``signed``
    are the lines of the next answer that say whose it is.
    """

    def __init__(
        self,
        lane: Lane,
        state: ServerState,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[], None],
    ) -> None:
        self.gone = False
        self.last = False
        self.calling = False
        self.held = 0
        self.signed = b""
        self._lane = lane
        self._state = state
        self._transport = transport
        self._loop = loop
        self._answered = answered
        self._ended = False
        self._wait: Wait | None = None
        self._wanted: asyncio.Task[None] | None = None  # there is no sense in it without its client
        self._over: asyncio.Event | None = None  # once the server goes down

    def answer(self, body: bytes) -> None:
        """200 with JSON."""
        if not self.gone:
            lane = self._lane
            if lane.dated is not self._state.default_headers:
                lane.date(self._state.default_headers)
            signed = self.signed + lane.closed if self.last else self.signed
            self._transport.write(b"%b%d%b%b\r\n%b\n" % (lane.ok, len(body) + 1, lane.ending, signed, body))
        self.calling = False
        self._answered()

    def reply(self, reply: Reply) -> None:
        """Any answer, as uvicorn would write it."""
        if not self.gone:
            head = self._lane.head_of(reply, self._state.default_headers, self.signed, close=self.last)
            self._transport.write(head + bytes(reply.body))
        self.calling = False
        self._answered()

    def refuse(self, error: RequestRefused) -> None:
        """Refuse a broken or an unwanted request; nothing is answered after that."""
        self.last = True
        self.reply(reply_to(error))

    # -- a call that takes a task

    def run(self, work: Coroutine[Any, Any, Reply], *, wanted: bool = False) -> None:
        """Answer with the reply of ``work``. If it is only ``wanted`` here, it ends with the connection."""
        self._wait = wait = Wait() if wanted else None
        if wait is not None and self._ended:
            wait.end()
        task = self._begin(self._run(work, wait))
        if wanted:
            self._wanted = task
        if self.held:  # also when the client has gone: the body is there until the task has ended
            task.add_done_callback(partial(self._lane.unfinished.let_go, self.held))
            self.held = 0

    async def _run(self, work: Coroutine[Any, Any, Reply], wait: Wait | None) -> None:
        WAIT.set(wait)
        try:
            reply = await work
        except (Exception, asyncio.CancelledError) as error:
            reply = self._lane.refusal(error)
        self._wanted = self._wait = None
        if self.calling:  # else it was told before that the server cuts it off
            self.reply(reply)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task that the server waits for when it goes down."""
        task = self._loop.create_task(work)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return task

    # -- the end

    def wait_no_more(self) -> None:
        """End the wait of a call, as the client sends nothing more."""
        self._ended = True
        if self._wait is not None:
            self._wait.end()

    def lost(self) -> None:
        """Note that the client has gone; ops in the line go on."""
        self.gone = True
        if self._wanted is not None:
            self._wanted.cancel()
        if self._over is not None:
            self._over.set()

    def end(self) -> None:
        """The server goes down: the call that is under way, or comes, is the last; or it is cut off."""
        self.last = self.calling = True
        self._over = asyncio.Event()
        self._begin(self._say_if_cut_off(self._over))

    async def _say_if_cut_off(self, over: asyncio.Event) -> None:
        """Be among the tasks that the server waits for, and cancels when their time is over."""
        try:
            await over.wait()
        except asyncio.CancelledError as error:
            if self.calling:  # or it was told so by its own task
                self.reply(self._lane.refusal(error))

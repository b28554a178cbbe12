"""The responses of a connection, and its hot calls: it is the caller of queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from ..answers import encode, reply
from ..problems import RequestRefused, reply_to

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from ...errors import DibsError
    from ...queue import Queue
    from ...queue.answers import Answer
    from ...queue.waiting import Waiting
    from ..reply import Reply
    from ..requests import Request
    from .lane import Lane


class Responses:
    """Writes the responses of one connection, one for each call; ``responded`` is called after each of them.

    ``gone``: the client has gone, or has its last response. ``last``: no request after this one. ``calling``:
    a hot call is under way. ``held`` are the bytes of its large body, until its task lets them go. ``signed``
    are the lines of the next response that say whose it is.
    """

    def __init__(
        self,
        lane: Lane,
        state: ServerState,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
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
        self.responded: Callable[[], None]
        self._ended = False
        self._request: Request | None = None
        self._asked: Waiting | None = None  # while a queue has not answered
        self._over: asyncio.Event | None = None  # once the server goes down

    # -- asking a queue

    def ask(self, queue: Queue, request: Request) -> None:
        """Ask for this client; :meth:`answered` or :meth:`refused` is called, perhaps before this returns."""
        self._request = request
        waiting = queue.ask(request.ask, request.wait, self)
        if not self.calling:
            return
        self._asked = waiting
        if self.gone:
            waiting.drop()
        elif self._ended:
            waiting.end()

    def answered(self, answer: Answer) -> None:
        """Take the answer of a queue: what it says is on disk."""
        self._asked = None
        request = self._request
        if request is None or not self.calling:
            return  # it was told before that the server cuts it off
        try:
            body = b"" if answer.served.replayed or request.how == "lines" else encode(request, answer)
            if body:
                self._write(body)
            else:
                self.reply(reply(request, answer))
        except Exception as error:
            self.fail(error)

    def refused(self, error: DibsError) -> None:
        """Take a refusal."""
        self._asked = None
        self.respond(reply_to(error))

    def respond(self, reply: Reply) -> None:
        """Respond to the call under way, unless it was told before that the server cuts it off."""
        if self.calling:
            self.reply(reply)

    def fail(self, error: BaseException) -> None:
        """The same, for a call that has failed."""
        if self.calling:
            self.reply(self._lane.refusal(error))

    # -- writing

    def _write(self, body: bytes) -> None:
        """200 with JSON."""
        if not self.gone:
            lane = self._lane
            if lane.dated is not self._state.default_headers:
                lane.date(self._state.default_headers)
            signed = self.signed + lane.closed if self.last else self.signed
            self._transport.write(b"%b%d%b%b\r\n%b\n" % (lane.ok, len(body) + 1, lane.ending, signed, body))
        self.calling = False
        self.responded()

    def reply(self, reply: Reply) -> None:
        """Any response, as uvicorn would write it."""
        if not self.gone:
            head = self._lane.head_of(reply, self._state.default_headers, self.signed, close=self.last)
            self._transport.write(head + bytes(reply.body))
        self.calling = False
        self.responded()

    def refuse(self, error: RequestRefused) -> None:
        """Refuse a broken or an unwanted request; nothing is answered after that."""
        self.last = True
        self.reply(reply_to(error))

    # -- a call that takes a task

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what takes a task; it asks a queue, or replies."""
        task = self._begin(self._run(work))
        if self.held:  # also when the client has gone: the body is there until the task has ended
            task.add_done_callback(partial(self._lane.budget.let_go, self.held))
            self.held = 0

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            self.fail(error)

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
        if self._asked is not None:
            self._asked.end()

    def lost(self) -> None:
        """Note that the client has gone; what is under way goes on."""
        self.gone = True
        if self._asked is not None:
            self._asked.drop()
            self._asked = None
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
            self.fail(error)

"""A connection whose hot calls go the fast lane, one at a time and in order; all else is uvicorn's.

Between two requests the next head is looked at. A hot call is answered from here; anything else is given to
uvicorn's protocol with all that follows it in the same read, and uvicorn has the connection until its answer
is out and its parser stands between two messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from ..protocol import Protocol
from .heads import without_key

if TYPE_CHECKING:
    from ..reply import Reply
    from .heads import Head
    from .lane import Lane

READ_AHEAD: Final = 65_536
"""Bytes of further requests that are kept while one is being answered; then nothing more is read."""

BETWEEN, CALLING, ANSWERED, ORDINARY = range(4)
"""No request is here; a hot call is under way; its answer is out, and the next request waits for its turn;
uvicorn has the connection."""


class FastProtocol(Protocol):
    """One connection. ``lane`` is what all connections share.

    While the body of a hot call is still coming, what is there of the request waits in ``_part``; what came
    after it waits in ``_rest``. ``_signed`` are the lines of the answer that say whose it is.
    """

    def __init__(self, lane: Lane, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lane = lane
        self._known = lane.heads.known.get
        self._state = BETWEEN
        self._part: bytearray | None = None
        self._needed = 0
        self._signed = b""
        self._rest = b""
        self._last = False  # the server goes down: no request after this one
        self._wanted: asyncio.Task[None] | None = None  # there is no sense in it without its client
        self._over: asyncio.Event | None = None  # once the server goes down
        self._idle_since = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self.gone = False

    # -- what comes

    def data_received(self, data: bytes) -> None:
        """The next bytes, whatever they belong to."""
        if self._state == BETWEEN:
            self._look_at(data)
        elif self._state != ORDINARY:
            self._keep(data)
        elif self._uvicorn_is_busy:
            super().data_received(data)
        else:
            self._state = BETWEEN
            self._look_at(data)

    def _look_at(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._part is not None:
            self._part += data
            if len(self._part) < self._needed:
                return
            data, self._part = bytes(self._part), None
        end = data.find(b"\r\n\r\n")
        line, key = without_key(data[:end]) if end >= 0 else (b"", None)
        head = self._known(line) or self._lane.heads.read(line)
        if head is None:
            self._give(data)
            return
        signed, good = head.signed, None
        if key is not None:
            good = self._lane.read_key(key)
            if good is None:
                self._give(data)
                return
            signed = b"%bidempotency-key: %b\r\n" % (signed, key.strip(b" \t"))
        self._signed = signed
        end += 4
        needed = end + head.length
        if len(data) < needed:
            self._part, self._needed = bytearray(data), needed
        else:
            self._call(head, good, data, end, needed)

    def _call(self, head: Head, key: str | None, data: bytes, end: int, needed: int) -> None:
        if len(data) > needed:
            self._rest = data[needed:]
        self._state = CALLING
        head.call(self, head, key, data[end:needed])

    def _keep(self, data: bytes) -> None:
        """It belongs to what comes after the call under way."""
        self._rest += data
        if len(self._rest) > READ_AHEAD:
            self.flow.pause_reading()

    def _give(self, data: bytes) -> None:
        self._state = ORDINARY
        super().data_received(data)

    @property
    def _uvicorn_is_busy(self) -> bool:
        """Whether a message is half read, or one is not answered yet."""
        cycle = self.cycle
        return not self.between or bool(self.pipeline) or (cycle is not None and not cycle.response_complete)

    # -- what goes

    def answer(self, body: bytes) -> None:
        """200 with JSON."""
        if not self.gone:
            lane = self._lane
            if lane.dated is not self.server_state.default_headers:
                lane.date(self.server_state.default_headers)
            signed = self._signed + lane.closed if self._last else self._signed
            self.transport.write(b"%b%d%b%b\r\n%b" % (lane.ok, len(body), lane.ending, signed, body))
        self._end()

    def reply(self, reply: Reply) -> None:
        """Any answer, as uvicorn would write it."""
        if not self.gone:
            headers = self.server_state.default_headers
            head = self._lane.head_of(reply, headers, self._signed, close=self._last)
            self.transport.write(head + bytes(reply.body))
        self._end()

    def _end(self) -> None:
        self.server_state.total_requests += 1
        if self.gone:
            return
        if self._last:
            self._state = ANSWERED
            self.transport.close()
            return
        self._idle_since = now = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_at(now + self.timeout_keep_alive, self._close_if_idle)
        if self._rest or self.flow.write_paused:
            self._state = ANSWERED
            self.loop.call_soon(self._go_on)  # when the others who wait have been served
        else:
            self._state = BETWEEN

    def _go_on(self) -> None:
        """The next request, if it is here already; not before the client reads what it was answered."""
        if self.gone or self._state != ANSWERED or self.flow.write_paused:
            return
        self._state = BETWEEN
        data, self._rest = self._rest, b""
        self.flow.resume_reading()
        if data:
            self._look_at(data)

    def resume_writing(self) -> None:
        """The client has read what it was answered."""
        super().resume_writing()
        self._go_on()

    # -- a call that takes a task

    def run(self, work: Coroutine[Any, Any, Reply], *, wanted: bool = False) -> None:
        """Answer with what ``work`` gives. If it is only ``wanted`` here, it ends with the connection."""
        task = self.loop.create_task(self._run(self._lane.work(work)))
        if wanted:
            self._wanted = task
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, work: Coroutine[Any, Any, Reply]) -> None:
        try:
            reply = await work
        except (Exception, asyncio.CancelledError) as error:
            reply = self._lane.refusal(error)
        self._wanted = None
        if self._state == CALLING:  # else it was told before that the server cuts it off
            self.reply(reply)

    # -- the end

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what is in the line goes on."""
        self.gone = True
        self._part, self._rest = None, b""
        if self._idle is not None:
            self._idle.cancel()
        if self._wanted is not None:
            self._wanted.cancel()
        if self._over is not None:
            self._over.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server goes down: answer what is under way, and close."""
        if self._state in (BETWEEN, ORDINARY) and self._part is None:
            super().shutdown()
            return
        self._last = True
        self._rest = b""
        if self._state == ANSWERED:
            self.transport.close()
            return
        self._over = asyncio.Event()
        task = self.loop.create_task(self._say_if_cut_off(self._over))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _say_if_cut_off(self, over: asyncio.Event) -> None:
        """Be among the tasks that the server waits for, and cancels when their time is over."""
        try:
            await over.wait()
        except asyncio.CancelledError as error:
            if self._state in (CALLING, BETWEEN):  # or it was told so by its own task
                self.reply(self._lane.refusal(error))

    def _close_if_idle(self) -> None:
        """A timer a connection, not one a request: it looks how long nothing has come."""
        now = self.loop.time()
        quiet = now - self._idle_since if self._state == BETWEEN and self._part is None else 0.0
        if quiet >= self.timeout_keep_alive:
            self.transport.close()
        else:
            self._idle = self.loop.call_at(now + self.timeout_keep_alive - quiet, self._close_if_idle)

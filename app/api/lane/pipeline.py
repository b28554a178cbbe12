"""The requests of one connection, one after the other, whoever answers them.

Between two requests the next head is looked at. A hot call is answered from here; anything else is given to
the framework as soon as its head is there, and its body as it comes. What comes after a request waits until
that is answered: each has its own answer, whatever follows it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..problems import RequestRefused
from .buffer import Buffer
from .exchange import LITTLE, Exchange
from .framing import END, HeadReader, blank_until, read_head
from .heads import without_key

if TYPE_CHECKING:
    from ...ledger.serve import Key
    from .connection import Connection
    from .framing import RequestHead
    from .heads import Head
    from .lane import Lane

READ_AHEAD: Final = 65_536
"""Bytes of further requests that are kept while one is being answered; then nothing more is read."""

BETWEEN, HEAD, BODY, CALLING, ASKING, ANSWERED, LEFT = range(7)
"""No request is here; a part of a head is; a part of a hot call's body is; a hot call is under way; the
framework has the request, perhaps not yet all of its body; the answer is out, and the next request waits for
its turn; the last answer is out."""


class Pipeline:
    """What is read on a connection, and whose turn it is.

    ``exchange`` is the request that the framework has. ``since`` (of the loop's time): something came, or
    nothing is waited for. ``served``: there has been a request. ``ended``: no more comes. ``linger``: the
    client may still be sending when it has its last answer.
    """

    def __init__(self, lane: Lane, connection: Connection, app: Any) -> None:
        self.state = BETWEEN
        self.exchange: Exchange | None = None
        self.since = connection.loop.time()
        self.served = False
        self.ended = False
        self.linger = False
        self._app = app
        self._lane = lane
        self._known = lane.heads.known.get
        self._connection = connection
        self._responses = connection.responses
        self._responses.responded = self.called
        self._server = connection.server_state
        self._flow = connection.flow
        self._loop = connection.loop
        self._ahead = Buffer()
        self._head: HeadReader | None = None  # in HEAD
        self._part = bytearray()  # in BODY, of ``_needed`` bytes
        self._needed = 0
        self._counted = False

    # -- what comes

    def come(self, data: bytes) -> None:
        """The next bytes, whatever they belong to."""
        state = self.state
        if state == BETWEEN:
            self._look_at(data, 0)
        elif state == HEAD:
            self._read_head(data, 0)
        elif state == BODY:
            self._read_body(data)
        else:
            self._keep(data)

    def _look_at(self, data: bytes, at: int) -> None:
        end = data.find(END, at)
        if end < 0:
            self._begin_head(data, at)
            return
        line, key, sequence = without_key(data[at:end])
        head = self._known(line) or self._lane.heads.read(line)
        end += 4
        if head is None:
            self._ask_framework(data, at, end)
            return
        signed, good = head.signed, None
        if key is not None or sequence is not None:
            good = self._lane.read_key(key, sequence)
            if good is None or key is None:
                self._ask_framework(data, at, end)
                return
            signed = b"%bidempotency-key: %b\r\n" % (signed, key.strip(b" \t"))
            if sequence is not None:
                signed = b"%bidempotency-sequence: %b\r\n" % (signed, sequence.strip(b" \t"))
        self._responses.signed = signed
        needed = end + head.length
        if len(data) < needed:
            self._begin_body(data[at:], needed - at)
        else:
            self._call(head, good, data, end, needed)

    def _call(self, head: Head, key: Key | None, data: bytes, end: int, needed: int) -> None:
        self.state = CALLING
        if len(data) > needed:
            self._ahead.put(data, needed)
            self._bound()
        elif self._counted:
            self._count()
        size = needed - end
        if size > LITTLE and not self._hold(size):
            self._responses.refuse(self._overloaded())
            return
        self._responses.calling = True
        self._lane.call(self._responses, head, key, data[end:needed])
        if self._responses.held:  # it was answered at once
            self._lane.budget.let_go(self._responses.held)
            self._responses.held = 0

    def _hold(self, size: int) -> bool:
        held = self._lane.budget.hold(size)
        self._responses.held = size if held else 0
        return held

    def _begin_body(self, data: bytes, needed: int) -> None:
        self.state = BODY
        self._part, self._needed = bytearray(data), needed
        self._connection.be_patient(self._lane.limits.body_patience)
        self._count()

    def _read_body(self, data: bytes) -> None:
        self._part += data
        if len(self._part) < self._needed:
            self.since = self._loop.time()
            self._count()
            return
        whole, self._part = bytes(self._part), bytearray()
        self.state = BETWEEN
        self._look_at(whole, 0)

    def _begin_head(self, data: bytes, at: int) -> None:
        at = blank_until(data, at)
        if at < len(data):
            self.state = HEAD
            self._head = HeadReader()
            self._connection.be_patient(self._lane.limits.head_patience)
            self._read_head(data, at)

    def _read_head(self, data: bytes, at: int) -> None:
        """A head that comes in pieces is not looked up: whoever sends it so is in no hurry."""
        reader = self._head
        assert reader is not None  # noqa: S101  # in this state there is one
        try:
            at = reader.feed_until_end(data, at)
            if reader.complete:
                self._ask(reader.head(), data, at)
            else:
                self._count()
        except RequestRefused as error:
            self.refuse(error)

    def _ask_framework(self, data: bytes, at: int, end: int) -> None:
        begin = blank_until(data, at)
        if begin > at:
            self._look_at(data, begin)
            return
        try:
            head = read_head(data[at:end])
        except RequestRefused as error:
            self.refuse(error)
        else:
            self._ask(head, data, end)

    def _ask(self, head: RequestHead, data: bytes, at: int) -> None:
        self.state, self._head = ASKING, None
        exchange = self.exchange = Exchange(self._connection, head, self._answered)
        if self.ended:
            exchange.wait.end()
        if at < len(data):
            self._ahead.put(data, at)
        if exchange.incoming is not None:
            self._connection.be_patient(self._lane.limits.body_patience)
            self._feed()
        else:
            self._bound()
        task = self._loop.create_task(exchange.run(self._app))
        self._server.tasks.add(task)
        task.add_done_callback(partial(self._done, exchange))

    def _done(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._lane.budget.let_go(exchange.held)

    def _keep(self, data: bytes) -> None:
        """It belongs to the request under way, or to one after it."""
        exchange = self.exchange
        if exchange is not None and exchange.incoming is not None:
            self._ahead.add(data)
            self._feed()
        elif not self._responses.last:
            self._ahead.add(data)
            self._bound()

    def _feed(self) -> None:
        """Read the body of the framework's request, as much as there is room for; go on behind its end."""
        exchange = self.exchange
        if self._responses.gone or exchange is None or exchange.incoming is None:
            return
        data, at = self._ahead.take()
        self.since = self._loop.time()
        try:
            at = exchange.feed(data, at)
        except RequestRefused as error:
            self.fail(error)
            return
        if at < len(data):
            self._ahead.put(data, at)
        if exchange.incoming is None and exchange.response_complete:
            self._next()
            return
        if exchange.incoming is None and exchange.size > LITTLE:
            self._count()  # it is no longer kept, but held
            if not self._lane.budget.hold(exchange.size):
                self.fail(self._overloaded())
                return
            exchange.held = exchange.size
        if exchange.incoming is not None and exchange.has_room and self._ahead.size:
            self._loop.call_soon(self._feed)
        self._bound()

    def read_on(self) -> None:
        """The body is asked for."""
        if self._responses.gone:
            return
        if self._ahead.size:
            self._feed()
        else:
            self._bound()

    def _bound(self) -> None:
        """Read on or not: while there is room."""
        exchange = self.exchange
        full = exchange is not None and exchange.incoming is not None and not exchange.has_room
        if full or self._ahead.size > READ_AHEAD:
            self._flow.pause_reading()
        elif self._flow.read_paused and not self.ended:
            self.since = self._loop.time()
            self._flow.resume_reading()
        self._count()

    def _count(self) -> None:
        kept = self._ahead.size + len(self._part)
        if self._head is not None:
            kept += self._head.size
        if self.exchange is not None and not self._responses.gone:
            kept += self.exchange.kept
        if kept or self._counted:
            self._counted = kept > 0
            self._lane.budget.set(self, kept)

    def give_up(self) -> None:
        """All connections together keep too much, and this is the newest: it keeps nothing any more."""
        error = self._overloaded()
        exchange, state = self.exchange, self.state
        if state in (HEAD, BODY, ANSWERED):
            self.refuse(error)
        elif exchange is not None and exchange.incoming is not None:
            self.fail(error)
        else:
            self._ahead.clear()
            self._responses.last = self.linger = True

    def _overloaded(self) -> RequestRefused:
        most = self._lane.budget.most
        return RequestRefused(
            "overloaded", f"unfinished requests are over {most} bytes in all", field="body", limit=most
        )

    # -- what is answered

    def called(self) -> None:
        """The answer of a hot call is out, or a refusal."""
        self._server.total_requests += 1
        if self._responses.gone:
            return
        if self._responses.last:
            self._connection.leave()
        else:
            self._next()

    def _answered(self) -> None:
        """The framework's answer is out."""
        exchange = self.exchange
        self._server.total_requests += 1
        if self._responses.gone or exchange is None:
            return
        if not exchange.keep_alive or self._responses.last:
            self._connection.leave()
        elif exchange.incoming is not None:  # the little that is missing
            exchange.forget()
            self._feed()
        else:
            self._next()

    def _next(self) -> None:
        self.exchange = None
        self.served = True
        self.since = self._loop.time()
        if self._ahead.size or self._flow.write_paused or self.ended:
            self.state = ANSWERED
            self._loop.call_soon(self.go_on)  # when the others who wait have been served
        else:
            self.state = BETWEEN
            if self._counted or self._flow.read_paused:
                self._bound()

    def go_on(self) -> None:
        """The next request, if it is here already; not before the client reads what it was answered."""
        if self._responses.gone or self.state != ANSWERED or self._flow.write_paused:
            return
        self.state = BETWEEN
        data, at = self._ahead.take()
        if data:
            self._look_at(data, at)
        if self.state in (BETWEEN, HEAD, BODY):
            self._bound()
            if self.ended:
                self._connection.ended()

    def refuse(self, error: RequestRefused) -> None:
        """What is no request, or comes too late: who sends that may still be sending."""
        if self.state != BODY:
            self._responses.signed = b""  # nobody knows whose it is
        self._head, self._part = None, bytearray()
        self.linger = True
        self._responses.refuse(error)

    def fail(self, error: RequestRefused) -> None:
        """The body of the framework's request is none, or does not come."""
        exchange = self.exchange
        assert exchange is not None  # noqa: S101  # it is being read
        exchange.fail(error)
        self._responses.last = True
        self._ahead.clear()
        if exchange.response_complete:
            self._connection.leave()
        else:
            self._bound()

    @property
    def coming(self) -> bool:
        """Whether a body is being read for the framework, and nothing of it comes."""
        exchange = self.exchange
        return exchange is not None and exchange.incoming is not None and not self._flow.read_paused

    def has_more(self) -> bool:
        """Whether the client may still be sending something."""
        exchange = self.exchange
        missing = exchange is not None and (exchange.incoming is not None or exchange.failed)
        return (self.linger or missing or self._ahead.size > 0 or self._flow.read_paused) and not self.ended

    def end(self) -> bool:
        """No more comes; whether there is something to be answered."""
        self.ended = True
        self._responses.wait_no_more()
        if self.state == HEAD:
            self.refuse(RequestRefused("malformed", "the request ends in its head"))
        elif self.state in (CALLING, ANSWERED):
            return True
        elif self.exchange is not None and self.exchange.incoming is None:
            self.exchange.wait.end()
            return True
        return False

    def lost(self) -> None:
        """Nobody is there to be answered."""
        self._head, self._part = None, bytearray()
        self._ahead.clear()
        if self.exchange is not None:
            self.exchange.disconnect()
        self._count()

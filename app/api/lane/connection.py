"""A connection, as uvicorn's server knows it: its requests, one after the other, whoever answers them.

Between two requests the next head is looked at. A hot call is answered from here; anything else is given to
the framework as soon as its head is there, and its body as it comes. What comes after a request waits until
that is answered: each has its own answer, whatever follows it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import FlowControl

from ...cluster.refused import SENT
from ...errors import DibsError, LedgerMoved
from .. import bodies
from ..problems import RequestRefused
from .closing import Departure
from .copies import CopyConnection
from .exchange import Exchange, Peer
from .frames import PATH, SWITCHED
from .framing import END, HeadReader, blank_until, head_too_slow
from .fronts import FrontConnection
from .intake import Intake
from .keyed import INSIDE, KeyedHeads
from .passing import Passing
from .patience import Patience, Unread
from .responses import Responses

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from ...access.caller import Caller
    from .far import Far
    from .framing import RequestHead
    from .lane import Lane

BETWEEN, HEAD, BODY, CALLING, ASKING, ANSWERED, LEFT = range(7)
"""No request is here; a part of a head is; a part of a hot call's body is; a hot call is under way; the
framework has the request, perhaps not yet all of its body; the answer is out, and the next request waits for
its turn; the last answer is out."""


class Connection(asyncio.Protocol):
    """One connection. ``lane`` is what all connections share."""

    def __init__(
        self,
        lane: Lane,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = _loop or asyncio.get_running_loop()
        self._state, self._config, self._app_state = server_state, config, app_state
        self._lane, self._callers = lane, lane.callers
        self._heads = heads = lane.heads
        self._known, self._keyed = heads.known.get, KeyedHeads(heads, lane.limits)
        self._phase, self._head = BETWEEN, HeadReader()  # the head, in HEAD
        self._exchange: Exchange | None = None  # in ASKING
        self._passing: Passing | None = None  # at a front
        self._called = b""  # of several servers: the hot call under way
        self._needed = 0  # in BODY, bytes of the whole request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to read, as the connection is open."""
        lane, state, loop = self._lane, self._state, self._loop
        self.transport = transport
        self.flow = FlowControl(transport)
        self.intake = Intake(self.flow, loop, lane.budget, self)
        self._responses = Responses(lane, state, transport, loop, self._responded, declined=self._declined)
        self._peer = Peer.of(self._config, transport, self.flow, state, app_state=self._app_state, loop=loop)
        unread = Unread(transport, lane.limits)
        self._patience = Patience(self.intake, unread, lane.timers, self._look, loop)
        self._departure = Departure(transport, state.connections, unread, lane.timers, loop)
        lane.connections.add(self)
        state.connections.add(self)  # type: ignore[arg-type]  # it has what the server calls

    def data_received(self, data: bytes) -> None:
        """Read the next bytes, whatever they belong to."""
        if self._phase == BETWEEN:
            self._look_at(data, 0)
        elif self._phase == HEAD:
            self._read_head(data, 0)
        elif self._phase == BODY:
            self._read_body(data)
        elif not self._responses.last or self._reading:
            self.intake.add(data)
            if self._exchange is None:
                self.intake.bound()
            else:
                self._exchange.feed()

    def _look_at(self, data: bytes, at: int) -> None:
        """Look at a request: make a hot call, or give it to the framework."""
        end = data.find(END, at)
        line = data[at:end] if end >= 0 else b""
        call = self._keyed.read(line) if INSIDE in line else self._known(line) or self._heads.read(line)
        if call is not None and self._callers.book.locked:
            call = self._responses.admit(call)
        if call is None:
            self._begin_head(data, at)
            return
        end += len(END)
        head, key, self._responses.signed = call
        self._responses.head = head
        needed = end + head.length
        if len(data) < needed:
            self._phase, self._needed = BODY, needed - at
            self._patience.begin(self._lane.limits.body_patience)
            self.intake.put(data, at)
            self.intake.count()
            return
        self._phase = CALLING
        if len(data) > needed or self.intake.counted:
            self.intake.put(data, needed)
            self.intake.bound()
        far = self._lane.far
        if far is None:
            if self._lane.seat is not None:
                self._called = data[at:needed]
                if self._lane.doubts():
                    self._responses.let_go()
                    self._again(self._called)
                    return
            self._responses.call(head, key, data[end:needed])
        else:
            self._pass_on(far, data[at:needed], keyed=key is not None)

    def _pass_on(self, far: Far, data: bytes, *, keyed: bool) -> None:
        """Let the owner answer a hot call: it is read there, by the same reader."""
        if self._passing is None:
            self._passing = Passing(self._responses, self._again, self.transport.abort)
        self._passing.call(far, data, repeats=keyed)

    def _declined(self, error: DibsError) -> bool:
        """Let the next owner be asked, where this server has lost the ledger and has done nothing."""
        if not isinstance(error, LedgerMoved) or self._responses.gone or not self._responses.may_begin_anew:
            return False
        self._loop.call_soon(self._again, self._called)
        return True

    def _again(self, data: bytes, sent: bool = False) -> None:
        """Give a request to the framework that was taken for a hot call.

        ``sent``: it was sent to an owner that was lost.
        """
        if self._responses.gone:
            return
        self._phase = BETWEEN
        rest, at = self.intake.take()
        self._begin_head(data + rest[at:], 0)
        if sent and self._exchange is not None:
            self._exchange.scope[SENT] = True  # type: ignore[typeddict-unknown-key]  # ours

    def _read_body(self, data: bytes) -> None:
        self.intake.add(data)
        self.intake.since = self._loop.time()
        self.intake.count()
        if self.intake.size >= self._needed:
            self._phase = BETWEEN
            self._look_at(*self.intake.take())

    def _begin_head(self, data: bytes, at: int) -> None:
        at = blank_until(data, at)
        if at < len(data):
            self._phase, self._head = HEAD, HeadReader()
            self._patience.begin(self._lane.limits.head_patience)
            self._read_head(data, at)

    def _read_head(self, data: bytes, at: int) -> None:
        """Read a head that is for the framework, or comes in pieces: whoever sends it so is in no hurry."""
        try:
            at = self._head.feed_until_end(data, at)
            if self._head.complete:
                self._ask(self._head.head(), data, at)
            else:
                self.intake.more = self._head.size
                self.intake.count()
        except RequestRefused as error:
            self._refuse(error)

    def _ask(self, head: RequestHead, data: bytes, at: int) -> None:
        """Give a request to the framework; its body follows in ``data`` from ``at`` on, or comes later.

        A front of ours begins its frames with one, an owner what it feeds a warm copy with.
        """
        if self._lane.greets(head):
            self.connection_lost(None)
            self.transport.write(SWITCHED)
            FrontConnection(self._lane, self._state, self.transport, self._loop).data_received(data[at:])
            return
        if head.path == PATH and (begin := self._lane.feeds(head)) is not None:
            self.connection_lost(None)
            CopyConnection(begin, self._state, self.transport)
            return
        self._phase = ASKING
        self.intake.put(data, at)
        if head.length != 0:
            self._patience.begin(self._lane.limits.body_patience)
        self._exchange = Exchange(self._peer, head, self._responses, self.intake, self._responded)
        self._exchange.begin()

    @property
    def _reading(self) -> bool:
        """Whether a body is being read for the framework."""
        return self._exchange is not None and self._exchange.incoming is not None

    # -- what comes after an answer

    def _responded(self) -> None:
        """An answer is out, or a refusal: the next request is read."""
        responses, intake = self._responses, self.intake
        if responses.gone:
            return
        if responses.last:
            self.leave()
            return
        if self._exchange is not None:
            self._exchange = None
            intake.more = 0
        intake.since, self._patience.seconds = self._loop.time(), self._config.timeout_keep_alive
        if intake.size or self.flow.write_paused or intake.ended:
            self._phase = ANSWERED
            self._loop.call_soon(self._go_on)  # when the others who wait have been served
        else:
            self._phase = BETWEEN
            if intake.counted or self.flow.read_paused:
                intake.bound()

    def _go_on(self) -> None:
        """The next request, if it is here already; not before the client reads what it was answered."""
        if self._responses.gone or self._phase != ANSWERED or self.flow.write_paused:
            return
        self._phase = BETWEEN
        data, at = self.intake.take()
        if data:
            self._look_at(data, at)
        if self._phase in (BETWEEN, HEAD, BODY):
            self.intake.bound()
            if self.intake.ended and not self._answers_on():
                self.transport.close()

    def _refuse(self, error: RequestRefused) -> None:
        """What is no request, or comes too late: who sends that may still be sending."""
        if self._phase != BODY:
            self._responses.head, self._responses.signed = None, b""  # nobody knows whose it is
        self.intake.more = 0
        self.intake.clear()
        self._departure.linger = True
        self._responses.refuse(error)

    def give_up(self) -> None:
        """All connections together keep too much, and this is the newest: it keeps nothing any more."""
        error = self._lane.budget.overloaded()
        if self._phase in (HEAD, BODY, ANSWERED):
            self._refuse(error)
        elif self._exchange is not None and self._reading:
            self._exchange.fail(error)
        else:
            self.intake.clear()
            self._responses.last = self._departure.linger = True

    def pause_writing(self) -> None:
        """Pause: the client does not read its answers."""
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has read its answers."""
        self.flow.resume_writing()
        self._go_on()

    # -- the end

    def eof_received(self) -> bool:
        """Note that the client sends nothing more; return whether the transport stays open for an answer.

        Under TLS it does not: asyncio's closes with the client.
        """
        return self._answers_on() and not self._departure.secure

    def _answers_on(self) -> bool:
        """Note that the client sends nothing more; return whether it still gets an answer."""
        self.intake.ended = True
        self._responses.wait_no_more()
        if self._phase == HEAD:
            self._refuse(RequestRefused("malformed", "the request ends in its head"))
        if self._exchange is not None and not self._reading:
            self._exchange.wait.end()
            return True
        return self._phase in (CALLING, ANSWERED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client has gone; ops in the line go on."""
        self._state.connections.discard(self)  # as it was added
        self._lane.connections.discard(self)
        self._patience.end()
        self._responses.lost()
        if self._passing is not None:
            self._passing.drop()
        if self._exchange is not None:
            self._exchange.disconnect()
        self.intake.more = 0
        self.intake.clear()
        self.intake.count()
        self.flow.resume_writing()

    def lose(self, caller: Caller) -> None:
        """Close, if this caller's request is under way: what it asked for is no longer for it."""
        asks = self._exchange is not None and self._exchange.is_of(caller)
        if asks or (self._phase == CALLING and self._responses.caller is caller):
            self.transport.abort()

    def leave(self) -> None:
        """Close; where the client may still be sending or reading, when it leaves, or after a while."""
        self._phase = LEFT
        failed = self._exchange is not None and self._exchange.failure is not None
        more = failed or self._reading or self.intake.size > 0 or self.flow.read_paused
        sending = (more or self._departure.linger) and not self.intake.ended
        if self._departure.at_once(sending=sending):
            return
        if sending:
            self.flow.resume_reading()
        self.connection_lost(None)
        self._departure.wait()

    def shutdown(self) -> None:
        """Answer the request under way, and close, as the server goes down."""
        self._departure.stopping = True
        if self._phase in (BETWEEN, HEAD, ANSWERED, LEFT):
            self._departure.close()
            return
        if self._exchange is None:
            self._responses.end()
        else:
            self._exchange.be_last()

    def _look(self, now: float) -> float:
        """End a connection that takes too long; return when to look again."""
        limits = self._lane.limits
        coming = self._reading and not self.flow.read_paused
        due = self._patience.due(now, waiting=coming or self._phase in (BETWEEN, HEAD, BODY))
        if due > now:
            return due
        if self._phase == HEAD:
            self._refuse(head_too_slow(limits.head_patience))
        elif self._phase == BODY:
            self._refuse(bodies.too_slow(limits.body_patience))
        elif coming and self._exchange is not None:
            self._exchange.fail(bodies.too_slow(limits.body_patience))
        elif self._phase == BETWEEN:
            self.leave()
        else:
            self.transport.abort()
        return now + limits.body_patience

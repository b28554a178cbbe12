"""The responses of a connection, and its hot calls: it is the caller of queues."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from ...access.caller import ANYBODY
from ...access.owned import owned
from ...cluster import passage
from ...queue import asking
from .. import bodies
from ..access_log import host_of
from ..admission import refusal
from ..answers import encode, reply
from ..durations import OTHER, bucket
from ..operations.produce import push_reply
from ..problems import RequestRefused, reply_to
from ..traces import carried
from .framing import END
from .tasks import Tasks

if TYPE_CHECKING:
    import asyncio

    from uvicorn.server import ServerState

    from ...errors import DibsError
    from ...ledger.serve import Ask, Key
    from ...queue import Queue
    from ...queue.answers import Answer
    from ..reply import Reply
    from ..requests import Request
    from .ends import Asked, Writes
    from .heads import Call, Head
    from .lane import Lane


class Responses:
    """Makes the hot calls of one connection, one at a time, and writes their responses.

    ``responded`` is called after each response, ``declined`` says whether a refusal is told in another way.
    ``gone``: the client has gone, or has its last response. ``last``: no request after this one.
    ``calling``: a hot call is under way. ``head`` is that of the request that has no response yet,
    ``signed`` are the lines of that which say whose it is, ``caller`` who has made the call.
    """

    def __init__(
        self,
        lane: Lane,
        state: ServerState,
        transport: Writes,
        loop: asyncio.AbstractEventLoop,
        responded: Callable[[], None],
        *,
        declined: Callable[[DibsError], bool] | None = None,
    ) -> None:
        self.gone = False
        self.last = False
        self.calling = False
        self.head: Head | None = None
        self.signed = b""
        self.caller = ANYBODY
        self._lane = lane
        self._context = lane.context
        self._state = state
        self._transport = transport
        self._responded = responded
        self._declined = declined
        self.peer = transport.get_extra_info("peername")
        self._ended = False
        self._began = 0.0
        self._access = lane.context.access
        self._durations = lane.context.durations
        self._request: Request
        self._asked: Asked | None = None  # while a queue has not answered
        self._tasks = Tasks(state, lane.budget, loop, self.fail)

    # -- asking a queue

    def admit(self, call: Call) -> Call | None:
        """The call, if who makes it may; else None: it is refused the ordinary way."""
        head, key, signed = call
        caller = None if head.shown is None else self._lane.callers.book.caller(head.shown)
        if caller is None or not caller.may(head.read.spec.role, head.queue):
            return None
        self.caller = caller
        return head, None if key is None else key._replace(caller=caller.keys), signed

    def call(self, head: Head, key: Key | None, body: bytes) -> None:
        """Ask a queue for what a request says; the client is told, perhaps before this returns."""
        self.calling = True
        self._began = perf_counter()
        try:
            queue = (self._context.opened or self._context.queues).get(head.queue, keyed=key is not None)
            request = head.request
            if request is None:
                self._read(head, queue, key, body)
                return
            if request.how == "block":
                request = request.of(queue)
            ask = request.ask
            self._ask(queue, request, ask if key is None else asking.keyed(ask, key, request.digest))
        except Exception as error:
            self.fail(error)

    def _read(self, head: Head, queue: Queue, key: Key | None, body: bytes) -> None:
        """Read a body, on a task where it takes one, and ask."""
        read = head.read
        if read.spec.stream is not None or len(body) > bodies.LARGE:
            if not self._tasks.read(self._read_apart(head, queue, key, body), len(body)):
                self.refuse(self._lane.budget.overloaded())
        else:
            request = read.parse(body, key)
            if head.parent is not None:
                request = carried(request, head.parent)
            self._ask(queue, request, request.ask)

    async def _read_apart(self, head: Head, queue: Queue, key: Key | None, body: bytes) -> None:
        read = head.read
        found = await bodies.apart(lambda text: read.parse(text, key), body)
        if read.spec.stream is not None:
            self.respond(await push_reply(queue, found, key, head.parent, self.caller))
            return
        if head.parent is not None:
            found = carried(found, head.parent)
        self._ask(queue, found, found.ask)

    def _ask(self, queue: Queue, request: Request, ask: Ask) -> None:
        if self.caller.tag:
            ask = owned(ask, self.caller)
        self._request = request
        waiting = queue.ask(ask, request.wait, self)
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
        if not self.calling:
            return  # it was told before that the server cuts it off
        request = self._request
        try:
            body = encode(request, answer)
            if body is None or answer.served.replayed or request.how == "lines":
                self.respond(reply(request, answer, body))
            else:
                self._write(body)
        except Exception as error:
            self.fail(error)

    def refused(self, error: DibsError) -> None:
        """Take a refusal."""
        self._asked = None
        if self._declined is not None and self.calling and self._declined(error):
            self.let_go()
        else:
            self.respond(reply_to(error))

    def fail(self, error: BaseException) -> None:
        """Respond to a call that has failed."""
        given = (self.head and self.head.given) or self._access.made()
        path = "a request" if self.head is None else self.head.path
        self.respond(refusal(error, f"POST {path}, request {given.decode('ascii')}"), given)

    # -- a call that another server answers

    def far(self, passing: Asked) -> None:
        """A call is passed on."""
        self.calling = True
        self._began = perf_counter()
        self._asked = passing
        if self._ended:
            passing.end()

    @property
    def may_begin_anew(self) -> bool:
        """Whether a call of which nothing was done can go to another owner: a long wait would begin anew."""
        return self._request.wait <= 0 or perf_counter() - self._began <= passage.SOON

    def let_go(self) -> bool:
        """Nothing came of a call: it has no response from here; whether its client is there still."""
        going, self.calling, self._asked, self.head = self.calling, False, None, None
        return going and not self.gone

    def relay(self, answer: bytes) -> None:
        """Write a response that another server has made."""
        self._asked = None
        if not self.calling:
            return
        if not self.gone:
            if self.last:
                answer = answer.replace(END, b"\r\nconnection: close" + END, 1)
            self._transport.write(answer)
            given = (self.head and self.head.given) or b"-"
            self._count(given, int(answer[9:12]), len(answer) - answer.find(END) - len(END))
        self.head = None
        self.calling = False
        self._responded()

    # -- writing

    def _write(self, body: bytes) -> None:
        """200 with JSON."""
        head = self.head
        if not self.gone and head is not None:
            lane, access, size = self._lane, self._access, len(body) + 1
            if lane.dated is not self._state.default_headers:
                lane.date(self._state.default_headers)
            given = head.given or access.made()
            signed = self.signed + lane.closed if self.last else self.signed
            self._transport.write(
                b"%b%d%b%b\r\n%b\r\n%b\n" % (lane.ok, size, lane.ending, given, signed, body)
            )
            took, times = perf_counter() - self._began, head.read.times[2]
            times.counts[bucket(took)] += 1  # as `Times.add` does, which would be one more call an answer
            times.seconds += took
            if access.on:
                self._line(given, 200, took, size)
        self.head = None
        self.calling = False
        self._responded()

    def respond(self, reply: Reply, given: bytes = b"") -> None:
        """Write any response, as uvicorn would, unless the call was told that the server cuts it off.

        ``given`` is the id of its request, which is made here if it has none yet.
        """
        if not self.calling:
            return
        if not self.gone:
            given = given or (self.head and self.head.given) or self._access.made()
            reply.name(given)
            headers = self._state.default_headers
            head = self._lane.head_of(reply, headers, given, self.signed, close=self.last)
            self._transport.write(head + bytes(reply.body))
            self._count(given, reply.status_code, len(reply.body))
        self.head = None
        self.calling = False
        self._responded()

    def refuse(self, error: RequestRefused) -> None:
        """Refuse a broken or an unwanted request; nothing is answered after that."""
        if not self.calling:
            self._began = perf_counter()
        self.last = self.calling = True
        self.respond(reply_to(error))

    def _count(self, given: bytes, status: int, size: int) -> None:
        """Count a response, and write its line; with status 0, that the client left before it."""
        took = perf_counter() - self._began
        times = self._durations.of(OTHER) if self.head is None else self.head.read.times
        times[status // 100].add(took)
        if self._access.on:
            self._line(given, status, took, size)

    def _line(self, given: bytes, status: int, took: float, size: int) -> None:
        head, peer = self.head, host_of(self.peer)
        method, path, who = ("-", "-", ANYBODY) if head is None else ("POST", head.path, self.caller)
        self._access.line(given, method, path, status, seconds=took, size=size, peer=peer, who=who.name)

    # -- the end

    def wait_no_more(self) -> None:
        """End the wait of a call, as the client sends nothing more."""
        self._ended = True
        if self._asked is not None:
            self._asked.end()

    def lost(self) -> None:
        """Note that the client has gone; what is under way goes on."""
        if self.head is not None and not self.gone:
            if not self.calling:  # its body had not come yet
                self._began = perf_counter()
            self._count(self.head.given or self._access.made(), 0, 0)
        self.gone = True
        if self._asked is not None:
            self._asked.drop()
            self._asked = None
        self._tasks.wait_no_more()

    def end(self) -> None:
        """The server goes down: the call that is under way, or comes, is the last; or it is cut off."""
        self.last = self.calling = True
        self._tasks.wait_for_the_end()

"""The driver for threads: it does the steps that a flow yields, with blocking calls."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from ..iterators import fork
from .errors import ClientClosed, ForkedClient
from .flow import Effect, Flow, Gather, Listen, Lost, Reply, Request, Send, Sleep, Steps
from .wire import Wire

T = TypeVar("T")
_CLOSING = "the lease iterator is being closed"


class ThreadBell:
    """A bell that threads listen to. A listener's own thread may ring it too, in a signal or a finalizer."""

    def __init__(self) -> None:
        self.rings = 0
        self._condition = threading.Condition()
        self._process = fork.process()

    @property
    def here(self) -> bool:
        """Whether it rings in this process."""
        return fork.process() is self._process

    def ring(self) -> None:
        """Wake every thread that listens."""
        with self._condition:
            self.rings += 1
            self._condition.notify_all()

    def wait(self, seen: int, seconds: float | None) -> None:
        """Wait until the bell has rung since ``seen``."""
        with self._condition:
            self._condition.wait_for(lambda: self.rings != seen, seconds)


class Line:
    """Sends requests over a transport. Threads may share it; a forked child gets connections of its own.

    Each process opens its own connections, as two processes on one connection would take each other's
    answers. A child closes its copies of its parent's connections, which does no harm to the parent.

    Args:
        wire: The server's URL and the headers of requests.
        given: A transport to use instead of the line's own. It stays in the process that it was given to.
    """

    def __init__(self, wire: Wire, given: httpx.BaseTransport | None = None) -> None:
        self.wire = wire
        self.closed = False
        self._given = given
        self._transport = given
        self._forked = False
        self._dialing = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        fork.watch(self)

    def send(self, request: Request) -> Reply | Lost:
        """Send one request once; return its reply, or how it was lost."""
        if self.closed:
            raise ClientClosed("the client is closed")
        return self.exchange(request, {})

    def exchange(self, request: Request, extensions: dict[str, Any]) -> Reply | Lost:
        """Send one request once, with ``extensions`` for the transport."""
        transport = self._transport or self._dial()
        try:
            response = transport.handle_request(self.wire.write(request, extensions))
            try:
                self.remember(response.extensions.get("network_stream"))
                lost = self.wire.stranger(request, response)
                if lost is not None:
                    return lost  # closed with its body unread, so that nobody is given the connection again
                body = response.read()
            finally:
                response.close()
        except httpx.TransportError as error:
            return self.wire.lost(error)
        return Reply(response.status_code, response.headers, body)

    @contextmanager
    def streamed(self, request: Request) -> Iterator[httpx.Response]:
        """The answer to a request that is sent once; the caller reads its body as it comes.

        Raises:
            httpx.TransportError: There is no answer, or not all of it.
        """
        transport = self._transport or self._dial()
        response = transport.handle_request(self.wire.write(request, {}))
        try:
            self.remember(response.extensions.get("network_stream"))
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Close the line's connections; requests sent afterwards raise ``ClientClosed``."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    def _dial(self) -> httpx.BaseTransport:
        if self._forked and self._given is not None:
            raise ForkedClient(
                "the transport of this client was given to it in the parent process, which may use the same "
                "connections (make a client in this process)"
            )
        with self._dialing:
            if self._transport is None:
                self._transport = self.wire.dial()
            return self._transport

    def remember(self, stream: Any) -> None:
        """Remember a connection's socket, so that a child can close its copy."""
        found = None if stream is None else stream.get_extra_info("socket")
        if isinstance(found, socket.socket):
            self._sockets.add(found)

    def _after_fork(self) -> None:
        """Start anew in a child process: the transport's locks may be held by threads of the parent."""
        self._forked = True
        for found in list(self._sockets):
            found.close()  # the child's copy: nothing is said on the wire
        self._sockets = weakref.WeakSet()
        self._transport = None
        self._dialing = threading.Lock()


class PollLine:
    """A line for long polls: one connection, whose wait another thread can end.

    A read that blocks is ended by shutting its socket down. The socket is learnt from httpcore's trace; over
    a transport without one (a test's) an abort takes effect when the poll comes back.
    """

    def __init__(self, wire: Wire, given: httpx.BaseTransport | None = None) -> None:
        self._line = Line(wire, given)
        self._given = given
        self._aborted = False
        self._stream: Any = None
        fork.watch(self)

    def send(self, request: Request) -> Reply | Lost:
        """Send one request, unless the line was aborted; an aborted request counts as lost."""
        if self._aborted:
            return Lost(ClientClosed(_CLOSING), reached=False, aborted=True)
        answer = self._line.exchange(request, {"trace": self._learn})
        return answer._replace(aborted=self._aborted) if isinstance(answer, Lost) else answer

    def abort(self) -> None:
        """End the poll that waits, and every later one."""
        self._aborted = True
        self._shut()

    def close(self) -> None:
        """Close the line's connection, unless it belongs to the client."""
        if self._given is None:
            self._line.close()

    def _learn(self, event: str, info: dict[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            self._stream = info["return_value"]
            self._line.remember(self._stream)
            if self._aborted:  # it was between looking and connecting
                self._shut()

    def _shut(self) -> None:
        found = None if self._stream is None else self._stream.get_extra_info("socket")
        if isinstance(found, socket.socket):
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # closed already, which is as good

    def _after_fork(self) -> None:
        self._stream = None  # to shut it down would end the parent's poll


def run(
    flow: Flow[T],
    line: Line,
    *,
    poll: Line | PollLine | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Do the steps of a flow until it returns. In a child process, no flow of the parent goes on."""
    steps = Steps(flow)
    while (effect := steps.next()) is not None:
        try:
            steps.done(_do(effect, line, poll or line, sleep))
        except BaseException as error:
            steps.failed(error)
    return steps.result


def _do(effect: Effect, line: Line, poll: Line | PollLine, sleep: Callable[[float], None]) -> Any:
    if isinstance(effect, Send):
        return (poll if effect.abortable else line).send(effect.request)
    if isinstance(effect, Sleep):
        return sleep(effect.seconds)
    if isinstance(effect, Gather):
        assert isinstance(effect.source, Iterator)  # noqa: S101
        return any(effect.into(value) for value in effect.source)
    assert isinstance(effect, Listen)  # noqa: S101
    assert isinstance(effect.bell, ThreadBell)  # noqa: S101
    return effect.bell.wait(effect.seen, effect.seconds)

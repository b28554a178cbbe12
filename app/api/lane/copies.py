"""Warm copies: the owner feeds the server that is next in line, which need not load then what it takes over.

The owner asks for the connection, since it knows who is next, and sends on it by a socket of its own: what it
has sent before it is killed arrives.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from .frames import COPY, Hello

if TYPE_CHECKING:
    from uvicorn.server import ServerState

    from ...cluster.office import Office
    from ...ledger.terms import Copy, Feed, Peer, Term

Begin = Callable[[Callable[[], None]], "Copy"]
"""Begins a copy; what it is given is called when that is given up."""

EVERY: Final = 0.5
"""Seconds between two looks at who is next."""
PATIENCE: Final = 2.0
"""Seconds that a server has to take the upgrade."""
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds until a server is asked again that did not take it, or lost its copy; then the last one."""
WELL: Final = 120.0
"""Seconds after which a copy was kept well, so that the pauses begin anew."""

_SWITCHED: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n" % COPY

log = logging.getLogger("dibs.cluster")


class CopyConnection(asyncio.Protocol):
    """The connection from the owner, at the server that keeps a copy; it was a connection of HTTP."""

    def __init__(self, begin: Begin, state: ServerState, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._connections = state.connections
        self._copy = begin(transport.abort)
        state.connections.add(self)  # type: ignore[arg-type]  # it has what the server calls
        transport.set_protocol(self)
        transport.write(_SWITCHED)

    def data_received(self, data: bytes) -> None:
        """Hear what the owner has done."""
        self._copy.hear(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The owner is gone, or feeds another server."""
        self._connections.discard(self)  # as it was added
        self._copy.end()

    def shutdown(self) -> None:
        """The server goes down."""
        self.transport.abort()


class Feeding:
    """Feeds the server that is next in line, while this one owns. Lives on the event loop, on a task.

    The feed of a term that is over is its engine's to close, which has a last transaction to send.
    """

    def __init__(self, front: Office) -> None:
        self._front = front
        self._task: asyncio.Task[None] | None = None
        self._feed: Feed | None = None
        self._fed: tuple[int, str] = 0, ""  # the term, and who is fed or was asked last
        self._failures = 0
        self._again = self._since = 0.0

    def begin(self) -> None:
        """Begin to look who is next."""
        if self._front.seat.ledgers.warm:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Look no more who is next. The term ends after this, and the feed with it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._feed = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self._look()

    async def _look(self) -> None:
        term, peer, now = self._front.seat.term, self._next(), asyncio.get_running_loop().time()
        if term is None or peer is None or self._fed != (term.number, peer.server):
            self._leave()
            self._failures, self._again = 0, 0.0
        elif self._feed is not None and self._feed.closed:
            self._leave()
            self._failures = 0 if now - self._since > WELL else self._failures
            self._fail(now)
        if term is None or peer is None or self._feed is not None or now < self._again:
            return
        self._fed = term.number, peer.server
        try:
            await self._serve(term, peer)
        except OSError as error:
            log.info("%s keeps no warm copy: %s", peer.url, error)
            self._fail(now)
        except Exception:  # an odd address, say; whoever is next in line after it is asked again
            log.exception("%s keeps no warm copy", peer.url)
            self._fail(now)

    def _fail(self, now: float) -> None:
        self._again = now + PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1

    async def _serve(self, term: Term, peer: Peer) -> None:
        url, front = urlsplit(peer.url), self._front
        hello = Hello(term.number, front.seat.me, front.exposed, COPY).request(front.secret(), url.netloc)
        tls = front.pool.tls if url.scheme == "https" else None
        connection = await asyncio.to_thread(_dial, url.hostname or "", url.port or 0, tls, hello)
        if front.seat.term is term and self._task is not None:
            self._feed, self._since = term.feed(connection), asyncio.get_running_loop().time()
        else:
            connection.close()

    def _next(self) -> Peer | None:
        """The server that is next in line, if it is of our release.

        Where nobody is in line, one that can't own will have to: whoever is fed already, else any of those.
        """
        ledgers, survey = self._front.seat.ledgers, self._front.seat.survey()
        if survey is None:
            return None
        others = [
            peer for peer in survey.peers if peer.server != ledgers.server and peer.version == ledgers.version
        ]
        if survey.next_owner is not None:
            return next((peer for peer in others if peer.server == survey.next_owner), None)
        fed = next((peer for peer in others if peer.server == self._fed[1]), None)
        return fed or next((peer for peer in others if peer.note), None)

    def _leave(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None and self._front.seat.term is not None:
            feed.close()


def _dial(host: str, port: int, tls: ssl.SSLContext | None, hello: bytes) -> socket.socket:
    """A connection that was switched.

    Raises:
        OSError: there is none, or the other server does not want it.
    """
    connection = socket.create_connection((host, port), PATIENCE)
    try:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname=host)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(hello)
        answer = b""
        while len(answer) < len(_SWITCHED) and (piece := connection.recv(len(_SWITCHED) - len(answer))):
            answer += piece
        _check(answer)
    except BaseException:
        with suppress(OSError):
            connection.close()
        raise
    return connection


def _check(answer: bytes) -> None:
    if answer != _SWITCHED:
        raise ConnectionRefusedError(f"it does not want one: {answer[:40]!r}")

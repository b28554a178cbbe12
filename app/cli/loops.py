"""More event loops, in threads of their own: each parses and answers for its share of the connections.

The first loop has the queues, the listening socket and the signals; it deals the connections out in turn.
With the GIL only one thread runs Python at a time, so this costs more than it gives; without it, it gives.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any, Final

import uvicorn

from ..api.fast.connection import Connection
from ..api.fast.lane import Lane
from ..api.fast.relay import Elsewhere
from ..api.house import House
from ..config import version
from ..errors import ConfigError

PAUSE: Final = 1.0
"""Seconds without accepting when the system has no room for another connection, as asyncio has it."""
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ACCEPTS: Final = 64
"""Connections that are accepted in one step."""

START_PATIENCE = 10.0
"""Seconds that a further loop may take to begin."""


def new_loop() -> asyncio.AbstractEventLoop:
    """The loop that the server runs on."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class SideLoop:
    """One more loop. ``make_config`` makes uvicorn's configuration of an application and a protocol."""

    def __init__(
        self,
        house: House,
        app: Any,
        owner: asyncio.AbstractEventLoop,
        make_config: Callable[..., uvicorn.Config],
        number: int,
    ) -> None:
        self._house = house
        self._app = Elsewhere(app, owner)
        self._owner = owner
        self._make_config = make_config
        self._ready = threading.Event()
        self._why_not: Exception | None = None
        self._adopting: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, name=f"dibs-loop-{number}", daemon=True)

    def start(self) -> None:
        """Begin; returns when connections can be given to it.

        Raises:
            ConfigError: it could not begin, or took longer than ``START_PATIENCE`` seconds.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ConfigError(f"the server can't start {self._thread.name}: {error}") from error
        if not self._ready.wait(START_PATIENCE):
            self._why_not = TimeoutError(f"it did not begin within {START_PATIENCE:g} s")
        if self._why_not is not None:
            raise ConfigError(f"the server can't start {self._thread.name}: {self._why_not}")

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve())
        except Exception as error:
            if self._ready.is_set():
                raise
            self._why_not = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        lane = Lane(self._house, version=version(), owner=self._owner)
        self.server = server = uvicorn.Server(self._make_config(self._app, partial(Connection, lane)))
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        server.servers = []
        await server.on_tick(0)
        self._ready.set()
        await server.main_loop()
        await server.shutdown()

    def adopt(self, connection: socket.socket) -> None:
        """Serve this connection; from any thread."""
        self._loop.call_soon_threadsafe(adopt, self.server, self._loop, connection, self._adopting)

    def end(self, *, force: bool = False) -> None:
        """Begin to go down: answer what is under way, and close."""
        self.server.force_exit = force
        self.server.should_exit = True

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()


def adopt(
    server: uvicorn.Server,
    loop: asyncio.AbstractEventLoop,
    connection: socket.socket,
    adopting: set[asyncio.Task[Any]],
) -> None:
    """Serve an accepted connection on this loop."""
    make: Any = server.config.http_protocol_class
    protocol = partial(
        make,
        config=server.config,
        server_state=server.server_state,
        app_state=server.lifespan.state,
        _loop=loop,
    )
    task = loop.create_task(loop.connect_accepted_socket(protocol, connection))
    adopting.add(task)
    task.add_done_callback(adopting.discard)


class Dealer:
    """Accepts, and gives each connection to the next loop; ``homes`` are what takes one."""

    def __init__(self, listener: socket.socket, homes: list[Callable[[socket.socket], None]]) -> None:
        self._listener = listener
        self._homes: Iterator[Callable[[socket.socket], None]] = cycle(homes)
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # gone already; or no room for more, which takes a while to pass
                if error.errno in _NO_ROOM:
                    self._loop.remove_reader(self._listener)
                    self._again = self._loop.call_later(PAUSE, self._accept_again)
                return
            connection.setblocking(False)
            next(self._homes)(connection)

    def _accept_again(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)

"""The server process: uvicorn, with signals that end it in order and errors that are sentences."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NoReturn

import uvicorn
from fastapi import FastAPI

from ..api.context import Context
from ..api.lane.connection import Connection
from ..api.lane.lane import Lane
from ..config import Settings
from ..config_layers import Layers
from ..errors import DibsError
from ..ledger.database import Database
from ..main import create_app
from ..tls import Certificate
from .banner import announce, announce_front
from .exits import FAILED, NO_PORT, OK, fail
from .garbage import Garbage
from .logs import log_to_stderr

GRACE: Final = 2.5
"""Seconds that requests in flight have to be answered when the server goes down, of 5 in all."""
KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than most clients keep theirs, so that they close it."""
BACKLOG: Final = 2048
FILES_MOST: Final = 65_536
TICKS: Final = 10
"""Of uvicorn's in a second."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """uvicorn's server; the first signal begins an orderly end, and the process then exits with 0.

    ``context`` is told at once, so that those who wait are answered rather than waited for.
    """

    def __init__(self, config: uvicorn.Config, context: Context, settings: Settings) -> None:
        super().__init__(config)
        self._context = context
        self._settings = settings
        self._terminal = sys.stderr.isatty()
        self._reloads: set[asyncio.Task[Any]] = set()
        self._garbage = Garbage()
        self._commits = 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: ``handling_signals`` has begun before the server did."""
        yield

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Handle signals on the loop, between two steps of anything; don't raise them again at the end.

        A signal that was ignored at the start stays ignored: so a shell protects what it runs with ``&`` in a
        script from the Ctrl-C that is meant for the script.
        """
        loop = asyncio.get_running_loop()
        handlers = dict.fromkeys(_SIGNALS, self.end)
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._hang_up
        heard = [number for number in handlers if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, handlers[number])
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def end(self) -> None:
        """Begin to go down: answer what is in flight, accept nothing new. A second time: don't wait."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._context.stop()

    def _hang_up(self) -> None:
        """Reload the settings; if the terminal that the server was started on is gone, end."""
        if self._terminal and not sys.stderr.isatty():
            self.end()
            return
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)  # the loop itself holds it weakly
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        with suppress(DibsError):  # it is in the log
            await self._context.reloading.run(who="SIGHUP")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self._garbage.begin()
        if sockets and not self.should_exit:
            scheme = "http" if self._settings.tls_cert is None else "https"
            url = _url(scheme, self._settings.host, sockets[0])
            context = self._context
            if context.elsewhere:
                announce_front(url, self._settings, context.front.owner_url() if context.front else None)
            else:
                locked = context.callers.book.locked
                announce(url, self._settings, context.queues, locked=locked)

    async def on_tick(self, counter: int) -> bool:
        """Look once a second whether old garbage is worth a search: best while nobody commits anything."""
        if counter % TICKS == 0:
            opened, before = self._context.opened, self._commits
            self._commits = opened.rounds.commits.count if opened is not None else 0
            count = len(opened.everyone) if opened is not None else 0  # a front has none
            self._garbage.look(quiet=before == self._commits, queues=count)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in flight, and end."""
        self._garbage.end()
        await super().shutdown(sockets)


def run(read: Callable[[], Layers]) -> int:
    """Serve until a signal comes; the exit code. ``read`` reads the settings, again for each reload.

    Raises:
        ConfigError: A setting is wrong.
        LedgerError: The data can't be opened.
    """
    log = log_to_stderr()
    _open_many_files()
    app = create_app(read=read)
    context: Context = app.state.context
    settings = context.settings
    log.write_as(settings.log_format)
    context.access.begin(log.request, settings.log_level)
    return _run(_serve(app, settings))


def _open_many_files() -> None:
    """Use all the open files that the system allows, up to ``FILES_MOST``: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _new_loop() -> asyncio.AbstractEventLoop:
    """The loop that the server runs on."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run(main: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)


async def _serve(app: FastAPI, settings: Settings) -> int:
    """A folder is opened first: a second server on the same data is told so, whatever its port.

    Of a database many servers may come, and the others are told the port.
    """
    context: Context = app.state.context
    listener = None
    if isinstance(settings.data, Database):
        listener = _listen(settings.host, settings.port)
        context.port = listener.getsockname()[1]
    certificate = None
    if settings.tls_cert is not None:
        certificate = Certificate(settings.tls_cert, settings.tls_key)
        context.checks.append(certificate.check)
        context.at_change.append(lambda _: certificate.reload())
    server = Server(_config(app, certificate), context, settings)
    try:
        with server.handling_signals():
            async with app.router.lifespan_context(app):
                listener = listener or _listen(settings.host, settings.port)
                await server.serve(sockets=[listener])  # which leaves it open where a signal came before
    finally:
        if listener is not None:
            listener.close()
    return OK


def _config(app: FastAPI, certificate: Certificate | None) -> uvicorn.Config:
    """One process, whatever the environment says (WEB_CONCURRENCY, FORWARDED_ALLOW_IPS)."""
    protocol: Any = partial(Connection, Lane(app))
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        workers=1,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,  # type: ignore[arg-type]  # it goes to wait_for, which takes a float
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        _cannot_listen(host, port, error)
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        _cannot_listen(host, port, error)
    listener.setblocking(False)
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> NoReturn:
    if error.errno == errno.EADDRINUSE:
        fail(f"port {port} on {host} is in use; choose another with --port (0 finds a free one)", NO_PORT)
    fail(f"can't listen on {host} port {port}: {error.strerror}", FAILED)


def _url(scheme: str, host: str, listener: socket.socket) -> str:
    """Where a client on this machine finds the server."""
    port = listener.getsockname()[1]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{name}:{port}"

"""Several servers in this process, on sockets, that share a ledger which a test gives to one of them.

``Shared`` stands for the database: it says who owns, and loses owners when a test wants that. What a term
writes to is the engine of SQLite, on one folder for all, so that the next owner has what the one before did.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import defaultdict
from functools import partial

import httpx
import pytest
import trustme
from dibs.api.lane.lane import Lane
from dibs.cli.server import _new_loop
from dibs.config import Settings, read
from dibs.errors import LedgerUnavailable
from dibs.ledger import open_ledger
from dibs.ledger.terms import Owner, Peer, Survey
from dibs.main import create_app
from dibs.proof.server import free_port
from dibs.tls import context_of, verifying
from support.serving import cut, server_of, vanish

DATA = "postgresql://nobody:secret@nowhere/none"
SECRET = b"0123456789abcdef"
NO_TLS = ssl.create_default_context()


class Term:
    def __init__(self, shared, number, engine):
        self.number, self.engine = number, engine
        self.lost = asyncio.Event()
        self.doubt = False
        self.asked = 0
        self.feeds = []
        self._shared = shared

    def trusted(self):
        return not self.doubt

    async def sure(self):
        self.asked += 1
        return not self.lost.is_set()

    def feed(self, connection):
        self.feeds.append(Feed(connection))
        return self.feeds[-1]

    async def resign(self):
        for feed in self.feeds:  # an engine closes them, after its last transaction
            feed.close()
        self._shared.free(self)


class Feed:
    """What an owner was given, by which it is to feed a copy."""

    def __init__(self, connection):
        self.connection = connection
        self.closed = False

    def close(self):
        self.closed = True
        self.connection.close()


class Copy:
    """What a front was told for the copy that it keeps."""

    def __init__(self, term, lost):
        self.term, self.lost = term, lost
        self.heard = b""
        self.ended = False

    def hear(self, data):
        self.heard += data

    def end(self):
        self.ended = True


class Shared:
    """The database. ``give`` makes a server the owner, ``take`` takes it away."""

    def __init__(self, folder, secret=SECRET):
        self.folder = folder
        self.secret = secret
        self.members = {}
        self.parts = {}
        self.term = 0
        self.owner = None
        self.holder = None
        self.surveyed = True
        self.silent = 0.5
        self.notes = {}
        self.lags = {}
        self.troubles = {}
        self.next_owner = None
        self.tokens = None
        self.configurations = {}
        self._standing = set()
        self._given = defaultdict(asyncio.Event)
        self._free = asyncio.Event()
        self._free.set()

    def part(self, name):
        return partial(Part, self, name)

    def give(self, name):
        """This server owns as soon as it stands (who has just lost a term may not yet) and no other owns."""
        self._standing.discard(name)
        self._given[name].set()

    def stands(self, name):
        return name in self._standing

    def take(self):
        """The owner has lost its term; nobody knows yet who is next."""
        self.read_tokens()
        self.holder.lost.set()

    def tell(self, owner):
        self.owner = owner
        for news in self.members.values():
            news()

    def read_tokens(self):
        """The tokens as the database has them, whoever owns."""
        if self.holder is not None:
            self.tokens = self.holder.engine.access_tokens(), self.holder.engine.now()
        if self.tokens is None:
            raise LedgerUnavailable("nothing was read yet")
        return self.tokens

    def free(self, term):
        if self.holder is term:
            self.holder = None
        if self.owner is not None and self.owner.term == term.number:
            self.tell(None)
        self._free.set()

    async def stand(self, part):
        self._standing.add(part.name)
        try:
            await self._given[part.name].wait()
        finally:
            self._standing.discard(part.name)
        self._given[part.name].clear()
        await self._free.wait()
        self._free.clear()
        self.term += 1
        self.holder = Term(self, self.term, await asyncio.to_thread(open_ledger, self.folder))
        self.tell(Owner(self.term, part.server, part.url))
        return self.holder


class Part:
    """One server's part in it."""

    def __init__(self, shared, name, settings):
        self.shared, self.name = shared, name
        self.server, self.secret = name, shared.secret
        self.version, self.warm = "1.0", settings.warm_copy
        self.copies = []

    async def open(self, url, news):
        self.url = url
        self.shared.members[self.name] = news
        self.shared.parts[self.name] = self

    async def stand(self):
        return await self.shared.stand(self)

    def owner(self):
        return self.shared.owner

    def survey(self):
        shared = self.shared
        if not shared.surveyed:
            return None
        peers = tuple(
            Peer(
                name,
                part.url,
                "1.0",
                shared.notes.get(name, ""),
                1.0,
                shared.lags.get(name),
                shared.troubles.get(name, ()),
            )
            for name, part in shared.parts.items()
        )
        url = None if shared.owner is None else shared.owner.url
        place = 100 + shared.term, shared.term, url, shared.silent, 60.0, shared.term
        return Survey(*place, peers, shared.next_owner, 2, 1, 7, ("look",))

    def copy(self, term, lost):
        self.copies.append(Copy(term, lost))
        return self.copies[-1]

    def note(self, text):
        self.shared.notes[self.name] = text

    def tell(self, troubles):
        self.shared.troubles[self.name] = troubles

    async def configurations(self):
        return list(self.shared.configurations.values())

    async def keep(self, one):
        self.shared.configurations[one.address] = one

    async def access_tokens(self):
        return await asyncio.to_thread(self.shared.read_tokens)

    async def close(self):
        self.shared.members.pop(self.name, None)
        self.shared.parts.pop(self.name, None)


class Server:
    """One server: an application with its lifespan, behind the real protocol.

    Without ``shared`` it is alone, on a folder. ``port``: where it is to listen; None: a free one. ``file``:
    its settings, which a reload reads again.
    """

    def __init__(self, shared, name, *, port=None, file=None, **settings):
        self.name = name
        self.shared = shared
        self.port = port or free_port()
        share = shared and shared.part(name)
        if file is None:
            self.app = create_app(Settings(**{"data": DATA, **settings}), share=share)
        else:
            self.app = create_app(read=lambda: read(file=file), share=share)
        self.settings = self.app.state.context.settings
        self.context = self.app.state.context
        self.lifespan = self.app.router.lifespan_context(self.app)
        self.client = None

    async def start(self):
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.context.port = self.port
        try:
            self.lane = Lane(self.app)
            self.server = server_of(self.app, self.lane, ssl_context_factory=self._tls)
            await self.lifespan.__aenter__()
            await self.server.startup(sockets=[self._socket])
        except BaseException:
            self._socket.close()
            raise
        await self.server.on_tick(0)
        scheme, trusted = ("http", NO_TLS) if self._tls is None else ("https", self._trusted())
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=60, verify=trusted)
        return self

    @property
    def _tls(self):
        cert = self.settings.tls_cert
        return None if cert is None else lambda *_: context_of(cert, None)

    def _trusted(self):
        return verifying(self.settings.tls_cert)

    def cut(self):
        """Break all connections, as a server does that is killed."""
        cut(self.server)

    def vanish(self):
        """Listen no more, and break all connections."""
        vanish(self.server)

    async def stop(self):
        await self.client.aclose()
        self.vanish()
        self._socket.close()
        await self.lifespan.__aexit__(None, None, None)

    @property
    def seat(self):
        return self.context.front.seat

    async def ask(self, method, path, **options):
        return await self.client.request(method, path, **options)

    async def raw(self, *pieces, close=None, wait=0.0):
        """Send bytes; all that comes back until the server closes, or ``close`` is set."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        found = b""
        try:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(wait)
            if close is not None:
                await close.wait()
                writer.close()
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(65_536):
                    found += piece
        finally:
            writer.transport.abort()
        return found


class Cluster:
    """The servers of one test."""

    def __init__(self, folder):
        self.shared = Shared(folder)
        self.servers = {}

    async def add(self, name, *, owns=False, **settings):
        server = self.servers[name] = Server(self.shared, name, **settings)
        starting = asyncio.ensure_future(server.start())
        if owns:
            self.shared.give(name)
        return await starting

    async def alone(self, folder, **settings):
        """A server of another ledger, in a folder."""
        server = self.servers["alone"] = Server(None, "alone", data=str(folder), **settings)
        return await server.start()

    async def pair(self, **settings):
        """An owner and a front."""
        return await self.add("a", owns=True, **settings), await self.add("b", **settings)

    async def again(self, name, **settings):
        """A front goes down in order, and starts again where it was."""
        port = self.servers[name].port
        await self.servers.pop(name).stop()
        return await self.add(name, port=port, **settings)

    async def hand_over(self, to):
        """The owner loses its term, and another server takes over."""
        self.shared.take()
        await until(lambda: self.shared.holder is None)
        self.shared.give(to)
        await until(self.servers[to].seat.owns)

    async def close(self):
        for server in self.servers.values():
            await server.stop()


async def until(condition):
    """Let the others on the loop run until it holds, for 30 s at most.

    The watchdog's exception would not end a loop that goes on to close its servers.
    """
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # there is no event for what a test looks for
            await asyncio.sleep(0.001)


@pytest.fixture
def certificate(tmp_path):
    """A certificate of its own authority, whose chain is in the file."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    return tmp_path / "cert.pem"


@contextlib.contextmanager
def made(folder):
    """A cluster, and a function that runs a coroutine function on it, on the loop of `dibs serve`."""
    made = Cluster(folder)

    async def running(test):
        async with asyncio.timeout(120):
            return await test(made)

    async def closed():
        async with asyncio.timeout(60):
            await made.close()
        await asyncio.sleep(0)  # what was aborted is closed in the next step

    with asyncio.Runner(loop_factory=_new_loop) as runner:
        try:
            yield lambda test: runner.run(running(test))
        finally:
            runner.run(closed())


@pytest.fixture
def cluster(tmp_path):
    """Run a test on a cluster: ``cluster(test)`` with a coroutine function that takes it."""

    def run(test, folder=tmp_path / "ledger"):
        with made(folder) as on:
            return on(test)

    return run


@pytest.fixture(scope="module")
def kept_cluster():
    """Run tests on one cluster in memory, one after the other."""
    with made(":memory:") as on:
        yield on


@pytest.fixture(scope="session", name="until")
def _until():
    return until

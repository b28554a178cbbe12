"""The application in this process, on its own event loop, with the real queues in memory.

A test says what it sends and gets the answer. Most run twice, for there are two ways in: through the
framework alone, without a socket, and on the wire, through the protocol with the fast lane. What needs a
process of its own is in tests/cli.
"""

import asyncio
import importlib.util
import itertools
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import httpx
import pytest
from dibs.config import Settings
from dibs.ledger import open_ledger
from dibs.main import create_app
from dibs.queue import queues


def _load(name):
    """A module beside this one: the tests are no packages."""
    spec = importlib.util.spec_from_file_location(f"api_{name}", Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wires = _load("wire")
ENGINE = "DIBS_TEST_ENGINE"
"""The engine of a server without a folder: ``sqlite`` in memory as a rule, or ``postgresql``."""
HOST = "localhost:8000"
ONE_WAY = {
    "test_access_fuzz",
    "test_backups",
    "test_deaths",
    "test_history",
    "test_inbox",
    "test_items",
    "test_manage",
    "test_metrics",
    "test_monitors",
    "test_observe",
    "test_open",
    "test_operate",
    "test_overview",
    "test_reference",
    "test_tokens",
}
"""What the lane gives to the framework as it came (``test_both_ways``) is asked on the wire only."""
PATIENCE = 90.0
"""Seconds for one use of the loop; only a test that hangs needs them."""


class House:
    """One application with its lifespan; ``ask`` sends a request and returns the answer."""

    def __init__(self, app, way="framework"):
        self.app = app
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self.wire = wires.Wire(app) if way == "wire" else None
        base = f"http://{HOST}"
        self._client = (
            self.wire.client(base)
            if self.wire
            else httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)
        )

    def __enter__(self):
        self.run(self._lifespan.__aenter__())
        if self.wire:
            self.run(self.wire.start())
        return self

    def __exit__(self, *error):
        self.run(self._client.aclose())
        if self.wire:
            self.run(self.wire.stop())
        self.run(self._lifespan.__aexit__(*error))
        self._runner.close()

    def run(self, awaitable):
        """Run anything on the application's loop."""

        async def running():
            async with asyncio.timeout(PATIENCE):
                return await awaitable

        return self._runner.run(running())

    async def until(self, condition):
        """Let the others on the loop run until it holds; ``run`` ends it otherwise."""
        turns = itertools.count()
        while not condition():  # noqa: ASYNC110  # there is no event for what a test looks for
            await asyncio.sleep(0 if next(turns) < 100 else 0.001)

    @property
    def loop(self):
        return self._runner.get_loop()

    @property
    def queues(self):
        return self.app.state.context.queues

    async def send(self, method, url, **options):
        return await self._client.request(method, url, **options)

    def ask(self, method, url, **options):
        return self.run(self.send(method, url, **options))

    def define(self, name, source, **args):
        answer = self.ask("PUT", f"/queues/{name}", json={"source": source, "args": args})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def cursor(self, name="default"):
        """How much was handed out or jumped over: what a refusal must not change."""
        return self.queues.get(name).browser.info().cursor

    def counters(self):
        """How much of each queue was pushed, handed out, settled: what a refusal must not change."""
        infos = [queue.browser.info() for queue in self.queues.list()]
        names = ("queue", "cursor", "taken", "acked", "purged", "waiting", "leased", "dead")
        return [tuple(getattr(info, name) for name in names) for info in infos]

    def pushed(self, name, *values, **settings):
        """A queue that producers push to, with these values in it."""
        body = {"settings": settings} if settings else {}
        assert self.ask("PUT", f"/queues/{name}", json=body).status_code in {200, 201}
        if values:
            items = [{"value": value} for value in values]
            assert self.ask("POST", f"/queues/{name}/items", json={"items": items}).status_code == 201

    def lease(self, name, **asked):
        answer = self.ask("POST", f"/queues/{name}/lease", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def call(self, method, path, *, headers=(), chunks: Iterable[bytes] = (), query=b"", hold=None):
        """One request by hand, below httpx: the messages that came back, and how many were received.

        ``hold`` is an event after which the client goes away, once the body is sent.
        """
        if self.wire:
            lines = [(b"host", HOST.encode()), *headers]
            pieces = wires.request_bytes(method, path, lines, list(chunks), query)
            answer, received = await self.wire.raw(*pieces, close=hold)
            return wires.messages(answer), received
        sent, received, bodies = [], 0, list(chunks) or [b""]

        async def receive():
            nonlocal received
            if received < len(bodies):
                received += 1
                return {
                    "type": "http.request",
                    "body": bodies[received - 1],
                    "more_body": received < len(bodies),
                }
            if hold is not None:
                await hold.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "scheme": "http",
            "headers": [(b"host", HOST.encode()), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
        }
        await self.app(scope, receive, send)
        return sent, received


@pytest.fixture(scope="session")
def way(request):
    """The way in."""
    return request.param


def pytest_generate_tests(metafunc):
    """Of the two ways in, one is enough for what is in ``ONE_WAY``."""
    if "way" in metafunc.fixturenames:
        ways = ["wire"] if metafunc.module.__name__.rpartition(".")[2] in ONE_WAY else ["framework", "wire"]
        metafunc.parametrize("way", ways, indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """What no HTTP parser lets through can be sent to the framework alone."""
    gone = [
        item
        for item in items
        if item.get_closest_marker("framework")
        and getattr(item, "callspec", None)
        and item.callspec.params.get("way") != "framework"
    ]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session")
def in_memory(request):
    """A context manager: meanwhile a server without a folder has a ledger of the engine that is tested."""
    if os.environ.get(ENGINE, "sqlite") == "sqlite":
        return nullcontext

    from dibs.ledger.postgres.ledger import Ledger
    from support.ledgers import owned

    ledgers = request.getfixturevalue("quick_ledgers")

    @contextmanager
    def in_memory():
        lent = []

        def opened(data):
            if data != ":memory:":
                return open_ledger(data)
            lent.append(ledgers.lend())
            return owned(Ledger(lent[-1]))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(queues, "open_ledger", opened)
            yield
        for url in lent:
            ledgers.take_back(url)

    return in_memory


@pytest.fixture(scope="session")
def open_house(way, in_memory):
    """A context manager: an application with these settings."""

    @contextmanager
    def open_house(**settings):
        app = create_app(Settings(**{"data": ":memory:", **settings}))
        with in_memory(), House(app, way) as house:
            yield house

    return open_house


@pytest.fixture(scope="session")
def house_class():
    return House


@pytest.fixture(scope="session")
def wire_module():
    return wires


@pytest.fixture
def make(open_house):
    """A function that gives an application with these settings, closed after the test."""
    with ExitStack() as opened:
        yield lambda **settings: opened.enter_context(open_house(**settings))


@pytest.fixture
def house(make):
    """The application as it is without settings, in memory."""
    return make()


@pytest.fixture
def ask(house):
    return house.ask


@pytest.fixture
def refused(house):
    """A function that asks, and checks that it is refused, how, and that nothing was spent."""

    def refused(method, url, status, name, *, house=house, **options):
        before = house.counters()
        answer = house.ask(method, url, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["type"] == f"urn:dibs:problem:{name}"
        assert problem["status"] == status
        assert problem["handed_out"] == "no"
        assert house.counters() == before
        return answer

    return refused

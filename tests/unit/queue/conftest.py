"""Queues whose disk and sources do what a test tells them to; each asynchronous test has its own loop."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dibs.ledger.clock import LedgerClock, elapsed
from dibs.ledger.ops import CommitFailed
from dibs.ledger.serve import Applied, Ask, Key, Keyed
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.queue import Answer, LeaseAsk, Limits, Queue, Queues, asking
from dibs.sources import Registry, SourceSpec, parse_source
from support.door import PATIENCE, Door


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an asynchronous test."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


class Clock:
    """The time of an event loop and of a ledger, of which a test can let much pass at once."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def skip(self, seconds: float) -> None:
        self._ahead += seconds

    def tell(self, loop: asyncio.AbstractEventLoop) -> None:
        """Its timers follow this clock from here on."""
        real = type(loop).time
        loop.time = lambda: real(loop) + self._ahead  # type: ignore[method-assign]

    def ledger(self, persisted: int) -> LedgerClock:
        return LedgerClock(persisted, monotonic=lambda: elapsed() + int(self._ahead * 1e9))


class Disk:
    """A real ledger behind a disk that fails on demand.

    ``faults`` are for the next commits: ``absent`` or ``present`` (it fails, and is not or is there), or
    ``full``; after these, ``fault`` is asked. ``repairs`` are what the next reopenings raise.
    """

    def __init__(self, data: Path | None, clock: Clock) -> None:
        self._engine = SqliteEngine(data, clock=clock.ledger)
        self.faults: deque[Any] = deque()
        self.fault: Callable[[Sequence[Any]], str | None] = lambda ops: None
        self.repairs: deque[Exception | None] = deque()
        self.rooms: deque[Exception | None] = deque()
        self.door, self.repair_door = Door(), Door()
        self.batches: list[list[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def apply(self, ops: Sequence[Any]) -> Applied:
        self.door.pass_()
        fault = self.faults.popleft() if self.faults else self.fault(ops)
        if fault in ("absent", "full"):
            raise CommitFailed("EIO", Applied((), {}, 0, -1), full=fault == "full")
        applied = self._engine.apply(ops)
        self.batches.append(list(ops))
        if fault == "present":
            raise CommitFailed("EIO", applied)
        return applied

    def reserve(self) -> None:
        error = self.rooms.popleft() if self.rooms else None
        if error is not None:
            raise error

    def reopen(self) -> None:
        self.repair_door.pass_()
        error = self.repairs.popleft() if self.repairs else None
        if error is not None:
            self._engine.files.disconnect()  # as in a reopening that fails: nothing is read meanwhile
            raise error
        self._engine.reopen()

    def ops(self, kind: type) -> list[Any]:
        """All of a kind that are on disk, in order."""
        ops = [op.op if isinstance(op, Keyed) else op for batch in self.batches for op in batch]
        return [op for op in ops if isinstance(op, kind)]


class Script:
    """What a source of the test's own does. Its door is passed before each value and before the end."""

    def __init__(self, values: Sequence[Any] = range(1, 1_000_000)) -> None:
        self.values = values
        self.errors: dict[int, BaseException] = {}  # by seq
        self.door, self.start_door = Door(), Door()
        self.openings = 0
        self.pulls = 0
        self.closed = 0
        self.last_words: BaseException | None = None

    def play(self, first: int = 1) -> Iterator[Any]:
        self.openings += 1
        self.start_door.pass_()
        try:
            for seq, value in enumerate(self.values[first - 1 :], first):
                self.door.pass_()
                self.pulls += 1
                if seq in self.errors:
                    raise self.errors[seq]
                yield value
            self.door.pass_()
        finally:
            self.closed += 1
            if self.last_words is not None:
                raise self.last_words


class Stage:
    """Scripts by name, as sources: ``replayed`` from their start or ``resumed`` at a seq after a restart."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}

    def script(self, name: str = "s", values: Sequence[Any] = range(1, 1_000_000)) -> Script:
        self.scripts[name] = Script(values)
        return self.scripts[name]

    def spec(self, name: str = "s", *, resumed: bool = False) -> SourceSpec:
        return SourceSpec("staged:resumed" if resumed else "staged:replayed", {"name": name})

    def module(self) -> ModuleType:
        module = ModuleType("staged")

        def replayed(name: str) -> Iterator[Any]:
            return self.scripts[name].play()

        def resumed(name: str, resume_at: int) -> Iterator[Any]:
            return self.scripts[name].play(resume_at)

        module.replayed, module.resumed = replayed, resumed
        return module


@pytest.fixture
def stage(monkeypatch) -> Iterator[Stage]:
    stage = Stage()
    monkeypatch.setitem(sys.modules, "staged", stage.module())
    yield stage
    for script in stage.scripts.values():
        script.door.open()
        script.start_door.open()


@pytest.fixture
def script(stage) -> Script:
    """The script of the source ``s``: 1, 2, 3…"""
    return stage.script("s")


class Asker:
    """One queue, and short ways to ask it; keys are texts. The rest is as the queue's parts have it."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.line = queue, queue.line

    def __getattr__(self, name: str) -> Any:
        for part in (self.queue.operations, self.queue.producer, self.queue.browser, self.line):
            if hasattr(part, name):
                return _with_key(getattr(part, name))
        raise AttributeError(name)

    async def ask(self, ask: Ask, wait: float = 0.0) -> Answer | None:
        """The answer, or None where there is nothing in it."""
        answer = await self.queue.asked(ask, wait)
        return answer if answer.size or answer.entries else None

    async def take(self, count: int = 1, *, wait: float = 0.0, key: str | None = None) -> Answer | None:
        return await self.ask(asking.take(count, self.line.limits, keyed(key)), wait)

    async def block(self, size: int, *, key: str | None = None) -> Answer:
        self.queue.check_arithmetic()
        return await self.queue.asked(asking.block(size, self.line.limits, keyed(key)))

    async def lease(self, ask: LeaseAsk, *, key: str | None = None) -> Answer | None:
        return await self.ask(self._work((), ask, key, asking.lease_digest(ask)), ask.wait)

    async def settle(
        self, entries: tuple[Any, ...], *, lease: LeaseAsk | None = None, key: str | None = None
    ) -> Answer:
        settling = self._work(entries, lease, key, asking.settle_digest(entries, lease))
        return await self.queue.asked(settling, lease.wait if lease else 0.0)

    def _work(self, entries: tuple[Any, ...], lease: LeaseAsk | None, key: str | None, digest: str) -> Ask:
        limits, token = self.line.limits, self.line.tokens.new
        return asking.work(entries, lease, limits, token, key=keyed(key), digest=digest)


def keyed(key: str | Key | None) -> Key | None:
    """A key as requests have it, of its text."""
    return Key(key, "") if isinstance(key, str) else key


def _with_key(function: Any) -> Any:
    if not inspect.iscoroutinefunction(function):
        return function

    def called(*args: Any, **named: Any) -> Any:
        if "key" in named:
            named["key"] = keyed(named["key"])
        return function(*args, **named)

    return called


class House:
    """Queues that are open, and the disk below them."""

    def __init__(self, queues: Queues, disk: Disk) -> None:
        self.queues, self.disk = queues, disk

    def __getitem__(self, name: str) -> Any:
        return Asker(self.queues.get(name))

    @property
    def in_line(self) -> int:
        """Ops and asks that go into the next batch."""
        lines = [queue.line for queue in self.queues.list()]
        return len(self.queues.rounds._others) + sum(len(line.upcoming) for line in lines)


Opened = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(monkeypatch, clock) -> Opened:
    """``async with opened({"q": "count()"}) as house``; in memory, or in the folder ``data``.

    Sources are open from the start on, unless a test keeps one from it and says ``start_patience=0``.
    """

    @asynccontextmanager
    async def opened(
        define: dict[str, str | SourceSpec] | None = None,
        *,
        data: Path | None = None,
        sources: Registry | None = None,
        root: Path | None = None,
        disk: Callable[[Disk], None] = lambda disk: None,
        start_patience: float = PATIENCE,
        **limits: Any,
    ) -> AsyncIterator[House]:
        for module in ("loading", "definitions"):
            monkeypatch.setattr(f"dibs.queue.{module}.START_PATIENCE", start_patience)
        monkeypatch.setattr("dibs.queue.rounds.GRACE", 1_000.0)  # a busy machine is no silent disk
        clock.tell(asyncio.get_running_loop())
        below = Disk(data, clock)
        disk(below)
        monkeypatch.setattr("dibs.queue.queues.open_ledger", lambda _: below)
        specs = {
            name: parse_source(spec) if isinstance(spec, str) else spec
            for name, spec in (define or {}).items()
        }
        queues = await Queues.open(
            data or ":memory:",
            define=specs,
            sources=sources,
            limits=Limits().model_copy(update={"commit_patience": 1_000.0} | limits),  # no skip comes there
            root=root,
        )
        try:
            yield House(queues, below)
        finally:
            for door in (below.door, below.repair_door):
                door.open()
            await queues.close()

    return opened


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Any]:
    """Until a condition holds that no door can tell: the loop turns meanwhile, the clock doesn't matter."""

    async def eventually(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  # what threads do sets no asyncio.Event
                await asyncio.sleep(0)

    return eventually


@pytest.fixture
def soon() -> Callable[..., asyncio.Task[Any]]:
    """Start a coroutine, and let it come to its first wait."""

    async def soon(coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        return task

    return soon

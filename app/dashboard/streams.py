"""The live streams of the page: each view is made once a second, however many tabs watch it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from ..errors import LedgerError
from ..queue.statistics import Sees, everything
from .detail import Detail
from .overview import Overview
from .recorder import Recorder, rate
from .rows import dumps
from .slices import Slices
from .steps import SPANS
from .witness import Witness

if TYPE_CHECKING:
    from ..access.caller import Caller
    from ..api.actions import Actions
    from ..config import Settings
    from ..queue import Queues
    from ..queue.stats import ClusterStats
    from .table import Table

SECOND: Final = 1.0
QUICK: Final = 0.25
"""Seconds between two pictures of the proof."""
QUIET: Final = 5.0
"""Seconds after which a stream says again what it said last."""
COUNT_EVERY: Final = 10_000
"""Milliseconds after which what is inside is read although nobody watches: so that deaths are noticed."""
STREAMS_MOST: Final = 256
NAMES_MOST: Final = 200
NAMES_EVERY: Final = 2_000
"""Milliseconds after which the names of queues are listed anew."""
ACTIONS_MOST: Final = 200

log = logging.getLogger("dibs.page")
Made = Callable[[int], Coroutine[Any, Any, Mapping[str, Any] | str | None]]
"""What makes a view, at an instant: as a mapping, or as JSON already; None where what is viewed has gone."""


class View:
    """One view that somebody watches: it is made at intervals, and each who watches gets the newest."""

    def __init__(self, name: str, make: Made, *, every: float, close: Callable[[], None]) -> None:
        self.name = name
        self.text = ""
        self.watchers: set[asyncio.Event] = set()
        self._make = make
        self._every = every
        self._close = close
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self._renew()
            self.wake()
            await asyncio.sleep(max(self._every - (loop.time() - began), self._every / 4))

    async def _renew(self) -> None:
        try:
            made = await self._make(now())
        except LedgerError as error:
            self.text = _event("beat", {"now": now(), "trouble": str(error)})
        except Exception:  # what is shown is no reason to end what is served
            log.exception("the view %s", self.name)
        else:
            self.text = _event("gone" if made is None else self.name, made or {"now": now()})

    def wake(self) -> None:
        """Tell those who watch that there is something new."""
        for watcher in self.watchers:
            watcher.set()

    def close(self) -> None:
        """Make nothing more: nobody watches."""
        self._task.cancel()
        self._close()


class Streams:
    """The views of one server, and the recorder behind them. Lives on the event loop.

    It owns the ``recorder``'s task and the views that are watched, by their queries. ``settings`` gives those
    in force, ``cluster`` the servers where several share the ledger.
    """

    def __init__(
        self,
        queues: Queues,
        actions: Actions,
        *,
        settings: Callable[[], Settings],
        cluster: Callable[[], ClusterStats | None] = lambda: None,
    ) -> None:
        self.recorder = Recorder(now())
        self._queues = queues
        self._actions = actions
        self._settings = settings
        self._overview = Overview(queues, self.recorder, old=lambda: settings().old, cluster=cluster)
        self._moved = queues.follow()
        self._views: dict[tuple[str, ...], View] = {}
        self._watchers = 0
        self._ended = False
        self._task = asyncio.get_running_loop().create_task(self._record())

    async def _record(self) -> None:
        while True:
            moved = self._moved.take()
            try:
                at = now()
                await self.recorder.look(self._queues.find, moved, at)
                self._overview.stale |= moved
                await self._overview.count(at, at_least=COUNT_EVERY)
            except Exception:
                log.exception("recording")
                self._moved.names |= moved
            # In the middle of each second, so that none is missed or looked at twice.
            await asyncio.sleep(SECOND - (time_ns() / 1e9 + 0.5) % 1)

    @property
    def full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return self._watchers >= STREAMS_MOST

    def end(self) -> None:
        """End all streams, as the server goes down."""
        self._ended = True
        self._task.cancel()
        self._moved.end()
        for view in self._views.values():
            view.close()
            view.wake()
        self._views.clear()

    # -- watching

    async def watch(
        self, query: Mapping[str, str], hello: Callable[[], Awaitable[Mapping[str, Any]]], caller: Caller
    ) -> AsyncIterator[str]:
        """The events of one tab: who it is to the server, then its view, again and again, until it goes.

        What it is to the server is told again after each change of the settings.
        """
        key, view = self._join(query, caller)
        news = asyncio.Event()
        self._watchers += 1
        view.watchers.add(news)
        try:
            settings = self._settings()
            yield _event("hello", await hello())
            if view.text:
                yield view.text
            while not self._ended:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), QUIET)
                news.clear()
                if self._settings() is not settings:
                    settings = self._settings()
                    yield _event("hello", await hello())
                yield view.text or _event("beat", {"now": now()})
        finally:
            self._watchers -= 1
            view.watchers.discard(news)
            if not view.watchers and self._views.get(key) is view:
                del self._views[key]
                view.close()

    def _join(self, query: Mapping[str, str], caller: Caller) -> tuple[tuple[str, ...], View]:
        """The view of a query; those who may look at the same queues have it together."""
        name = query.get("view", "overview")
        queue = query.get("queue", "")
        span = query.get("span", "15m")
        after = query.get("after", "0")
        whose = "" if "read" in caller.grants.everywhere else str(caller.grants)
        key = (name, queue, span, query.get("find", ""), query.get("state", ""), after, whose)
        view = self._views.get(key)
        if view is None:
            sees = partial(caller.sees, role="read") if whose else everything
            view = self._views[key] = self._made(name, queue, span if span in SPANS else "15m", query, sees)
        return key, view

    def _made(self, name: str, queue: str, span: str, query: Mapping[str, str], sees: Sees) -> View:
        if name in {"queue", "proof"} and not sees(queue):
            return View(name, _gone, every=SECOND, close=_nothing)
        if name == "queue":
            detail = Detail(self._queues, self.recorder, self._actions, queue, settings=self._settings)
            return View(name, lambda at: detail.shown(at, span), every=SECOND, close=_nothing)
        if name == "proof":
            proof = Proof(self._queues, self.recorder, queue, sees)
            return View(name, proof.shown, every=QUICK, close=proof.close)
        if name == "actions":
            return View(name, partial(self._all_actions, sees), every=SECOND, close=_nothing)
        asked = {name: query.get(name, "") for name in ("find", "state")}
        after = query.get("after", "0")
        begin = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0  # noqa: PLR2004

        table: Table | None = None

        async def overview(at: int) -> str:
            nonlocal table
            await self._overview.look(at)
            table = table or await self._overview.table(sees)
            return await self._overview.shown(
                at, table, find=asked["find"], state=asked["state"], after=begin
            )

        return View("overview", overview, every=SECOND, close=_nothing)

    async def _all_actions(self, sees: Sees, at: int) -> Mapping[str, Any]:
        return {"now": at, "actions": self._actions.of(None, ACTIONS_MOST, sees)}


class Proof:
    """The proof of one queue, while it is watched; a queue that is defined anew is watched anew."""

    def __init__(self, queues: Queues, recorder: Recorder, name: str, sees: Sees) -> None:
        self._queues = queues
        self._sees = sees
        self._recorder = recorder
        self._name = name
        self._witness: Witness | None = None
        self._names: Sequence[str] = ()
        self._named_at = 0

    async def _seen(self) -> Sequence[str]:
        """Some of the queues, for whoever wants to watch another one."""
        names, slices = {self._name}, Slices()
        for queue in list(self._queues.everyone):
            if len(names) > NAMES_MOST:
                break
            if self._sees(queue.name):
                names.add(queue.name)
            if slices.over:
                await slices.turn()
        return sorted(names)

    async def shown(self, at: int) -> Mapping[str, Any]:
        """The strip now."""
        queue = self._queues.find(self._name)
        if self._witness is not None and (queue is None or queue.line is not self._witness.line):
            self.close()
        if self._witness is None and queue is not None:
            self._witness = Witness(queue, at)
        if at - self._named_at > NAMES_EVERY:
            self._named_at = at
            self._names = await self._seen()
        witness, track = self._witness, self._recorder.tracks.get(self._name)
        empty = {"seqs": [], "clients": [], "seen": 0, "twice": 0, "missing": 0, "changes": 0}
        return {
            "now": at,
            "names": self._names,
            "since": at if witness is None else witness.since,
            "rate": rate(track.counts(at).out) if track is not None else 0,
            **(empty if witness is None else witness.shown()),
        }

    def close(self) -> None:
        """Note nothing more."""
        if self._witness is not None:
            self._witness.close()
            self._witness = None


async def _gone(at: int) -> None:
    """There is no such queue, for whoever asks."""


def _nothing() -> None:
    """Nothing is held."""


def _event(name: str, data: Mapping[str, Any] | str) -> str:
    text = data if isinstance(data, str) else dumps(data)
    return f"event: {name}\ndata: {text}\n\n"


def now() -> int:
    """The wall clock, in milliseconds."""
    return time_ns() // 1_000_000

"""For those who watch: statistics and health."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import FastAPI
from starlette.requests import Request

from ..queue.answers import QueueStats, Stats
from .house import House
from .operation import QUEUES, add
from .problems import RequestRefused
from .reply import Reply
from .schemas import Health
from .wire import answer


class Observe:
    """The operations that change nothing."""

    def __init__(self, house: House) -> None:
        self._house = house

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        add(app, "GET", "/stats", self.stats, answer=Stats, problems=())
        add(app, "GET", "/queues/{queue}/stats", self.queue_stats, answer=QueueStats, problems=QUEUES)
        add(app, "GET", "/healthz", self.healthz, answer=Health, problems=())
        add(app, "GET", "/readyz", self.readyz, answer=Health, problems=("not-ready",))

    async def stats(self, request: Request) -> Reply:
        """The server's statistics.

        Since the server started. Durations are in seconds, rates in items a second.
        """
        await self._house.bare(request)
        return answer(asdict(self._house.queues.stats()))

    async def queue_stats(self, request: Request) -> Reply:
        """A queue's statistics.

        Since the server started, except `cursor` and `taken`, which the ledger counts.
        """
        await self._house.bare(request)
        return answer(asdict(self._house.queue(request).stats()))

    async def healthz(self, request: Request) -> Reply:
        """Whether the process answers."""
        await self._house.bare(request)
        return answer({"status": "ok"})

    async def readyz(self, request: Request) -> Reply:
        """Whether the server can hand out.

        The ledger is open and its disk takes writes.
        """
        await self._house.bare(request)
        if not self._house.queues.ready:
            raise RequestRefused("not-ready", "the ledger is not open, or its disk fails")
        return answer({"status": "ok"})

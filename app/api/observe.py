"""The operations for monitoring: statistics and health."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request

from ..queue.answers import QueueStats, Stats
from .accept import negotiate
from .front import HEADERS
from .house import House
from .operation import QUEUES, Operation, add
from .params import PAGE_OF_QUEUES
from .problems import RequestRefused
from .reply import Reply
from .schemas import Health
from .wire import answer, dumps

STATS_A_STEP: Final = 25
"""Queues whose statistics are encoded before others have their turn."""


async def _text(stats: Stats) -> bytes:
    """As JSON, some queues at a time, for there may be a thousand."""
    fields = {name: value for name, value in asdict(replace(stats, queues=())).items() if name != "queues"}
    parts: list[str] = []
    for queue in stats.queues:
        parts.append(dumps(asdict(queue)))
        if len(parts) % STATS_A_STEP == 0:
            await asyncio.sleep(0)
    return f'{dumps(fields)[:-1]},"queues":[{",".join(parts)}]}}'.encode()


class Observe:
    """The operations that change nothing."""

    def __init__(self, house: House) -> None:
        self._house = house

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        add(
            app, "GET", "/stats", self.stats, answer=Stats, problems=("limit-exceeded",), query=PAGE_OF_QUEUES
        )
        add(app, "GET", "/queues/{queue}/stats", self.queue_stats, answer=QueueStats, problems=QUEUES)
        add(app, "GET", "/healthz", self.healthz, answer=Health, problems=())
        add(app, "GET", "/readyz", self.readyz, answer=Health, problems=("not-ready",))
        for path, endpoint in (("/healthz", self.healthz), ("/readyz", self.readyz)):
            head = Operation(path, endpoint, methods=["HEAD"], include_in_schema=False)
            app.router.routes.append(head)

    async def stats(self, request: Request) -> Reply:
        """The server's statistics.

        The statistics count from the start of the server, for all queues together and for a page of queues:
        `next` is the `after` of the next page. Durations are in seconds, rates in items per second.
        """
        page = PAGE_OF_QUEUES.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        stats = await self._house.queues.stats(page["after"] or "", page["limit"])
        return Reply(await _text(stats))

    async def queue_stats(self, request: Request) -> Reply:
        """A queue's statistics.

        The statistics count from the start of the server; the ledger keeps `cursor` and `taken` for ever.
        """
        await self._house.bare(request)
        return answer(asdict(self._house.queue(request).stats()))

    async def healthz(self, request: Request) -> Reply:
        """Say that the process answers."""
        await self._house.bare(request)
        return _ok(request)

    async def readyz(self, request: Request) -> Reply:
        """Say whether the server can hand out items.

        It can if the ledger is open, its files are still in the data folder, and its disk takes writes.
        """
        await self._house.bare(request)
        if not self._house.queues.ready:
            down = self._house.queues.down
            raise RequestRefused("not-ready", "the server is going down" if down is None else str(down))
        return _ok(request)


def _ok(request: Request) -> Reply:
    """HEAD has the headers of GET, and no body."""
    reply = answer({"status": "ok"})
    if request.method == "HEAD":
        reply.body = b""
    return reply

"""The operations for monitoring: statistics and health."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Final

from fastapi import FastAPI

from ...queue.stats import QueueStats, Stats
from ..context import Context
from ..openapi import Operations
from ..operation import QUEUES, Call, Operation, Spec
from ..problems import RequestRefused
from ..records import answer, dumps
from ..reply import Reply
from ..schemas import Health

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

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        add = Operations(app, self._context, "observe").add
        page = self._context.reader.queues_page
        add("GET", "/stats", self.stats, Spec(answer=Stats, problems=("limit-exceeded",), query=page))
        add("GET", "/queues/{queue}/stats", self.queue_stats, Spec(answer=QueueStats, problems=QUEUES))
        health, ready = Spec(answer=Health), Spec(answer=Health, problems=("not-ready",))
        for path, endpoint, spec in (("/healthz", self.healthz, health), ("/readyz", self.readyz, ready)):
            add("GET", path, endpoint, spec)
            head = Operation(path, endpoint, self._context, spec, methods=["HEAD"], include_in_schema=False)
            app.router.routes.append(head)

    async def stats(self, call: Call) -> Reply:
        """The server's statistics.

        The statistics count from the start of the server, for all queues together and for a page of queues:
        `next` is the `after` of the next page. Durations are in seconds, rates in items per second.
        """
        query = call.query
        return Reply(
            await _text(await self._context.queues.stats(query.get("after", ""), query.get("limit", 100)))
        )

    async def queue_stats(self, call: Call) -> Reply:
        """A queue's statistics.

        The statistics count from the start of the server; the ledger keeps `cursor` and `taken` for ever.
        """
        return answer(asdict(call.queue.browser.stats()))

    async def healthz(self, call: Call) -> Reply:
        """Say that the process answers."""
        return _ok(call)

    async def readyz(self, call: Call) -> Reply:
        """Say whether the server can hand out items.

        It can if the ledger is open, its files are still in the data folder, and its disk takes writes.
        """
        queues = self._context.queues
        if not queues.ready:
            raise RequestRefused(
                "not-ready", "the server is going down" if queues.down is None else str(queues.down)
            )
        return _ok(call)


def _ok(call: Call) -> Reply:
    """HEAD has the headers of GET, and no body."""
    reply = answer({"status": "ok"})
    if call.request.method == "HEAD":
        reply.body = b""
    return reply

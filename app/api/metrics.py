"""``/metrics``: what the server reads for Prometheus, and the path.

Each server of several answers for itself, since each is scraped by itself: the owner tells of the queues, and
all tell of their own process, their role and the cluster, also while nobody owns.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ..errors import DibsError, LedgerError
from .admission import HEADERS
from .plain import Plain

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from ..ledger.sights import Inside
    from ..queue import Queues
    from .context import Context

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def add_to(app: FastAPI, context: Context) -> None:
    """Add the path to the application."""

    async def metrics(request: Request) -> Response:
        if context.elsewhere and context.front is not None:
            if context.front_access is not None:
                caller = await context.front_access.admit(request.scope, request.scope[HEADERS])
                caller.check("read", "")
            told = await asyncio.to_thread(_text_of_front, context, ready=await _reaches(context))
        else:
            told = await asyncio.to_thread(_text, context, context.queues)
        return Response(told, media_type=TYPE)

    app.router.routes.append(Plain("/metrics", metrics, "read"))


async def _reaches(context: Context) -> bool:
    """Whether a front reaches an owner that is ready, as ``/readyz`` has it."""
    assert context.front is not None  # noqa: S101  # it was looked at
    try:
        said = await context.front.reach()
    except DibsError:
        return False
    return said.status == HTTPStatus.OK


def _text_of_front(context: Context, *, ready: bool) -> bytes:
    from .collector import ServerCollector, text  # a server that nobody monitors starts without it

    return text(ServerCollector(context.durations, ready=ready), *_cluster(context))


def _text(context: Context, queues: Queues) -> bytes:
    from .collector import Disk, QueuesCollector, ServerCollector, text

    inside, disk = _read(queues)
    of_queues = QueuesCollector(queues, inside, None if disk is None else Disk(*disk))
    return text(of_queues, ServerCollector(context.durations, ready=queues.ready), *_cluster(context))


def _cluster(context: Context) -> list[Collector]:
    """What tells of the cluster, where there is one."""
    if context.front is None:
        return []
    from .cluster_collector import ClusterCollector

    return [ClusterCollector(context.front, context.cluster())]


def _read(queues: Queues) -> tuple[Mapping[int, Inside], tuple[int, int] | None]:
    """What is inside, and the room on the disk; a ledger that can't be read has nothing to tell."""
    try:
        inside: Mapping[int, Inside] = queues.sights.inside()
    except LedgerError:
        inside = {}
    disk = None if queues.folder is None else shutil.disk_usage(queues.folder)
    return inside, None if disk is None else (disk.free, disk.total)

"""``/metrics``: what the server reads for Prometheus, and the path."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ..errors import LedgerError
from .plain import Plain

if TYPE_CHECKING:
    from ..ledger.sights import Inside
    from ..queue import Queues
    from .context import Context

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def add_to(app: FastAPI, context: Context) -> None:
    """Add the path to the application."""

    async def metrics(_: Request) -> Response:
        return Response(await asyncio.to_thread(_text, context), media_type=TYPE)

    app.router.routes.append(Plain("/metrics", metrics, "read"))


def _text(context: Context) -> bytes:
    from .collector import Disk, text  # a server that nobody monitors starts without it

    queues = context.queues
    inside, disk = _read(queues)
    return text(queues, context.durations, inside, None if disk is None else Disk(*disk))


def _read(queues: Queues) -> tuple[Mapping[int, Inside], tuple[int, int] | None]:
    """What is inside, and the room on the disk; a ledger that can't be read has nothing to tell."""
    try:
        inside: Mapping[int, Inside] = queues.sights.inside()
    except LedgerError:
        inside = {}
    disk = None if queues.folder is None else shutil.disk_usage(queues.folder)
    return inside, None if disk is None else (disk.free, disk.total)

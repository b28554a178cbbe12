"""Puts the parts together: settings → sources → queues → HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api.application import build
from app.api.house import House
from app.config import DEFAULT_QUEUE, Settings, version
from app.queue import Definition, Queues
from app.sources import Registry, SourceSpec


def create_app(settings: Settings) -> FastAPI:
    """The application, as any ASGI server runs it; its lifespan opens the ledger and closes it.

    ``app.state.house`` is what its operations share. What ``Queues.open`` raises comes from the lifespan.
    """
    registry = Registry(max_value_bytes=settings.limits.value_bytes)
    queues = settings.queues or {DEFAULT_QUEUE: Definition(SourceSpec("count"))}
    house = House(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        house.opened = await Queues.open(
            settings.data,
            sources=registry,
            limits=settings.limits.of_queues(),
            define=queues,
            root=settings.source_root,
        )
        try:
            yield
        finally:
            await house.opened.close()

    app = build(house, version=version(), lifespan=lifespan)
    app.state.house = house
    return app

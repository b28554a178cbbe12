"""Puts the parts together: settings → sources → queues → HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from .api.application import build
from .api.context import Context
from .config import DEFAULT_QUEUE, Settings, load, version
from .dashboard.page import Page
from .queue import Definition, Queues
from .sources import Registry, SourceSpec


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, as any ASGI server runs it; its lifespan opens the ledger and closes it.

    ``app.state.context`` is what its operations share. What ``Queues.open`` raises comes from the lifespan.

    Args:
        settings: What to serve. None reads ``dibs.toml`` and the environment, as ``dibs serve`` does.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = settings or load({})
    registry = Registry(max_value_bytes=settings.limits.value_bytes)
    queues = settings.queues or {DEFAULT_QUEUE: Definition(SourceSpec("count"))}
    context = Context(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        context.opened = await Queues.open(
            settings.data,
            sources=registry,
            limits=settings.limits,
            define=queues,
            root=settings.source_root,
        )
        page.start()
        try:
            yield
        finally:
            page.stop()
            await context.opened.close()

    app = build(context, version=version(), lifespan=lifespan)
    page = Page(context)
    page.add_to(app)
    app.state.context = context
    return app


def __getattr__(name: str) -> Any:
    """``app``, made when it is asked for: ``uvicorn dibs.main:app`` serves what the settings say."""
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

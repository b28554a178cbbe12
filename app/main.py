"""Puts the parts together: settings → sources → queues → HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from .api.application import build
from .api.context import Context
from .config import Settings, configured_queues, read, settings_of, version
from .config_layers import Layers
from .dashboard.page import Page
from .queue import Queues
from .sources import Registry


def create_app(settings: Settings | None = None, *, read: Callable[[], Layers] = read) -> FastAPI:
    """The application, as any ASGI server runs it; its lifespan opens the ledger and closes it.

    ``app.state.context`` is what its operations share. What ``Queues.open`` raises comes from the lifespan.

    Args:
        settings: What to serve; a reload is refused then. None takes what ``read`` gives.
        read: Reads the layers of the settings, again for each reload. By default ``dibs.toml`` and the
            environment, as ``dibs serve`` does without options.

    Raises:
        ConfigError: A setting is wrong.
    """
    layers = None
    if settings is None:
        layers = read()
        settings = settings_of(layers)
    context = Context(settings, read=read, layers=layers)
    settings, limits = context.settings, context.limits
    registry = Registry(max_value_bytes=limits.value_bytes)
    limits.follow(lambda: registry.bound(limits.value_bytes))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        context.opened = await Queues.open(
            settings.data,
            sources=registry,
            limits=limits,
            define=configured_queues(settings),
            root=settings.source_root,
        )
        try:
            context.callers.open(context.opened)
            await context.actions.begin(context.opened)
            page.start()
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

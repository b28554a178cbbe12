"""Puts the parts together: settings → sources → queues → HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from .api.application import build
from .api.context import Context
from .config import Settings, configured_queues, read, settings_of, version
from .config_layers import Layers
from .dashboard.page import Page
from .ledger.database import Database
from .queue import Queues
from .queue.ability import Ability
from .sources import Registry

if TYPE_CHECKING:
    from .api.member import Member
    from .ledger.terms import Ledgers, Term

Share = Callable[[Settings], "Ledgers"]
"""What gives a server its part in the ledger that several share, by its settings."""


def create_app(
    settings: Settings | None = None,
    *,
    read: Callable[[], Layers] = read,
    share: Share | None = None,
) -> FastAPI:
    """The application, as any ASGI server runs it; its lifespan opens the ledger and closes it.

    ``app.state.context`` is what its operations share. What ``Queues.open`` raises comes from the lifespan.

    Args:
        settings: What to serve; a reload is refused then. None takes what ``read`` gives.
        read: Reads the layers of the settings, again for each reload. By default ``dibs.toml`` and the
            environment, as ``dibs serve`` does without options.
        share: Gives the ledger that this server shares with others. By default a database is shared, and a
            folder is not.

    Raises:
        ConfigError: A setting is wrong.
    """
    layers = None
    if settings is None:
        layers = read()
        settings = settings_of(layers)
    context = Context(settings, read=read, layers=layers)
    limits = context.limits
    registry = Registry(max_value_bytes=limits.value_bytes)
    limits.follow(lambda: registry.bound(limits.value_bytes))
    if share is None and isinstance(settings.data, Database):
        share = partial(_shared, able=Ability(registry))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if member is None:
            assert not isinstance(settings.data, Database)  # noqa: S101  # it is shared
            options = _options(context, registry)
            await context.open(await Queues.open(settings.data, **options))
        else:
            await member.begin(socket.gethostname())
        try:
            yield
        finally:
            await (context.close() if member is None else member.end())

    app = build(context, version=version(), lifespan=lifespan)
    Page(context).add_to(app)
    member = None if share is None else _member(app, context, share(settings), registry)
    app.state.context = context
    return app


def _options(context: Context, registry: Registry) -> dict[str, Any]:
    """What the queues are opened with."""
    settings = context.settings
    return {
        "sources": registry,
        "limits": context.limits,
        "define": configured_queues(settings),
        "root": settings.source_root,
    }


def _member(app: FastAPI, context: Context, ledgers: Ledgers, registry: Registry) -> Member:
    """The part of this server in its cluster."""
    from .api.member import Member
    from .cluster.configurations import Configurations

    async def opened(term: Term) -> Queues:
        configurations = await Configurations.of(ledgers)
        define, beside = member.joining.at_takeover(configurations, term.engine.rows())
        options = _options(context, registry) | {"define": define, "beside": beside}
        options["notify"] = context.settings.inbox_notify
        queues = await Queues.over(term.engine, **options)
        try:
            await member.joining.took_over(configurations)
        except BaseException:
            await queues.close()
            raise
        return queues

    member = Member(app, context, ledgers, opened)
    return member


def _shared(settings: Settings, *, able: Ability) -> Ledgers:
    """The ledger in the database of the settings."""
    from .ledger.postgres.sharing import SharedLedger

    assert isinstance(settings.data, Database)  # noqa: S101  # a folder is not shared
    return SharedLedger(
        settings.data.url,
        version=version(),
        owner_timeout=settings.owner_timeout,
        adopt=settings.adopt,
        kept_bytes=settings.recover_bytes,
        able=able,
        warm=settings.warm_copy,
    )


def __getattr__(name: str) -> Any:
    """``app``, made when it is asked for: ``uvicorn dibs.main:app`` serves what the settings say."""
    if name == "app":
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

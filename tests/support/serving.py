"""An application behind its real protocol, in this process: what `dibs serve` would listen with."""

from functools import partial

import uvicorn
from dibs.api.lane.connection import Connection


def server_of(app, lane, **options):
    """Uvicorn's server of an application; whoever asks for it runs the lifespan, and starts it."""
    config = uvicorn.Config(
        app,
        http=partial(Connection, lane),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
        **options,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def cut(server):
    """Break all connections, as a server does that is killed."""
    for connection in list(server.server_state.connections):
        connection.transport.abort()


def vanish(server):
    """Listen no more, and break all connections."""
    for each in server.servers:
        each.close()
    cut(server)

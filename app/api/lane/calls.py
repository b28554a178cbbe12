"""The hot calls: what each says, by the reader of both doors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .. import bodies
from ..operations.produce import push_reply
from ..requests import SETTLES
from .heads import Head, Route

if TYPE_CHECKING:
    from ...ledger.serve import Key
    from ...queue import Queue
    from ..context import Context
    from ..requests import Request
    from .responses import Responses


class Calls:
    """Makes a hot call of a request that is here whole."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> dict[str, Route]:
        """All hot calls, by the last part of their paths."""
        limits, reader = self._context.limits, self._context.reader
        items = max(limits.items_bytes, limits.body_bytes)
        small = min(limits.body_bytes, bodies.LARGE)
        routes = {
            "next": Route(reader.take_query, fixed=reader.take, text=True),
            "block": Route(reader.block_query, fixed=reader.block),
            "lease": Route(reader.no_query, read=reader.leasing, limit=small, optional=True),
            "items": Route(reader.no_query, limit=items),
        }
        for verb in SETTLES:
            limit = items if verb == "settle" else limits.body_bytes
            routes[verb] = Route(reader.no_query, read=partial(reader.settling, verb), limit=limit)
        return routes

    def call(self, client: Responses, head: Head, key: Key | None, body: bytes) -> None:
        """Ask a queue for what the request says; the client is answered or refused."""
        try:
            queues = self._context.opened or self._context.queues
            queue = queues.get(head.queue, keyed=key is not None)
            request, read = head.request, head.route.read
            if request is not None:
                if request.how == "block":
                    request = request.block_of(queue)
                if key is not None:
                    request = request.keyed(key)
            elif read is None:
                client.run(self._push(client, queue, key, body))
                return
            elif len(body) > bodies.LARGE:
                client.run(self._ask_apart(client, queue, lambda text: read(text, key), body))
                return
            else:
                request = read(body, key)
            client.ask(queue, request)
        except Exception as error:
            client.fail(error)

    async def _ask_apart(
        self, client: Responses, queue: Queue, read: Callable[[bytes], Request], body: bytes
    ) -> None:
        client.ask(queue, await bodies.apart(read, body))

    async def _push(self, client: Responses, queue: Queue, key: Key | None, body: bytes) -> None:
        parcels = await bodies.apart(self._context.reader.push.parse, body)
        client.respond(await push_reply(queue, parcels, key))

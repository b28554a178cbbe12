"""The operations for taking items: ``/next``, ``/queues/{queue}/next``, ``/queues/{queue}/block``."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..config import DEFAULT_QUEUE
from ..queue import Queue
from ..queue.answers import Taken
from . import handout
from .accept import TEXT, Type, negotiate
from .connected import while_connected
from .front import HEADERS
from .guards import check_get
from .house import House
from .operation import LEDGER, QUEUES, add
from .params import Query, Seconds, Whole
from .problems import RequestRefused
from .reply import NoContent, Reply
from .schemas import TakenBlock, TakenMany, TakenOne
from .wire import answer, block_fields

HAND_OUT: Final = (*QUEUES, *LEDGER, "source-failed", "exhausted", "paused", "starting", "source-busy")
_ANSWERS: Final[dict[int, dict[str, Any]]] = {
    200: {
        "description": "The items are handed out for good, on disk: one item, or with `count` a list.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "1\n",
            }
        },
    },
    204: {"description": "The queue is empty now, but more items may come."},
}


class Consume:
    """The operations that hand out items for good."""

    def __init__(self, house: House) -> None:
        limits = house.limits
        self._house = house
        self.take_query = Query(
            Whole("count", 1, limits.count, "The most items to take; with it, the answer is a list."),
            Seconds(
                "wait", limits.wait, "How many seconds to wait while the queue has nothing to hand out.", 0.0
            ),
        )
        self.block_query = Query(
            Whole("size", 1, limits.block, "The most numbers of the block.", required=True)
        )

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        common: dict[str, Any] = {
            "answer": TakenOne | TakenMany,
            "query": self.take_query,
            "key": True,
            "more": _ANSWERS,
        }
        over_get = {**common, "problems": (*HAND_OUT, "method-not-allowed")}
        add(app, "POST", "/next", self.next, problems=HAND_OUT, **common)
        add(app, "POST", "/queues/{queue}/next", self.queue_next, problems=HAND_OUT, **common)
        add(app, "GET", "/next", self.get_next, **over_get)
        add(app, "GET", "/queues/{queue}/next", self.get_queue_next, **over_get)
        add(
            app,
            "POST",
            "/queues/{queue}/block",
            self.block,
            answer=TakenBlock,
            problems=(*HAND_OUT, "not-arithmetic"),
            query=self.block_query,
            key=True,
        )

    async def next(self, request: Request) -> Reply:
        """Take from the default queue.

        The server hands out the next item, or up to `count` items, for good: the hand-out is on disk before
        the answer is sent, and no other caller gets these items. `Accept: text/plain` gives one value per
        line. A caller that must not lose an item if it crashes leases it and acks it instead.
        """
        return await self._hand_out(request, self._house.queues.get(DEFAULT_QUEUE))

    async def queue_next(self, request: Request) -> Reply:
        """Take from a queue.

        It works as `/next` does, with the queue that the path names.
        """
        return await self._hand_out(request, self._house.queue(request))

    async def get_next(self, request: Request) -> Reply:
        """Take from the default queue, over GET.

        It works as POST does, for browsers and plain curl. Prefetches and the pages of other sites are
        refused (403), the setting `allow_get` turns GET off (405), and HEAD hands out nothing (405).
        """
        self._check_get(request, self._house.settings.allow_get is not False)
        return await self._hand_out(request, self._house.queues.get(DEFAULT_QUEUE))

    async def get_queue_next(self, request: Request) -> Reply:
        """Take from a queue, over GET.

        It works as `GET /next` does, with the queue that the path names, if the setting `allow_get` is `all`.
        Otherwise the answer is 405, so that the preview of a link does not spend an invoice number.
        """
        self._check_get(request, self._house.settings.allow_get == "all")
        return await self._hand_out(request, self._house.queue(request))

    async def block(self, request: Request) -> Reply:
        """Take a block of numbers.

        The answer has the bounds of up to `size` consecutive numbers of a queue that counts, for clients that
        give out the numbers of a block themselves. A million numbers cost as much as one.
        """
        house = self._house
        queue = house.queue(request)
        size = self.block_query.parse(request.scope["query_string"])["size"]
        await house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        return await block_reply(queue, size, house.key(request))

    @staticmethod
    def _check_get(request: Request, allowed: bool) -> None:
        if not allowed:
            raise RequestRefused(
                "method-not-allowed",
                "the setting allow_get hands out nothing over GET here; POST does the same",
                headers=[(b"allow", b"POST")],
            )
        check_get(request.scope[HEADERS])

    async def _hand_out(self, request: Request, queue: Queue) -> Reply:
        """Check the whole request before asking the queue, so that a refused request has spent nothing."""
        scope = request.scope
        headers = scope[HEADERS]
        asked = self.take_query.parse(scope["query_string"])
        kind = negotiate(headers.get(b"accept"), text=True)
        key = self._house.key(request)
        await self._house.bodiless(request)
        count: int | None = asked["count"]
        if asked["wait"]:
            taking = queue.take(count or 1, wait=asked["wait"], key=key)
            taken = await while_connected(request, taking)
        else:
            taken = await queue.take(count or 1, key=key)
        return taken_reply(taken, count, kind)


async def block_reply(queue: Queue, size: int, key: str | None) -> Reply:
    """Take a block of numbers and make the answer with its bounds."""
    block = await queue.block(size, key=key)
    return answer(block_fields(block), replayed=block.replayed)


def taken_reply(taken: Taken | None, count: int | None, kind: Type) -> Reply:
    """The answer with the taken items in the form that the request asks for: one item, a list, or text."""
    if taken is None:
        return NoContent()
    if kind is TEXT:
        return handout.as_lines(taken)
    return handout.as_one(taken) if count is None else handout.as_list(taken)

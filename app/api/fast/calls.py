"""The hot calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import DibsError
from ...queue import Queue
from ...queue.answers import Values
from .. import bodies
from ..accept import JSON, TEXT
from ..consume import Consume, block_reply, taken_reply
from ..house import House
from ..lease import Work, lease_reply, settle_reply
from ..problems import reply_to
from ..produce import Produce, push_reply
from ..reply import Reply
from .heads import Head, Route
from .trades import Leaser, Settler, Shapes

if TYPE_CHECKING:
    from .answers import Answers


class Calls:
    """The function for each hot call, by the last part of its path."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._consume = Consume(house)
        self._work = Work(house)
        self._produce = Produce(house)
        self._shapes = Shapes(self._work)

    def routes(self) -> dict[str, Route]:
        """All hot calls."""
        limits = self._house.limits
        items = max(limits.items_bytes, limits.body_bytes)
        return {
            "next": Route(self.next, self._consume.take_query, text=True),
            "block": Route(self.block, self._consume.block_query),
            "lease": Route(self.lease, limit=min(limits.body_bytes, bodies.LARGE), optional=True),
            "settle": Route(self.settle, limit=items),
            "items": Route(self.items, limit=items),
        }

    def next(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Take items for good."""
        try:
            queue = self._house.queues.get(head.queue)
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        taker = _Taker(connection, queue, head, key)
        if head.text or head.query["wait"]:
            taker.alone()
        else:
            queue.gathering.take(taker)

    def block(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Take a block of numbers."""
        connection.run(self._block(head, key))

    async def _block(self, head: Head, key: str | None) -> Reply:
        return await block_reply(self._house.queues.get(head.queue), head.query["size"], key)

    def lease(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Lease items."""
        try:
            queue = self._house.queues.get(head.queue)
            ask = self._work.read.lease(bodies.fields_of(body, self._house.limits.members))
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        if key is None:
            queue.exchanging.trade(Leaser(connection, queue, ask))
        else:
            connection.run(lease_reply(queue, ask, key), wanted=ask.wait > 0)

    def settle(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Settle leased items, and lease the next ones."""
        if len(body) > bodies.LARGE:
            connection.run(self._settle_large(head, key, body))
            return
        usual = self._shapes.read(body) if key is None else None
        try:
            queue = self._house.queues.get(head.queue)
            if usual is not None:
                queue.exchanging.trade(Settler(connection, queue, *usual))
                return
            asked = self._work.settling(body)
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        connection.run(settle_reply(queue, asked, key), wanted=asked.waits)

    async def _settle_large(self, head: Head, key: str | None, body: bytes) -> Reply:
        queue = self._house.queues.get(head.queue)
        return await settle_reply(queue, await bodies.apart(self._work.settling, body), key)

    def items(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Push items."""
        connection.run(self._push(head, key, body))

    async def _push(self, head: Head, key: str | None, body: bytes) -> Reply:
        queue = self._house.queues.get(head.queue)
        return await push_reply(queue, await bodies.apart(self._produce.parcels, body), key)


class _Taker:
    """One take; see ``dibs.queue.gather``."""

    __slots__ = ("_connection", "_head", "_queue", "count", "key")

    def __init__(self, connection: Answers, queue: Queue, head: Head, key: str | None) -> None:
        self._connection = connection
        self._queue = queue
        self._head = head
        self.key = key
        self.count: int = head.query["count"] or 1

    @property
    def request(self) -> str:
        return f"take {self.count}"

    def handed(self, first: int, values: Values, state: str) -> None:
        name = self._queue.name
        if self._head.query["count"] is None:
            body = f'{{"queue":"{name}","seq":{first},"value":{values[0]}}}'
        else:
            pairs = zip(range(first, first + len(values)), values, strict=True)
            items = ",".join([f'{{"seq":{seq},"value":{value}}}' for seq, value in pairs])
            body = f'{{"queue":"{name}","state":"{state}","items":[{items}]}}'
        self._connection.answer(body.encode())

    def refused(self, error: DibsError) -> None:
        self._connection.reply(reply_to(error))

    def alone(self) -> None:
        wait = self._head.query["wait"]
        self._connection.run(self._ask(wait), wanted=bool(wait))

    async def _ask(self, wait: float) -> Reply:
        taken = await self._queue.take(self.count, wait=wait, key=self.key)
        return taken_reply(taken, self._head.query["count"], TEXT if self._head.text else JSON)

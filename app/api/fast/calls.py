"""The hot calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import DibsError
from ...queue import Queue
from ...queue.answers import LeaseAsk, Values
from .. import bodies
from ..accept import JSON, TEXT
from ..context import Context
from ..operations.consume import block_reply, lease_reply, settle_reply, taken_reply
from ..operations.produce import push_reply
from ..problems import reply_to
from ..reply import Reply
from .heads import Head, Route
from .trades import Leaser, Settler, Shapes

if TYPE_CHECKING:
    from .answers import Answers


class Calls:
    """The function for each hot call, by the last part of its path."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reader = context.reader
        self._shapes = Shapes(context.reader)

    def routes(self) -> dict[str, Route]:
        """All hot calls."""
        limits, reader = self._context.limits, self._reader
        items = max(limits.items_bytes, limits.body_bytes)
        return {
            "next": Route(self.next, reader.take_query, text=True),
            "block": Route(self.block, reader.block_query),
            "lease": Route(
                self.lease, reader.no_query, limit=min(limits.body_bytes, bodies.LARGE), optional=True
            ),
            "settle": Route(self.settle, reader.no_query, limit=items),
            "items": Route(self.items, reader.no_query, limit=items),
        }

    def next(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Take items for good."""
        try:
            queue = self._context.queues.get(head.queue)
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        taker = _Taker(connection, queue, head, key)
        if head.text or head.query.get("wait", 0.0):
            taker.alone()
        else:
            queue.gathering.take(taker)

    def block(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Take a block of numbers."""
        connection.run(self._block(head, key))

    async def _block(self, head: Head, key: str | None) -> Reply:
        return await block_reply(self._context.queues.get(head.queue), head.query["size"], key)

    def lease(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Lease items."""
        try:
            queue = self._context.queues.get(head.queue)
            ask = self._read_lease(body)
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        if key is None:
            queue.exchanging.trade(Leaser(connection, queue, ask))
        else:
            connection.run(lease_reply(queue, ask, key), wanted=ask.wait > 0)

    def _read_lease(self, body: bytes) -> LeaseAsk:
        lease = self._reader.lease
        return lease.read({}) if body.strip() in bodies.BLANK else lease.parse(body)

    def settle(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Settle leased items, and lease the next ones."""
        if len(body) > bodies.LARGE:
            connection.run(self._settle_large(head, key, body))
            return
        usual = self._shapes.read(body) if key is None else None
        try:
            queue = self._context.queues.get(head.queue)
            if usual is not None:
                queue.exchanging.trade(Settler(connection, queue, *usual))
                return
            asked = self._reader.settle.parse(body)
        except DibsError as error:
            connection.reply(reply_to(error))
            return
        connection.run(settle_reply(queue, asked, key), wanted=asked.waits)

    async def _settle_large(self, head: Head, key: str | None, body: bytes) -> Reply:
        queue = self._context.queues.get(head.queue)
        return await settle_reply(queue, await bodies.apart(self._reader.settle.parse, body), key)

    def items(self, connection: Answers, head: Head, key: str | None, body: bytes) -> None:
        """Push items."""
        connection.run(self._push(head, key, body))

    async def _push(self, head: Head, key: str | None, body: bytes) -> Reply:
        queue = self._context.queues.get(head.queue)
        return await push_reply(queue, await bodies.apart(self._reader.push.parse, body), key)


class _Taker:
    """One take; see ``dibs.queue.gather``."""

    __slots__ = ("_connection", "_head", "_queue", "count", "key")

    def __init__(self, connection: Answers, queue: Queue, head: Head, key: str | None) -> None:
        self._connection = connection
        self._queue = queue
        self._head = head
        self.key = key
        self.count: int = head.query.get("count") or 1

    @property
    def request(self) -> str:
        return f"take {self.count}"

    def handed(self, first: int, values: Values, state: str) -> None:
        name = self._queue.name
        if self._head.query.get("count") is None:
            body = f'{{"queue":"{name}","seq":{first},"value":{values[0]}}}'
        else:
            pairs = zip(range(first, first + len(values)), values, strict=True)
            items = ",".join([f'{{"seq":{seq},"value":{value}}}' for seq, value in pairs])
            body = f'{{"queue":"{name}","state":"{state}","items":[{items}]}}'
        self._connection.answer(body.encode())

    def refused(self, error: DibsError) -> None:
        self._connection.reply(reply_to(error))

    def alone(self) -> None:
        wait = self._head.query.get("wait", 0.0)
        self._connection.run(self._ask(wait), wanted=bool(wait))

    async def _ask(self, wait: float) -> Reply:
        taken = await self._queue.take(self.count, wait=wait, key=self.key)
        return taken_reply(taken, self._head.query.get("count"), TEXT if self._head.text else JSON)

"""The operations of consumers: take items for good, lease them, settle them, lease the next ones."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fastapi import FastAPI

from ...config import DEFAULT_QUEUE
from ...queue import Queue
from .. import schemas_work
from ..answers import reply
from ..connected import while_connected
from ..context import Context
from ..guards import check_get
from ..openapi import Operations
from ..operation import LEDGER, QUEUES, Call, Endpoint, Spec
from ..problems import RequestRefused
from ..reply import Reply
from ..requests import Request, Verb
from ..schemas import TakenBlock, TakenMany, TakenOne

HAND_OUT: Final = (*QUEUES, *LEDGER, "source-failed", "exhausted", "paused", "starting", "source-busy")
SETTLE: Final = (*QUEUES, *LEDGER, "value-refused")
_TAKEN: Final[dict[int, dict[str, Any]]] = {
    200: {
        "description": "The items are handed out for good, on disk: one item, or with `count` a list.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "1\n"}},
    },
    204: {"description": "The queue is empty now, but more items may come."},
}
_LEASED: Final[dict[int, dict[str, Any]]] = {
    204: {"description": "No item can be leased now, but more may come."}
}


class Consume:
    """The operations that hand items out, and settle what was leased."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        reader, one = self._context.reader, "/queues/{queue}"
        add = Operations(app, self._context, "consume").add
        take: dict[str, Any] = {"query": reader.take_query, "key": True, "text": True, "more": _TAKEN}
        post = Spec(answer=TakenOne | TakenMany, problems=HAND_OUT, **take)
        over_get = Spec(answer=TakenOne | TakenMany, problems=(*HAND_OUT, "method-not-allowed"), **take)
        add("POST", "/next", self.next, post)
        add("POST", f"{one}/next", self.queue_next, post)
        add("GET", "/next", self.get_next, over_get)
        add("GET", f"{one}/next", self.get_queue_next, over_get)
        block = Spec(
            answer=TakenBlock, problems=(*HAND_OUT, "not-arithmetic"), query=reader.block_query, key=True
        )
        add("POST", f"{one}/block", self.block, block)
        lease = Spec(
            answer=schemas_work.Lease,
            problems=HAND_OUT,
            body=reader.lease,
            hot=reader.leasing,
            optional=True,
            key=True,
            more=_LEASED,
        )
        add("POST", f"{one}/lease", self.lease, lease)
        settle = Spec(
            answer=schemas_work.Settled,
            problems=SETTLE,
            body=reader.settle,
            hot=partial(reader.settling, "settle"),
            large=True,
            key=True,
        )
        add("POST", f"{one}/settle", self.settle, settle)
        verbs: dict[Verb, Endpoint] = {
            "ack": self.ack,
            "nack": self.nack,
            "extend": self.extend,
            "release": self.release,
        }
        for verb, endpoint in verbs.items():
            spec = Spec(
                answer=schemas_work.Outcomes,
                problems=(*SETTLE, "stale-lease", *(("result-refused",) if verb == "ack" else ())),
                body=getattr(reader, verb),
                hot=partial(reader.settling, verb),
                key=True,
            )
            add("POST", f"{one}/{verb}", endpoint, spec)

    async def next(self, call: Call) -> Reply:
        """Take from the default queue.

        The server hands out the next item, or up to `count` items, for good: the hand-out is on disk before
        the answer is sent, and no other caller gets these items. `Accept: text/plain` gives one value per
        line. A caller that must not lose an item if it crashes leases it and acks it instead.
        """
        return await self._take(call, self._default(call))

    async def queue_next(self, call: Call) -> Reply:
        """Take from a queue.

        It works as `/next` does, with the queue that the path names.
        """
        return await self._take(call, call.queue)

    async def get_next(self, call: Call) -> Reply:
        """Take from the default queue, over GET.

        It works as POST does, for browsers and plain curl. Prefetches and the pages of other sites are
        refused (403), the setting `allow_get` turns GET off (405), and HEAD hands out nothing (405).
        """
        _check_get(call, self._context.settings.allow_get is not False)
        return await self._take(call, self._default(call))

    async def get_queue_next(self, call: Call) -> Reply:
        """Take from a queue, over GET.

        It works as `GET /next` does, with the queue that the path names, if the setting `allow_get` is `all`.
        Otherwise the answer is 405, so that the preview of a link does not spend an invoice number.
        """
        _check_get(call, self._context.settings.allow_get == "all")
        return await self._take(call, call.queue)

    async def block(self, call: Call) -> Reply:
        """Take a block of numbers.

        The answer has the bounds of up to `size` consecutive numbers of a queue that counts, for clients that
        give out the numbers of a block themselves. A million numbers cost as much as one.
        """
        request = self._context.reader.block(call.query).block_of(call.queue)
        return await _answer(call, call.queue, request)

    async def lease(self, call: Call) -> Reply:
        """Lease items.

        The server hands out up to `max` items until the lease ends. The holder shows the `token` of the
        answer to settle them: it acks items that are done, nacks items that failed, extends the lease of
        items that take longer, and releases items that it has not begun. Items that are not settled when the
        lease ends are handed out again, with `attempt` + 1.
        """
        return await _answer(call, call.queue, call.body)

    async def settle(self, call: Call) -> Reply:
        """Settle leased items, and lease the next.

        One transaction applies the acks, nacks, extends and releases, in this order, and then leases. An
        entry names a token, and means all its items or ranges of `seqs`. Stale items change nothing, and the
        rest of the request applies; an ack with `push` is all or nothing. The answer tells for each entry
        what became of its ranges.
        """
        return await _answer(call, call.queue, call.body)

    async def ack(self, call: Call) -> Reply:
        """Ack leased items.

        The items are done and leave the queue. With `push`, results go into other queues in the same
        transaction, even if those are full: all of it happens, or (409 `result-refused`) nothing.
        """
        return await _answer(call, call.queue, call.body)

    async def nack(self, call: Call) -> Reply:
        """Nack leased items.

        The items failed, and wait for the queue's back-off or for `delay` seconds. After the queue's
        `max_attempts`, or at once with `dead`, they are dead. The server keeps `error` in their history.
        """
        return await _answer(call, call.queue, call.body)

    async def extend(self, call: Call) -> Reply:
        """Extend a lease.

        The lease then ends `ttl` seconds from now, under the same token.
        """
        return await _answer(call, call.queue, call.body)

    async def release(self, call: Call) -> Reply:
        """Release leased items.

        The worker has not begun the items: they wait again at once, and the hand-out is not counted as an
        attempt.
        """
        return await _answer(call, call.queue, call.body)

    def _default(self, call: Call) -> Queue:
        return self._context.queues.get(DEFAULT_QUEUE, keyed=call.key is not None)

    async def _take(self, call: Call, queue: Queue) -> Reply:
        request = self._context.reader.take(call.query, call.kind)
        return await _answer(call, queue, request)


def _check_get(call: Call, allowed: bool) -> None:
    if not allowed:
        raise RequestRefused(
            "method-not-allowed",
            "the setting allow_get hands out nothing over GET here; POST does the same",
            headers=[(b"allow", b"POST")],
        )
    check_get(call.headers)


async def _answer(call: Call, queue: Queue, request: Request) -> Reply:
    """Ask the queue, and encode its answer. A client that goes away while it waits is no longer asked for."""
    ask = request.ask if call.key is None else request.keyed(call.key._replace(digest=request.digest))
    asking = queue.asked(ask, request.wait)
    answer = await (while_connected(call.request, asking) if request.wait else asking)
    return reply(request, answer)

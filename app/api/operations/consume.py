"""The operations of consumers: take items for good, lease them, settle them, lease the next ones."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from ...config import DEFAULT_QUEUE
from ...ledger.serve import Key
from ...ledger.work import Entry
from ...queue import Queue, asking
from ...queue.answers import Answer, LeaseAsk
from .. import handout, schemas_work
from ..accept import TEXT, Type
from ..connected import while_connected
from ..context import Context
from ..guards import check_get
from ..openapi import Operations
from ..operation import LEDGER, QUEUES, Call, Spec
from ..outcomes import as_one_outcome, as_settled
from ..problems import RequestRefused
from ..reply import NoContent, Reply
from ..requests import Settling
from ..schemas import TakenBlock, TakenMany, TakenOne
from ..wire import answer, block_fields

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
            optional=True,
            key=True,
            more=_LEASED,
        )
        add("POST", f"{one}/lease", self.lease, lease)
        settle = Spec(answer=schemas_work.Settled, problems=SETTLE, body=reader.settle, large=True, key=True)
        add("POST", f"{one}/settle", self.settle, settle)
        for operate, body in (
            (self.ack, reader.ack),
            (self.nack, reader.nack),
            (self.extend, reader.extend),
            (self.release, reader.release),
        ):
            problems = (*SETTLE, "stale-lease", *(("result-refused",) if operate == self.ack else ()))
            spec = Spec(answer=schemas_work.Outcomes, problems=problems, body=body, key=True)
            add("POST", f"{one}/{operate.__name__}", operate, spec)

    async def next(self, call: Call) -> Reply:
        """Take from the default queue.

        The server hands out the next item, or up to `count` items, for good: the hand-out is on disk before
        the answer is sent, and no other caller gets these items. `Accept: text/plain` gives one value per
        line. A caller that must not lose an item if it crashes leases it and acks it instead.
        """
        return await _take(call, self._context.queues.get(DEFAULT_QUEUE))

    async def queue_next(self, call: Call) -> Reply:
        """Take from a queue.

        It works as `/next` does, with the queue that the path names.
        """
        return await _take(call, call.queue)

    async def get_next(self, call: Call) -> Reply:
        """Take from the default queue, over GET.

        It works as POST does, for browsers and plain curl. Prefetches and the pages of other sites are
        refused (403), the setting `allow_get` turns GET off (405), and HEAD hands out nothing (405).
        """
        _check_get(call, self._context.settings.allow_get is not False)
        return await _take(call, self._context.queues.get(DEFAULT_QUEUE))

    async def get_queue_next(self, call: Call) -> Reply:
        """Take from a queue, over GET.

        It works as `GET /next` does, with the queue that the path names, if the setting `allow_get` is `all`.
        Otherwise the answer is 405, so that the preview of a link does not spend an invoice number.
        """
        _check_get(call, self._context.settings.allow_get == "all")
        return await _take(call, call.queue)

    async def block(self, call: Call) -> Reply:
        """Take a block of numbers.

        The answer has the bounds of up to `size` consecutive numbers of a queue that counts, for clients that
        give out the numbers of a block themselves. A million numbers cost as much as one.
        """
        return await block_reply(call.queue, call.query["size"], call.key)

    async def lease(self, call: Call) -> Reply:
        """Lease items.

        The server hands out up to `max` items until the lease ends. The holder shows the `token` of the
        answer to settle them: it acks items that are done, nacks items that failed, extends the lease of
        items that take longer, and releases items that it has not begun. Items that are not settled when the
        lease ends are handed out again, with `attempt` + 1.
        """
        asked: LeaseAsk = call.body
        leasing = lease_reply(call.queue, asked, call.key)
        return await (while_connected(call.request, leasing) if asked.wait else leasing)

    async def settle(self, call: Call) -> Reply:
        """Settle leased items, and lease the next.

        One transaction applies the acks, nacks, extends and releases, in this order, and then leases. An
        entry names a token, and means all its items or ranges of `seqs`. Stale items change nothing, and the
        rest of the request applies; an ack with `push` is all or nothing. The answer tells for each entry
        what became of its ranges.
        """
        asked: Settling = call.body
        settling = settle_reply(call.queue, asked, call.key)
        return await (while_connected(call.request, settling) if asked.waits else settling)

    async def ack(self, call: Call) -> Reply:
        """Ack leased items.

        The items are done and leave the queue. With `push`, results go into other queues in the same
        transaction, even if those are full: all of it happens, or (409 `result-refused`) nothing.
        """
        return await _settle_one(call)

    async def nack(self, call: Call) -> Reply:
        """Nack leased items.

        The items failed, and wait for the queue's back-off or for `delay` seconds. After the queue's
        `max_attempts`, or at once with `dead`, they are dead. The server keeps `error` in their history.
        """
        return await _settle_one(call)

    async def extend(self, call: Call) -> Reply:
        """Extend a lease.

        The lease then ends `ttl` seconds from now, under the same token.
        """
        return await _settle_one(call)

    async def release(self, call: Call) -> Reply:
        """Release leased items.

        The worker has not begun the items: they wait again at once, and the hand-out is not counted as an
        attempt.
        """
        return await _settle_one(call)


def _check_get(call: Call, allowed: bool) -> None:
    if not allowed:
        raise RequestRefused(
            "method-not-allowed",
            "the setting allow_get hands out nothing over GET here; POST does the same",
            headers=[(b"allow", b"POST")],
        )
    check_get(call.headers)


async def _take(call: Call, queue: Queue) -> Reply:
    count: int | None = call.query.get("count")
    wait: float = call.query.get("wait", 0.0)
    taking = queue.asked(asking.take(count or 1, queue.line.limits, call.key), wait)
    taken = await (while_connected(call.request, taking) if wait else taking)
    return taken_reply(taken, count, call.kind)


async def _settle_one(call: Call) -> Reply:
    entry: Entry = call.body
    return as_one_outcome(await _settled(call.queue, (entry,), None, call.key))


async def block_reply(queue: Queue, size: int, key: Key | None) -> Reply:
    """Take a block of numbers and make the answer with its bounds."""
    queue.line.check_arithmetic()
    block = await queue.asked(asking.block(size, queue.line.limits, key))
    if not block.size:
        return NoContent()
    return answer(block_fields(block, wide=queue.line.computing.wide), replayed=block.replayed)


def taken_reply(taken: Answer, count: int | None, kind: Type) -> Reply:
    """The answer with the taken items in the form that the request asks for: one item, a list, or text."""
    if not taken.size:
        return NoContent()
    if kind is TEXT:
        return handout.as_lines(taken)
    return handout.as_one(taken) if count is None else handout.as_list(taken)


async def lease_reply(queue: Queue, asked: LeaseAsk, key: Key | None) -> Reply:
    """Lease items and make the answer: 200 with the lease, or 204 from an empty queue."""
    ask = asking.lease(asked, queue.line.limits, queue.line.tokens.new, key)
    leased = await queue.asked(ask, asked.wait)
    return handout.as_lease(leased) if leased.size else NoContent()


async def settle_reply(queue: Queue, asked: Settling, key: Key | None) -> Reply:
    """Settle a request's entries and make the answer, with an outcome for each entry."""
    answered = await _settled(queue, asked.entries, asked.lease, key)
    return as_settled(answered, asked.entries, lease=asked.lease is not None)


async def _settled(
    queue: Queue, entries: tuple[Entry, ...], lease: LeaseAsk | None, key: Key | None
) -> Answer:
    ask = asking.settle(entries, lease, queue.line.limits, queue.line.tokens.new, key)
    return await queue.asked(ask, lease.wait if lease else 0.0)

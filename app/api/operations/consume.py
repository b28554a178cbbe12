"""The operations of consumers: take items for good, lease them, settle them, lease the next ones."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ...access.owned import owned
from ...config import DEFAULT_QUEUE
from ...queue import asking
from ..answers import encode, reply
from ..connected import while_connected
from ..guards import check_get
from ..models import Lease
from ..operation import Call, Endpoint, Operations, Spec
from ..problems import RequestRefused
from ..queries import Block, Take
from ..reply import Reply
from ..requests import Reader, Request
from ..signature import NEXT
from ..traces import NAME, carried, parent_of
from ..verbs import VERBS, SettleItems, Verb

consume: Final = Operations("consume")
HAND_OUT: Final = ("source-failed", "exhausted", "paused", "starting", "source-busy")
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
_TAKE: Final[dict[str, Any]] = {
    "role": "consume",
    "answer": "TakenOne | TakenMany",
    "query": Take,
    "fixed": Reader.take,
    "queue": DEFAULT_QUEUE,
    "key": True,
    "text": True,
    "more": _TAKEN,
}
_POST: Final = Spec(problems=HAND_OUT, **_TAKE)
_GET: Final = Spec(problems=(*HAND_OUT, "method-not-allowed"), **_TAKE)


def _settling(name: str, body: Any, answer: str, *problems: str) -> Spec:
    """What a settle takes, or one of its verbs alone."""
    read, problems = partial(Reader.settling, verb=name), ("value-refused", *problems)
    return Spec(
        role="consume",
        answer=answer,
        problems=problems,
        body=body,
        hot=read,
        large=name == "settle",
        key=True,
        traced=name in {"settle", "ack"},
    )


@consume.add("POST", NEXT, _POST)
async def next(call: Call) -> Reply:
    """Take from the default queue.

    The server hands out the next item, or up to `count` items, for good: the hand-out is on disk before
    the answer is sent, and no other caller gets these items. `Accept: text/plain` gives one value per
    line. A caller that must not lose an item if it crashes leases it and acks it instead.
    """
    return await _answer(call)


@consume.add("POST", "/queues/{queue}/next", _POST)
async def queue_next(call: Call) -> Reply:
    """Take from a queue.

    It works as `/next` does, with the queue that the path names.
    """
    return await _answer(call)


@consume.add("GET", NEXT, _GET)
async def get_next(call: Call) -> Reply:
    """Take from the default queue, over GET.

    It works as POST does, for browsers and plain curl. Prefetches and the pages of other sites are
    refused (403), the setting `allow_get` turns GET off (405), and HEAD hands out nothing (405).
    """
    _check_get(call, call.context.settings.allow_get is not False)
    return await _answer(call)


@consume.add("GET", "/queues/{queue}/next", _GET)
async def get_queue_next(call: Call) -> Reply:
    """Take from a queue, over GET.

    It works as `GET /next` does, with the queue that the path names, if the setting `allow_get` is `all`.
    Otherwise the answer is 405, so that the preview of a link does not spend an invoice number.
    """
    _check_get(call, call.context.settings.allow_get == "all")
    return await _answer(call)


_BLOCK: Final = Spec(
    role="consume",
    answer="TakenBlock",
    problems=(*HAND_OUT, "not-arithmetic"),
    query=Block,
    fixed=Reader.block,
    key=True,
)


@consume.add("POST", "/queues/{queue}/block", _BLOCK)
async def block(call: Call) -> Reply:
    """Take a block of numbers.

    The answer has the bounds of up to `size` consecutive numbers of a queue that counts, for clients that
    give out the numbers of a block themselves. A million numbers cost as much as one.
    """
    return await _answer(call)


_LEASE: Final = Spec(
    role="consume",
    answer="Lease",
    problems=HAND_OUT,
    body=Lease,
    hot=Reader.leasing,
    optional=True,
    key=True,
    more=_LEASED,
)


@consume.add("POST", "/queues/{queue}/lease", _LEASE)
async def lease(call: Call) -> Reply:
    """Lease items.

    The server hands out up to `max` items until the lease ends. The holder shows the `token` of the
    answer to settle them: it acks items that are done, nacks items that failed, extends the lease of
    items that take longer, and releases items that it has not begun. Items that are not settled when the
    lease ends are handed out again, with `attempt` + 1.
    """
    return await _answer(call)


@consume.add("POST", "/queues/{queue}/settle", _settling("settle", SettleItems, "Settled"))
async def settle(call: Call) -> Reply:
    """Settle leased items, and lease the next.

    One transaction applies the acks, nacks, extends and releases, in this order, and then leases. An
    entry names a token, and means all its items or ranges of `seqs`. Stale items change nothing, and the
    rest of the request applies; an ack with `push` is all or nothing, and its results keep the
    `traceparent` of the request. The answer tells for each entry what became of its ranges.
    """
    return await _answer(call)


def _alone(verb: Verb) -> Endpoint:
    """The operation of a verb alone."""

    async def settle_alone(call: Call) -> Reply:
        return await _answer(call)

    settle_alone.__name__, settle_alone.__doc__ = verb.name, verb.text
    return settle_alone


for _verb in VERBS:
    _spec = _settling(_verb.name, _verb.entry, "Outcomes", "stale-lease", *_verb.problems)
    consume.add("POST", f"/queues/{{queue}}/{_verb.name}", _spec)(_alone(_verb))


def _check_get(call: Call, allowed: bool) -> None:
    if not allowed:
        raise RequestRefused(
            "method-not-allowed",
            "the setting allow_get hands out nothing over GET here; POST does the same",
            headers=[(b"allow", b"POST")],
        )
    check_get(call.headers)


async def _answer(call: Call) -> Reply:
    """Ask the queue, and encode its answer. A client that goes away while it waits is no longer asked for."""
    request: Request = call.body.of(call.queue)
    if NAME in call.headers and (parent := parent_of(call.request.scope)) is not None:
        request = carried(request, parent)
    ask = owned(asking.keyed(request.ask, call.key, request.digest), call.caller)
    asked = call.queue.asked(ask, request.wait)
    answer = await (while_connected(call.request, asked) if request.wait else asked)
    return reply(request, answer, encode(request, answer))

"""The operations for producers: pushing, and which keys of items a queue knows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ...access.caller import Caller
from ...errors import DibsError, LimitExceeded
from ...ledger.serve import Key
from ...ledger.work import Parcel
from ...queue import Queue
from ...queue.answers import PushAnswer
from .. import bodies
from ..actions import counted
from ..guards import BROWSER
from ..models import PushItems
from ..ndjson import StreamReader
from ..operation import Call, Operations, Spec
from ..problems import RequestRefused, reply_to
from ..queries import KeysPage
from ..records import answer, push_text
from ..reply import REPLAYED, Reply
from ..requests import Reader
from ..traces import parent_of

produce: Final = Operations("produce")
PUSH: Final = ("value-refused", "queue-full", "source-fed", "closed", "conflict")
_STREAM: Final[dict[str, Any]] = {
    "schema": {"type": "string"},
    "example": '{"value": "a.png"}\n{"value": "b.png", "key": "b", "priority": 1}\n',
}
_PUSH: Final = Spec(
    role="produce",
    answer="Pushed | Streamed",
    status=201,
    problems=PUSH,
    body=PushItems,
    hot=Reader.pushing,
    large=True,
    stream=_STREAM,
    key=True,
    traced=True,
)


@produce.add("GET", "/queues/{queue}/keys", Spec(role="produce", answer="ItemKeys", query=KeysPage))
async def keys(call: Call) -> Reply:
    """List keys of items.

    The answer has the keys of items that the queue knows, with the seqs of the items, which may be done.
    Keys come in their order, a page at a time: `next` is the `after` of the next page.
    """
    page = call.query
    prefix, after, limit = page.get("prefix", ""), page.get("after", ""), page.get("limit", 100)
    found = await call.queue.browser.item_keys(prefix, after, limit)
    keys = [{"key": key, "seq": seq} for key, seq in found.keys]
    return answer({"queue": found.queue, "keys": keys, "next": found.next})


@produce.add("POST", "/queues/{queue}/items", _PUSH)
async def push(call: Call) -> Reply:
    """Push items.

    A JSON body is pushed whole or not at all. An item with a `key` is pushed once only: if it is sent
    again, the answer marks it as a `duplicate` and gives its seq. If more items would wait than the
    queue's `max_ready`, nothing is pushed (429).

    A body of type `application/x-ndjson` has one item per line and any number of lines; the server
    commits them in chunks while they arrive, of 1,000 items or 1 MiB. The first line that is refused ends
    the stream: everything before it is pushed, and the problem names the `line` and says how much that
    was. With an `Idempotency-Key` the same stream can be sent again after any failure: chunks that were
    pushed before are not pushed again. Items with keys can be sent again in any stream.

    The items keep the `traceparent` of the request, and whoever leases them is told it. They keep the name
    of the token, too: the answer about one item says who pushed it.
    """
    if bodies.is_stream(call.headers):
        return await _push_stream(call)
    parent, caller = parent_of(call.request.scope), call.caller.keys
    pushed = await call.queue.producer.push(call.body, key=call.key, parent=parent, caller=caller)
    if BROWSER in call.headers:
        await _note(call, pushed)
    return _reply(pushed)


async def _note(call: Call, pushed: PushAnswer) -> None:
    """Note what was pushed on the page, where an operator sits; what producers push is no action."""
    count = len(pushed.seqs) - len(pushed.known)
    if count and not pushed.replayed:
        what = f"pushed {counted(count, 'item')} to {call.name}"
        await call.note(call.name, what, f"{count} pushed")


async def _push_stream(call: Call) -> Reply:
    reader = StreamReader(call)
    try:
        await reader.read()
    except DibsError as error:
        return _problem(error, reader)
    return answer({"queue": call.name, **asdict(reader.sums)}, 201, replayed=reader.replayed)


async def push_reply(
    queue: Queue, parcels: tuple[Parcel, ...], key: Key | None, parent: str | None, caller: Caller
) -> Reply:
    """Push items, with the traceparent of the request, and make the answer, with the seq of each item."""
    return _reply(await queue.producer.push(parcels, key=key, parent=parent, caller=caller.keys))


def _reply(pushed: PushAnswer) -> Reply:
    return Reply(push_text(pushed).encode(), 201, headers=[REPLAYED] if pushed.replayed else None)


def _problem(error: DibsError, reader: StreamReader) -> Reply:
    """What ended a stream, at which line, and what is in; nobody reads what is still coming of it."""
    more = {"line": reader.line, **asdict(reader.sums)}
    if isinstance(error, RequestRefused | LimitExceeded):
        more["detail"] = f"line {reader.line}: {error}"
    reply = reply_to(error, **more)
    if not reader.ended:
        reply.raw_headers.append((b"connection", b"close"))
    return reply

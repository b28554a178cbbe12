"""The operations for looking after items: browse them, redrive dead ones, purge."""

from __future__ import annotations

from typing import Final

from ...access.roles import Role
from ...queue.answers import MovedAnswer
from ...quote import quoted
from ..actions import counted
from ..guards import BROWSER
from ..models_manage import STATES, Purge, Redrive
from ..operation import Call, Operations, Spec
from ..problems import invalid, over
from ..queries import DeadPage, HistoryPage, ItemsPage
from ..records import answer, dead_fields, fields, item_answer_text, page_text
from ..reply import Reply

items: Final = Operations("manage")
SEES: Final[tuple[Role, ...]] = ("consume", "operate", "admin")
"""The roles that see values although ``show_values`` is false: who may take items, or look after them."""
_ITEM: Final = Spec(role="read", answer="ItemAlone | ItemDone", problems=("item-unknown",))
_REDRIVE: Final = Spec(role="operate", answer="Redriven", body=Redrive, optional=True, key=True)


@items.add("GET", "/queues/{queue}/items", Spec(role="read", answer="ItemPage", query=ItemsPage))
async def list_items(call: Call) -> Reply:
    """List the items inside a queue.

    Items come in the order of their seqs, a page at a time: `next` is the `after` of the next page.
    Items that were taken or acked are no longer inside.
    """
    query = call.query
    state, after, limit = query.get("state"), query.get("after", 0), query.get("limit", 100)
    found = await call.queue.browser.page(state, after, limit)
    return Reply(page_text(found, hidden=_hides(call)).encode())


@items.add("GET", "/queues/{queue}/dead", Spec(role="read", answer="DeadLetters", query=DeadPage))
async def dead(call: Call) -> Reply:
    """List the dead letters, newest first.

    A page at a time: `next` is the `before` of the next page. `errors` counts the last errors of the 10,000
    newest by their first 200 characters.
    """
    query = call.query
    error, before, limit = query.get("error"), query.get("before"), query.get("limit", 100)
    return answer(dead_fields(await call.queue.browser.dead(error, before, limit)))


@items.add(
    "GET", "/queues/{queue}/history", Spec(role="read", answer="History", query=HistoryPage, known=False)
)
async def history(call: Call) -> Reply:
    """Show who took or acked which items.

    The history goes from oldest to newest, a page at a time: `next` is the `after` of the next page. With
    `before` it goes from newest to oldest, and `next` is the `before` of the next page: the largest number
    that JSON can carry, 9007199254740991, begins at the newest. With `seq` it is the history of one item.
    The server keeps a history if the queue's setting `history` asks for one; the history of a deleted queue
    can still be read.
    """
    query = call.query
    seq, after, before = query.get("seq"), query.get("after", 0), query.get("before")
    found = await call.context.queues.history(
        call.name, seq=seq, after=after, limit=query.get("limit", 100), before=before
    )
    rows = [fields(row, "id") for row in found.rows]
    return answer({"queue": found.queue, "history": rows, "next": found.next})


@items.add("GET", "/queues/{queue}/items/{seq}", _ITEM)
async def item(call: Call) -> Reply:
    """Show one item, with the history of its attempts.

    If the queue keeps a history, the answer for an item that is done says who took or acked it.
    """
    seq = call.context.reader.seq(call.request.path_params["seq"])
    return Reply(item_answer_text(await call.queue.browser.item(seq), hidden=_hides(call)).encode())


@items.add("POST", "/queues/{queue}/redrive", _REDRIVE)
async def redrive(call: Call) -> Reply:
    """Let dead items wait again.

    They begin again with attempt 0. The request can name `seqs`, or only the first `limit` items, or a
    `rate` at which the items become due; by default all dead items wait again at once. With `expect` nothing
    is redriven where it would be another number, and what dies meanwhile is left alone.
    """
    body: Redrive = call.body
    seqs, limit, rate = body.get("seqs"), body.get("limit"), body.get("rate")
    most = call.context.limits.ranges
    if len(seqs or ()) > most:
        raise over("seqs", f"a request names at most {most} ranges", most)
    operations, error, expect = call.queue.operations, body.get("error"), body.get("expect")
    moved = await operations.redrive(seqs, limit, rate, error=error, expect=expect, key=call.key)
    what = f"redrove {counted(moved.count, 'dead letter')} of {moved.queue}"
    what += "" if error is None else f" with the error {quoted(error)}"
    what += f" at {rate:g} a second" if rate else ""
    await _note(call, moved, what, "redriven")
    return answer({"queue": moved.queue, "redriven": moved.count}, replayed=moved.replayed)


@items.add("POST", "/queues/{queue}/purge", Spec(role="operate", answer="Purged", body=Purge, key=True))
async def purge(call: Call) -> Reply:
    """Drop items for good.

    The request drops waiting items, dead items, or both. `confirm` must be the queue's name. With `expect`
    nothing is dropped where more match than whoever asks has seen, and never more than these.
    """
    body: Purge = call.body
    if body["confirm"] != call.name:
        raise invalid("confirm", f"to drop items for good, say the queue's name here: {call.name}")
    states = body.get("states", STATES)
    if not states or len(set(states)) != len(states):
        raise invalid("states", f"it must name one or both of {', '.join(STATES)}, each once")
    named = tuple(state for state in STATES if state in states)
    moved = await call.queue.operations.purge(named, expect=body.get("expect"), key=call.key)
    which = f"{named[0]} item" if len(named) == 1 else "item"
    await _note(call, moved, f"purged {counted(moved.count, which)} of {moved.queue}", "purged")
    return answer({"queue": moved.queue, "purged": moved.count}, replayed=moved.replayed)


def _hides(call: Call) -> bool:
    """Whether values are hidden: from the page, and from those who may only look at the queue."""
    if call.context.settings.show_values:
        return False
    return BROWSER in call.headers or not any(call.caller.may(role, call.name) for role in SEES)


async def _note(call: Call, moved: MovedAnswer, what: str, brief: str) -> None:
    """Note an action; a replay did nothing."""
    if moved.count and not moved.replayed:
        await call.note(moved.queue, what, f"{moved.count} {brief}")

"""The operations for looking after items: browse them, redrive dead ones, purge."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from ..context import Context
from ..models_manage import STATES, Purge, Redrive
from ..openapi import Operations
from ..operation import LEDGER, QUEUES, Call, Spec
from ..problems import invalid
from ..records import answer, history_fields, item_answer_text, moved_fields, page_text
from ..reply import Reply
from ..schemas_items import History, ItemAlone, ItemDone, ItemPage, Purged, Redriven

CHANGES: Final = (*QUEUES, *LEDGER)


class Items:
    """The operations on the items of a queue."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        reader, one = self._context.reader, "/queues/{queue}"
        add = Operations(app, self._context, "manage").add
        change: dict[str, Any] = {"problems": CHANGES, "key": True}
        look = Spec(answer=ItemPage, problems=QUEUES, query=reader.items_page)
        add("GET", f"{one}/items", self.items, look)
        item = Spec(answer=ItemAlone | ItemDone, problems=(*QUEUES, "item-unknown"))
        add("GET", f"{one}/items/{{seq}}", self.item, item)
        history = Spec(answer=History, problems=QUEUES, query=reader.history_page, known=False)
        add("GET", f"{one}/history", self.history, history)
        redrive = Spec(answer=Redriven, body=reader.redrive, optional=True, **change)
        add("POST", f"{one}/redrive", self.redrive, redrive)
        add("POST", f"{one}/purge", self.purge, Spec(answer=Purged, body=reader.purge, **change))

    async def items(self, call: Call) -> Reply:
        """List the items inside a queue.

        Items come in the order of their seqs, a page at a time: `next` is the `after` of the next page.
        Items that were taken or acked are no longer inside.
        """
        query = call.query
        state, after, limit = query.get("state"), query.get("after", 0), query.get("limit", 100)
        found = await call.queue.browser.page(state, after, limit)
        return Reply(page_text(found).encode())

    async def history(self, call: Call) -> Reply:
        """Show who took or acked which items.

        The history goes from oldest to newest, a page at a time: `next` is the `after` of the next page. With
        `seq` it is the history of one item. The server keeps a history if the queue's setting `history` asks
        for one; the history of a deleted queue can still be read.
        """
        query = call.query
        found = await self._context.queues.history(
            call.name, seq=query.get("seq"), after=query.get("after", 0), limit=query.get("limit", 100)
        )
        rows = [history_fields(row) for row in found.rows]
        return answer({"queue": found.queue, "history": rows, "next": found.next})

    async def item(self, call: Call) -> Reply:
        """Show one item, with the history of its attempts.

        If the queue keeps a history, the answer for an item that is done says who took or acked it.
        """
        seq = self._context.reader.seq(call.request.path_params["seq"])
        return Reply(item_answer_text(await call.queue.browser.item(seq)).encode())

    async def redrive(self, call: Call) -> Reply:
        """Let dead items wait again.

        They begin again with attempt 0. The request can name `seqs`, or only the first `limit` items, or a
        `rate` at which the items become due; by default all dead items wait again at once.
        """
        body: Redrive = call.body
        seqs, limit, rate = body.get("seqs"), body.get("limit"), body.get("rate")
        moved = await call.queue.operations.redrive(seqs, limit, rate, key=call.key)
        return answer(moved_fields(moved, "redriven"), replayed=moved.replayed)

    async def purge(self, call: Call) -> Reply:
        """Drop items for good.

        The request drops waiting items, dead items, or both. `confirm` must be the queue's name.
        """
        body: Purge = call.body
        if body["confirm"] != call.name:
            raise invalid("confirm", f"to drop items for good, say the queue's name here: {call.name}")
        states = body.get("states", STATES)
        if not states or len(set(states)) != len(states):
            raise invalid("states", f"it must name one or both of {', '.join(STATES)}, each once")
        named = tuple(state for state in STATES if state in states)
        moved = await call.queue.operations.purge(named, key=call.key)
        return answer(moved_fields(moved, "purged"), replayed=moved.replayed)

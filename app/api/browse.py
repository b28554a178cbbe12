"""The operations for looking after items: browse them, redrive dead ones, purge."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

from fastapi import FastAPI
from starlette.requests import Request

from ..ledger.work import ItemState, Seqs
from ..queue import Queue
from ..sources.encode import MAX_SAFE
from . import bodies
from .accept import negotiate
from .front import HEADERS
from .house import House
from .operation import LEDGER, NO_PARAMETERS, QUEUES, add
from .params import Choice, Query, Whole, refuse
from .read import Members, check_known, items_of, number, over, ranges, whole
from .reply import Reply
from .schemas_items import History, ItemAlone, ItemDone, ItemPage, Purge, Purged, Redrive, Redriven
from .wire import answer, history_fields, item_answer_text, moved_fields, page_text

MAX_PAGE: Final = 1000
RATES: Final = (0.001, 100_000)
STATES: Final[tuple[ItemState, ...]] = ("waiting", "leased", "dead")
PURGED: Final[tuple[Literal["waiting", "dead"], ...]] = ("waiting", "dead")
CHANGES: Final = (*QUEUES, *LEDGER)


class Browse:
    """The operations on the items of a queue."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._page = Query(
            Choice("state", STATES, "Show only items in this state. Default: all items."),
            Whole("after", 0, MAX_SAFE, "Show the items whose seq is above this one.", 0),
            Whole("limit", 1, MAX_PAGE, "The most items of a page.", 100),
        )
        self._history = Query(
            Whole("seq", 1, MAX_SAFE, "Show only the history of this item."),
            Whole("after", 0, MAX_SAFE, "The `next` of the page before this one.", 0),
            Whole("limit", 1, MAX_PAGE, "The most ranges of a page.", 100),
        )

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        items = "/queues/{queue}/items"
        look: dict[str, Any] = {"tag": "manage"}
        change: dict[str, Any] = {"problems": CHANGES, "key": True, "tag": "manage"}
        add(app, "GET", items, self.items, answer=ItemPage, problems=QUEUES, query=self._page, **look)
        problems = (*QUEUES, "item-unknown")
        add(app, "GET", f"{items}/{{seq}}", self.item, answer=ItemAlone | ItemDone, problems=problems, **look)
        path = "/queues/{queue}/history"
        add(app, "GET", path, self.history, answer=History, problems=QUEUES, query=self._history, **look)
        path = "/queues/{queue}/redrive"
        add(app, "POST", path, self.redrive, answer=Redriven, body=Redrive, optional=True, **change)
        add(app, "POST", "/queues/{queue}/purge", self.purge, answer=Purged, body=Purge, **change)

    async def items(self, request: Request) -> Reply:
        """List the items inside a queue.

        Items come in the order of their seqs, a page at a time: `next` is the `after` of the next page.
        Items that were taken or acked are no longer inside.
        """
        queue = self._house.queue(request)
        page = self._page.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        found = await queue.page(page["state"], page["after"], page["limit"])
        return Reply(page_text(found).encode())

    async def history(self, request: Request) -> Reply:
        """Show who took or acked which items.

        The history goes from oldest to newest, a page at a time: `next` is the `after` of the next page. With
        `seq` it is the history of one item. The server keeps a history if the queue's setting `history` asks
        for one; the history of a deleted queue can still be read.
        """
        name = self._house.name(request)
        page = self._history.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        found = await self._house.queues.history(name, **page)
        rows = [history_fields(row) for row in found.rows]
        return answer({"queue": found.queue, "history": rows, "next": found.next})

    async def item(self, request: Request) -> Reply:
        """Show one item, with the history of its attempts.

        If the queue keeps a history, the answer for an item that is done says who took or acked it.
        """
        await self._house.bare(request)
        queue = self._house.queue(request)
        return Reply(item_answer_text(await queue.item(self._house.seq(request))).encode())

    async def redrive(self, request: Request) -> Reply:
        """Let dead items wait again.

        They begin again with attempt 0. The request can name `seqs`, or only the first `limit` items, or a
        `rate` at which the items become due; by default all dead items wait again at once.
        """
        queue, key = self._asked(request)
        limits = self._house.limits
        asked = await bodies.read_fields(request.receive, request.scope[HEADERS], limits, self._redrive)
        moved = await queue.redrive(*asked, key=key)
        return answer(moved_fields(moved, "redriven"), replayed=moved.replayed)

    async def purge(self, request: Request) -> Reply:
        """Drop items for good.

        The request drops waiting items, dead items, or both. `confirm` must be the queue's name.
        """
        queue, key = self._asked(request)
        limits, reader = self._house.limits, partial(_purge, queue.name)
        states = await bodies.read_object(request.receive, request.scope[HEADERS], limits, reader)
        moved = await queue.purge(states, key=key)
        return answer(moved_fields(moved, "purged"), replayed=moved.replayed)

    def _redrive(self, body: Members) -> tuple[Seqs | None, int | None, float | None]:
        check_known(body, frozenset(Redrive.model_fields), "")
        seqs = ranges(body["seqs"], "seqs") if "seqs" in body else None
        most = self._house.limits.ranges
        if seqs and len(seqs) > most:
            over("seqs", f"a request names at most {most} ranges", most)
        limit = whole(body["limit"], "limit", 1, MAX_SAFE) if "limit" in body else None
        rate = number(body["rate"], "rate", *RATES) if "rate" in body else None
        return seqs, limit, rate

    def _asked(self, request: Request) -> tuple[Queue, str | None]:
        queue = self._house.queue(request)
        NO_PARAMETERS.parse(request.scope["query_string"])
        negotiate(request.scope[HEADERS].get(b"accept"))
        return queue, self._house.key(request)


def _purge(name: str, body: Members) -> tuple[Literal["waiting", "dead"], ...]:
    """The states to purge; a body whose `confirm` is not the queue's name is refused."""
    check_known(body, frozenset(Purge.model_fields), "")
    if body.get("confirm") != name:
        refuse("confirm", f"to drop items for good, say the queue's name here: {name}")
    states = items_of(body.get("states", list(PURGED)), "states")
    known = tuple(state for state in PURGED if state in states)
    if not states or len(known) != len(states):
        refuse("states", f"it must name one or both of {', '.join(PURGED)}, each once")
    return known

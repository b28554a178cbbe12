"""The operations for workers: lease items, settle them, lease the next ones."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..queue import Queue
from ..queue.answers import LeaseAsk
from . import bodies, handout
from .accept import negotiate
from .connected import while_connected
from .entries import EntryReader, SettleBody
from .front import HEADERS
from .house import House
from .operation import LEDGER, NO_PARAMETERS, QUEUES, add
from .outcomes import as_one_outcome, as_settled
from .parcels import ItemReader
from .reply import NoContent, Reply
from .schemas_work import (
    AckItems,
    AskLease,
    ExtendItems,
    Lease,
    NackItems,
    Outcomes,
    ReleaseItems,
    Settled,
    SettleItems,
)

LEASE: Final = (*QUEUES, *LEDGER, "source-failed", "exhausted", "paused", "starting", "source-busy")
SETTLE: Final = (*QUEUES, *LEDGER, "value-refused")
_EMPTY: Final[dict[int, dict[str, Any]]] = {
    204: {"description": "No item can be leased now, but more may come."}
}


class Work:
    """The operations on leased items."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.read = EntryReader(house.limits, ItemReader(house.limits))

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        one = "/queues/{queue}"
        common: dict[str, Any] = {"key": True, "tag": "consume"}
        lease: dict[str, Any] = {
            "answer": Lease,
            "problems": LEASE,
            "body": AskLease,
            "optional": True,
            "more": _EMPTY,
        }
        add(app, "POST", f"{one}/lease", self.lease, **lease, **common)
        add(
            app,
            "POST",
            f"{one}/settle",
            self.settle,
            answer=Settled,
            problems=SETTLE,
            body=SettleItems,
            **common,
        )
        for operate, body in (
            (self.ack, AckItems),
            (self.nack, NackItems),
            (self.extend, ExtendItems),
            (self.release, ReleaseItems),
        ):
            problems = (*SETTLE, "stale-lease", *(("result-refused",) if operate == self.ack else ()))
            path = f"{one}/{operate.__name__}"
            add(app, "POST", path, operate, answer=Outcomes, problems=problems, body=body, **common)

    async def lease(self, request: Request) -> Reply:
        """Lease items.

        The server hands out up to `max` items until the lease ends. The holder shows the `token` of the
        answer to settle them: it acks items that are done, nacks items that failed, extends the lease of
        items that take longer, and releases items that it has not begun. Items that are not settled when the
        lease ends are handed out again, with `attempt` + 1.
        """
        house = self._house
        queue, key = self._asked(request)
        ask = await bodies.read_fields(request.receive, request.scope[HEADERS], house.limits, self.read.lease)
        leasing = lease_reply(queue, ask, key)
        return await (while_connected(request, leasing) if ask.wait else leasing)

    async def settle(self, request: Request) -> Reply:
        """Settle leased items, and lease the next.

        One transaction applies the acks, nacks, extends and releases, in this order, and then leases. An
        entry names a token, and means all its items or ranges of `seqs`. Stale items change nothing, and the
        rest of the request applies; an ack with `push` is all or nothing. The answer tells for each entry
        what became of its ranges.
        """
        house = self._house
        queue, key = self._asked(request)
        bodies.check_type(request.scope[HEADERS])
        body = await bodies.read(request.receive, house.limits.items_bytes)
        asked = await bodies.apart(self.settling, body)
        settling = settle_reply(queue, asked, key)
        return await (while_connected(request, settling) if asked.waits else settling)

    def settling(self, body: bytes) -> SettleBody:
        """Read a settle request: its key, its entries and the lease that it asks for."""
        return self.read.settle(bodies.as_object(bodies.parse(body, self._house.limits.members)))

    async def ack(self, request: Request) -> Reply:
        """Ack leased items.

        The items are done and leave the queue. With `push`, results go into other queues in the same
        transaction, even if those are full: all of it happens, or (409 `result-refused`) nothing.
        """
        return await self._one(request, "acks")

    async def nack(self, request: Request) -> Reply:
        """Nack leased items.

        The items failed, and wait for the queue's back-off or for `delay` seconds. After the queue's
        `max_attempts`, or at once with `dead`, they are dead. The server keeps `error` in their history.
        """
        return await self._one(request, "nacks")

    async def extend(self, request: Request) -> Reply:
        """Extend a lease.

        The lease then ends `ttl` seconds from now, under the same token.
        """
        return await self._one(request, "extends")

    async def release(self, request: Request) -> Reply:
        """Release leased items.

        The worker has not begun the items: they wait again at once, and the hand-out is not counted as an
        attempt.
        """
        return await self._one(request, "releases")

    async def _one(self, request: Request, kind: str) -> Reply:
        queue, key = self._asked(request)
        limits, reader = self._house.limits, partial(self.read.one, kind)
        entry = await bodies.read_object(request.receive, request.scope[HEADERS], limits, reader)
        return as_one_outcome(await queue.settle((entry,), key=key))

    def _asked(self, request: Request) -> tuple[Queue, str | None]:
        """Check the path, the query and the headers before the body is read."""
        queue = self._house.queue(request)
        NO_PARAMETERS.parse(request.scope["query_string"])
        negotiate(request.scope[HEADERS].get(b"accept"))
        return queue, self._house.key(request)


async def lease_reply(queue: Queue, ask: LeaseAsk, key: str | None) -> Reply:
    """Lease items and make the answer: 200 with the lease, or 204 from an empty queue."""
    leased = await queue.lease(ask, key=key)
    return NoContent() if leased is None else handout.as_lease(leased)


async def settle_reply(queue: Queue, asked: SettleBody, key: str | None) -> Reply:
    """Settle a request's entries and make the answer, with an outcome for each entry."""
    answer = await queue.settle(asked.entries, lease=asked.lease, key=key)
    return as_settled(answer, asked.counts, lease=asked.lease is not None)

"""The office of a front: what all requests that it passes on have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ..errors import Crowded
from .link import ENDED, MUCH, Begun, Link, Lost
from .messages import NOT_OWNER, request_head
from .origin import Origin
from .pool import CONNECT_SECONDS, Pool
from .reached import Reached, declined
from .refused import nobody

if TYPE_CHECKING:
    from ..errors import NoOwner
    from .seat import Seat

MOST: Final = 10_000
"""Requests that are passed on at once: each has a connection of its own."""
GRACE: Final = 2.0
"""Seconds that an owner which was followed by another one has to answer what can't be asked twice."""
UNSURE: Final = "this server owns the ledger, and can't reach the database to be sure that it still does"


class Passing(Protocol):
    """A request that is being passed on, to the owner of ``term``; 0 before."""

    term: int

    @property
    def repeats(self) -> bool:
        """Whether it may be sent twice."""

    def end_wait(self) -> None:
        """Let it be answered at once."""

    def give_up(self, term: int) -> None:
        """Expect nothing more of the owner of this term."""


class Said(NamedTuple):
    """What the server has answered that is taken for the owner, and whether it is that."""

    status: int
    body: bytes
    owns: bool = True


class Office:
    """Counts the passages, ends them, and says what may be sent again. Lives on the event loop.

    ``exposed``: other machines reach this server. ``secret`` gives that of the ledger. ``repeats`` says
    whether a request may be sent twice, ``gone`` whether its client has left. ``reached`` is what was found
    where the owner says that it is.
    """

    def __init__(
        self,
        seat: Seat,
        pool: Pool,
        *,
        exposed: bool,
        secret: Callable[[], bytes],
        repeats: Callable[[Any], bool],
        gone: Callable[[Any], bool],
    ) -> None:
        self.seat, self.pool = seat, pool
        self.exposed, self.secret = exposed, secret
        self.repeats, self.gone = repeats, gone
        self.stopping = False
        self.reached = Reached(partial(seat.trouble, "owner"))
        self._passages: set[Passing] = set()
        self._watching: asyncio.Task[None] | None = None

    def enter(self, passage: Passing) -> None:
        """Count a passage until it leaves.

        Raises:
            Crowded: There are as many as there may be.
        """
        if len(self._passages) >= MOST:
            raise Crowded(f"{MOST} requests are being passed on to the owner", limit=MOST, retry_after=1.0)
        self._passages.add(passage)

    def leave(self, passage: Passing) -> None:
        """A passage is over."""
        self._passages.discard(passage)

    @property
    def passing(self) -> int:
        """How many requests are being passed on."""
        return len(self._passages)

    def begin(self) -> None:
        """Begin to watch the terms."""
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await self.seat.news()
            owner = self.seat.owner()
            self.reached.follow(owner)
            newest = owner.term if owner is not None else 0
            if self.seat.term is not None:
                newest = self.seat.term.number
            for passage in list(self._passages):
                if not 0 < passage.term < newest:
                    continue
                if passage.repeats:  # the new owner knows what the one before has done of it
                    passage.give_up(passage.term)
                else:
                    asyncio.get_running_loop().call_later(GRACE, passage.give_up, passage.term)

    def stop(self) -> None:
        """Begin to go down: what waits is answered, streams of events end, nothing more is sent."""
        self.stopping = True
        for passage in list(self._passages):
            passage.end_wait()

    def close(self) -> None:
        """Close what is idle."""
        if self._watching is not None:
            self._watching.cancel()
        self.pool.close()

    async def news(self, seconds: float) -> None:
        """Wait for news of the owner, but not for longer."""
        try:
            async with asyncio.timeout(seconds):
                await self.seat.news()
        except TimeoutError:
            return

    def owner_url(self) -> str | None:
        """The URL of the owner, if another server is known to be that."""
        owner = self.seat.owner()
        return None if owner is None else owner.url

    def refusal(self) -> NoOwner:
        """What a caller is told whose request could not be passed on."""
        owner = self.seat.owner()
        if owner is None and self.seat.owns():
            return nobody(UNSURE)
        return self.reached.refusal(owner)

    async def reach(self) -> Said:
        """Ask the owner whether it is ready, for whom this server lets in.

        Raises:
            NoOwner: It does not answer, or there is none.
        """
        owner = self.seat.owner()
        if owner is None:
            raise self.refusal()
        scope = {
            "method": "GET",
            "path": "/readyz",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "http_version": "1.1",
            "scheme": "http",
        }
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = await self.pool.link(owner)
                origin = Origin.of(scope, owner.term, exposed=self.exposed).header(self.secret(), scope)
                link.begin("GET", request_head(scope, origin))
                try:
                    said = await _said(link)
                finally:
                    self.pool.give_back(link, owner.term)
        except (OSError, TimeoutError, Lost) as error:
            self.reached.failed(owner, error)
            raise self.refusal() from None
        if not said.owns:
            self.reached.failed(owner, declined(said.status))
            raise self.refusal()
        self.reached.well()
        return said


async def _said(link: Link) -> Said:
    """What the server that was asked answers."""
    status, body, owns = 0, b"", True
    while (event := await link.next()) is not ENDED:
        if isinstance(event, Begun):
            status, owns = event.status, NOT_OWNER not in event.headers
        elif isinstance(event, bytes) and len(body) < MUCH:
            body += event
    return Said(status, body, owns)

"""The passage of one request: to the owner, and of its answer back; again, where the owner is lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from ..errors import NoOwner, Stopping
from ..queue.wait import WAIT
from .link import ENDED, GO_ON, Begun, Link, Lost
from .messages import (
    NOT_OWNER,
    answer_headers,
    chunk,
    is_chunked,
    request_head,
    streams_events,
    waits_to_go_on,
)
from .origin import Origin
from .reached import OTHER_LEDGER, declined
from .refused import SENT, UNTOLD, unknown

if TYPE_CHECKING:
    from .body import Body
    from .office import Office

PATIENCE: Final = 10.0
"""Seconds that a request which was not sent yet waits for an owner."""
TRIES_MOST: Final = 3
"""How often a request is sent at most: it may be the one that brings owners down."""
SOONEST, LATEST = 0.05, 1.0
"""Seconds between two attempts to reach an owner: they become longer while it can't be reached."""
SOON: Final = 1.0
"""Seconds after which a request that an owner could not serve goes to no other: its wait would begin anew."""

_LOOKS: Final = ("GET", "HEAD")
"""Of a look that may be sent twice everybody knows that it did nothing."""

log = logging.getLogger("dibs.cluster")


class Declined(Exception):
    """The server that was asked does not own the ledger, and has done nothing; the text says why."""


class Passage:
    """One request on its way. It owns the link that it goes over, in ``term``, and what of it was sent.

    ``status`` and ``size`` are those of the answer; ``answered`` are its headers.
    """

    def __init__(self, office: Office, scope: Any, send: Any, body: Body) -> None:
        self.status = self.size = 0
        self.answered: list[tuple[bytes, bytes]] = []
        self.term = 0
        self._office = office
        self._scope = scope
        self._send = send
        self._body = body
        self._link: Link | None = None
        self._tries = 1 if SENT in scope else 0
        self._wanted = asyncio.Event()
        if not waits_to_go_on(scope):
            self._wanted.set()
        self._chunked = is_chunked(scope)
        self._sent = self._events = False
        self._began = 0.0
        self._wait = WAIT.get()
        if self._wait is not None:
            self._wait.begin(self.end_wait)

    async def run(self) -> bool:
        """Pass the request on; false where this server itself is to answer it: it owns the ledger by now.

        Raises:
            NoOwner, Stopping: The request was not sent.
            OutcomeUnknown: It was, and the owner was lost.
            Exception: The body does not come.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            link = await self._reach(until)
            if link is None:
                return False
            try:
                await self._over(link)
            except Declined as declined:
                self._tries -= 1
                self._declined(str(declined))
                await self._office.news(SOONEST)
                continue
            except Lost as lost:
                if self._is_over(lost):
                    return True
                if self._body.failure is not None:
                    raise self._body.failure from None
                if self._scope["method"] not in _LOOKS:
                    self._scope[SENT] = True
                if self._tries < TRIES_MOST and self.repeats:
                    until = loop.time() + PATIENCE
                    continue
                raise unknown() from None
            return True

    @property
    def repeats(self) -> bool:
        """Whether the request may be sent twice."""
        return self._body.again and self._office.repeats(self._scope)

    def _is_over(self, lost: Lost) -> bool:
        """Whether nothing more can be told the client: it has gone, or has a part of the answer."""
        if self.status and not self._body.gone and not self._events:
            log.warning("the connection to the owner was lost in the middle of an answer")
        return bool(self.status) or self._body.gone

    # -- finding the owner

    async def _reach(self, until: float) -> Link | None:
        """A link to the owner, at least by that time of the loop; None where that is this server."""
        loop, office = asyncio.get_running_loop(), self._office
        pause = SOONEST
        while True:
            if self._office.gone(self._scope):
                self._body.gone = True
                raise NoOwner("the client has gone")
            if self._body.again and await office.seat.decides():
                return None
            if office.stopping:
                raise unknown() if self._tries else Stopping("the server is going down", retry_after=1.0)
            owner = office.seat.owner()
            if owner is not None and loop.time() < until:
                try:
                    link = await office.pool.link(owner)
                except (OSError, TimeoutError) as error:
                    office.reached.failed(owner, error)
                    pause = min(pause * 2, LATEST)
                else:
                    self.term = owner.term
                    return link
            elif office.seat.owns():
                pause = min(pause * 2, LATEST)
            left = until - loop.time()
            if left <= 0:
                raise unknown() if self._tries else office.refusal()
            asked_soon = owner is not None or office.seat.owns()  # who owns may only be unsure of that
            await self._office.news(min(left, pause) if asked_soon else left)

    def _declined(self, why: str) -> None:
        """Note that whoever answers where the owner is said to be does not own; the next owner may."""
        owner = self._office.seat.owner()
        if owner is not None and owner.term == self.term:
            self._office.reached.failed(owner, why)

    # -- the way there and back

    async def _over(self, link: Link) -> None:
        """Send the request over a link, and its answer to the client."""
        scope, office = self._scope, self._office
        origin = Origin.of(scope, self.term, exposed=office.exposed).header(office.secret(), scope)
        self._link, self._sent = link, False
        self._tries += 1
        self._began = asyncio.get_running_loop().time()
        link.begin(scope["method"], request_head(scope, origin))
        sending = asyncio.create_task(self._send_body(link))
        try:
            await self._answer(link)
        finally:
            self._link = None
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            if self._sent:
                office.pool.give_back(link, self.term)
            else:
                link.abort()

    async def _send_body(self, link: Link) -> None:
        """Send the body as it comes, and break the link when the client leaves."""
        try:
            await self._wanted.wait()
            async for piece in self._body.pieces():
                await link.write(chunk(piece) if self._chunked else piece)
            if not self._body.gone:
                if self._chunked:
                    await link.write(b"0\r\n\r\n")
                self._sent = True
                if self._office.stopping or (self._wait is not None and self._wait.over):
                    link.end_wait()
                await self._body.until_gone()
        except Exception:  # the body has it: see run
            link.abort()
            return
        link.abort()

    async def _answer(self, link: Link) -> None:
        while True:
            try:
                event = await link.next()
            except Lost:
                if self._events and not self._body.gone:
                    await self._send({"type": "http.response.body", "body": b""})
                raise
            if event is GO_ON:
                self._wanted.set()
            elif isinstance(event, Begun):
                await self._begin(event)
            elif event is ENDED:
                await self._send({"type": "http.response.body", "body": b""})
                return
            elif isinstance(event, bytes):
                more = not link.ends_here()
                self.size += len(event)
                await self._send({"type": "http.response.body", "body": event, "more_body": more})
                if not more:
                    return

    async def _begin(self, begun: Begun) -> None:
        if NOT_OWNER in begun.headers:
            why = declined(begun.status)
            if self._body.again and asyncio.get_running_loop().time() - self._began < SOON:
                raise Declined(why)
            if why is OTHER_LEDGER:  # whose answer is none for the client of this one
                self._declined(why)
                raise unknown() if SENT in self._scope else self._office.refusal()
        self._office.reached.well()
        if SENT in self._scope and begun.status in UNTOLD:
            raise unknown()
        self.status, self.answered = begun.status, begun.headers
        self._events = streams_events(begun.headers)
        await self._send(
            {
                "type": "http.response.start",
                "status": begun.status,
                "headers": answer_headers(begun.headers),
            }
        )

    # -- the end

    def end_wait(self) -> None:
        """The request waits no more: it is answered at once with what there is; a stream of events ends."""
        if self._link is not None and self._events:
            self._link.abort()
        elif self._link is not None and self._sent:
            self._link.end_wait()

    def give_up(self, term: int) -> None:
        """The owner of this term is no more: what it has not begun to answer, it never will."""
        if self._link is not None and self.term == term and (self._events or not self._link.begun):
            self._link.abort()

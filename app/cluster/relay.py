"""The relay: the outermost layer of a server of several. Who asks it gets the answer of the owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..errors import Forbidden, LedgerMoved, NotOwner, OutcomeUnknown, Stopping
from . import errand as errands
from .body import Body
from .messages import NOT_OWNER
from .origin import read, taken_off
from .passage import PATIENCE, Passage
from .refused import FAILED, REFUSED
from .seat import Role

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .office import Office

OWN: Final = frozenset({"/healthz", "/readyz", "/metrics", "/config", "/reload"})
"""The paths that are about this server alone, so that it answers them itself, whoever owns."""
DECLINED: Final = (NotOwner, Stopping, LedgerMoved)
"""Refusals of a server that is the owner no more: nothing was done, and the next one is asked."""
LITTLE: Final = 65_536
"""Bytes of a body that are kept, though it may not be sent twice: the server that was asked may decline."""


class Relay:
    """Answers requests by this server while it owns the ledger, and passes them on while it does not.

    ``admit`` is what holds for every request: whoever fails there is not passed on. ``locked`` says whether
    the owner asks for tokens. ``most`` is how much of a body is kept for another try, ``keep`` the name in a
    scope of what counts it. ``written`` writes the line of a request that was passed on. ``errand`` answers
    what other servers ask themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        office: Office,
        admit: Callable[[Scope], None],
        locked: Callable[[], bool],
        most: Callable[[], int],
        keep: str,
        written: Callable[[Any, Passage, float], None],
        errand: ASGIApp,
    ) -> None:
        self._app = app
        self._office, self._seat = office, office.seat
        self._admit = admit
        self._locked = locked
        self._most = most
        self._keep = keep
        self._written = written
        self._errand = errand

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own, origins, hopped = taken_off(scope["headers"])
        if hopped and not self._believes(scope, origins):
            await self._app(scope, receive, send)  # whose front door refuses it
            return
        scope["headers"] = own
        if hopped and self._seat.role is Role.TAKING:
            await self._taken()
        if hopped and scope["path"] == errands.PATH:
            await self._errand(scope, receive, send)
            return
        if (scope["path"] in OWN and not hopped) or await self._seat.decides():
            await self._app(scope, receive, _declining(scope, send) if hopped else send)
        elif hopped:
            scope[REFUSED] = NotOwner("another server owns the ledger; ask again", retry_after=1.0)
            await self._app(scope, receive, _declining(scope, send))
        else:
            await self._pass_on(scope, receive, send)

    def _believes(self, scope: Scope, origins: list[bytes]) -> bool:
        """Let a request be the client's that its front had it from; whether a server of this ledger was that.

        It is not, where a server of another ledger takes this one for its owner, or somebody forges a front.
        """
        origin = read(origins[0], self._office.secret(), scope) if len(origins) == 1 else None
        if origin is None:
            return False
        origin.put_into(scope)
        if origin.exposed and not self._locked():
            scope[REFUSED] = Forbidden(
                "the server that was asked can be reached from other machines, and there is no token: make"
                " one, or start that server with --allow-anonymous"
            )
        return True

    async def _taken(self) -> None:
        """Wait until this server has taken over, or has not."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self._seat.role is Role.TAKING:
                    await self._seat.news()
        except TimeoutError:
            return

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        keep = scope.get(self._keep, _uncounted)
        most = self._most() if self._office.repeats(scope) else LITTLE
        body = Body(receive, most, keep)
        passage = Passage(self._office, scope, send, body)
        try:
            self._admit(scope)
            self._office.enter(passage)
            if not await passage.run():
                await self._app(scope, body.receive, send)
                return
        except asyncio.CancelledError:
            if passage.status:
                raise
            scope[REFUSED] = _cut_off(passage)
        except Exception as error:
            if passage.status or body.gone:
                return
            scope[REFUSED] = error
        else:
            self._written(scope, passage, perf_counter() - began)
            return
        finally:
            self._office.leave(passage)
        await self._app(scope, body.receive, send)


def _declining(scope: Scope, send: Send) -> Send:
    """Mark an answer that says no more than who does not own, so that the front goes on to who does."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start" and isinstance(scope.get(FAILED), DECLINED):
            message["headers"] = [*message["headers"], NOT_OWNER]
        await send(message)

    return marked


def _cut_off(passage: Passage) -> Exception:
    if passage.term:
        return OutcomeUnknown("the server went down in the middle of this; ask again with the same key")
    return Stopping("the server is going down", retry_after=1.0)


def _uncounted(_: int) -> None:
    """Nobody counts what is kept."""

"""One server of several on the same ledger: its application opens its queues only while it owns that."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from ..access.caller import ANYBODY
from ..cluster.office import Office
from ..cluster.pool import Pool
from ..cluster.relay import Relay
from ..cluster.seat import Seat
from ..tls import verifying
from .access_log import REQUEST_ID, host_of
from .admission import GONE, KEEP, Door
from .front_access import FrontAccess
from .joining import Joining
from .repeats import Repeats

if TYPE_CHECKING:
    from ..cluster.passage import Passage
    from ..config import Settings
    from ..ledger.terms import Ledgers, Term
    from ..queue import Queues
    from .context import Context


class Member:
    """A server's part in its cluster: the seat, the relay around the application, what both are told.

    ``queues`` gives the queues of a term.
    """

    def __init__(
        self,
        app: FastAPI,
        context: Context,
        ledgers: Ledgers,
        queues: Callable[[Term], Awaitable[Queues]],
    ) -> None:
        self._context = context
        self._queues = queues
        front = context.front_access = FrontAccess(context.settings, ledgers.access_tokens)
        self.seat = Seat(ledgers, check=front.check, take=self._take, leave=self._leave, turned=self._turned)
        self.office = Office(
            self.seat,
            Pool(_tls(context.settings)),
            exposed=context.callers.exposed,
            secret=lambda: ledgers.secret,
            repeats=Repeats(app),
            gone=_gone,
        )
        context.front = self.office
        self.joining = context.joining = Joining(context, self.office, ledgers)
        context.turn(elsewhere=True)
        context.at_end += [self.seat.stop, self.office.stop]
        limits = context.limits
        app.add_middleware(
            Relay,
            office=self.office,
            admit=Door(context.settings).admit,
            locked=lambda: context.callers.book.locked,
            most=lambda: max(limits.items_bytes, limits.body_bytes),
            keep=KEEP,
            written=self._written,
            errand=self.joining.answer,
        )

    async def begin(self, machine: str) -> None:
        """Join, on the machine of this name; see ``Seat.begin``."""
        self.seat.url = url_of(self._context.settings, self._context.port, machine)
        self.joining.prepare()
        await self.seat.begin(self.seat.url)
        self.office.begin()
        await self.joining.begin()
        for begin in self._context.at_join:
            begin()

    async def end(self) -> None:
        """Leave: the next server owns, if this one did."""
        self.office.stop()
        await self.joining.end()
        await self.seat.end()
        self.office.close()

    async def _take(self, term: Term) -> None:
        await self._context.open(await self._queues(term))

    async def _leave(self) -> None:
        self.joining.leave()
        await self._context.close()

    def _turned(self, elsewhere: bool) -> None:
        self._context.turn(elsewhere=elsewhere)

    def _written(self, scope: Any, passage: Passage, seconds: float) -> None:
        """Write the line of a request that was passed on, under the id that its answer has."""
        access = self._context.access
        if access.on:
            given = dict(passage.answered).get(REQUEST_ID) or access.made()
            access.line(
                given,
                scope["method"],
                scope["path"],
                passage.status if not _gone(scope) else 0,
                seconds=seconds,
                size=passage.size,
                peer=host_of(scope.get("client")),
                who=ANYBODY.name,
            )


def url_of(settings: Settings, port: int, machine: str) -> str:
    """The URL where the other servers reach this one: as it is advertised, or as it listens.

    ``port`` is the one that it listens on, ``machine`` the name of the machine, for a server that listens on
    all addresses.
    """
    scheme = "http" if settings.tls_cert is None else "https"
    if settings.advertise is not None:
        return f"{scheme}://{settings.advertise}"
    host = machine if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104  # compared, not bound
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}"


def _tls(settings: Settings) -> ssl.SSLContext | None:
    return None if settings.tls_cert is None else verifying(settings.tls_cert)


def _gone(scope: Any) -> bool:
    gone = scope.get(GONE)
    return bool(gone and gone())

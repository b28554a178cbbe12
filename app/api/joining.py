"""Joining: how the queues of a server's configuration come to the owner, once, and at each reload."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect

from ..cluster import errand
from ..cluster.configurations import Brought, Configurations
from ..config import DEFAULT_QUEUE
from ..errors import ConfigError, DibsError, LedgerUnavailable, NoOwner
from ..queue.configured import Beside, looked_into_again
from ..queue.definition import KEPT, Definition
from ..queue.reconfigured import Changed
from ..sources.spec import SourceSpec, parse_source
from . import bodies
from .actions import counted
from .problems import RequestRefused
from .records import dumps
from .reply import Reply

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ..cluster.office import Office
    from ..ledger.ops import QueueRow
    from ..ledger.terms import Ledgers
    from .context import Context

START_PATIENCE: Final = 5.0
"""Seconds that a start waits until its configuration is applied; then it goes on, and tries again."""
AGAIN: Final = 1.0
NOT_APPLIED: Final = "the queues of this server's configuration were not applied, and stay as they are"

log = logging.getLogger("dibs.config")


class Joining:
    """Brings the queues of one server to the owner. Lives on the event loop.

    It owns what is still to be brought (``_pending``), and in a term of this server the ``configurations``. A
    configuration that the owner refuses is brought to each later owner: that may be a server with the code
    that was lacking.
    """

    def __init__(self, context: Context, office: Office, ledgers: Ledgers) -> None:
        self._context = context
        self._ledgers = ledgers
        self._office = office
        self._configurations: Configurations | None = None
        self._pending: Brought | None = None
        self._refused = ""
        self._bringing: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """The server begins, at the URL of its seat."""
        self._pending = self._brought(self._context.settings.queues)

    async def begin(self) -> None:
        """Bring the configuration, unless the first term of this server has applied it already."""
        if self._pending is not None:
            self._bringing = asyncio.create_task(self._bring())
            await asyncio.wait((self._bringing,), timeout=START_PATIENCE)

    async def end(self) -> None:
        """Bring nothing more."""
        if self._bringing is not None:
            self._bringing.cancel()
            await asyncio.gather(self._bringing, return_exceptions=True)

    def _brought(self, queues: Mapping[str, Definition], *, anew: bool = False) -> Brought:
        """Without queues of its own a server goes by ``default``, if there is one: it makes no other."""
        return Brought(self._office.seat.url, queues, tuple(sorted(queues)) or (DEFAULT_QUEUE,), anew)

    async def _bring(self) -> None:
        while (brought := self._pending) is not None:
            term = self._term()
            try:
                if brought.queues or await self._had_queues():
                    await self._apply(brought)
            except ConfigError as error:
                self._refuse(str(error))
                while self._term() == term and self._pending is brought:
                    await self._office.seat.news()
            except DibsError as error:
                log.info("the configuration of this server can't be applied now: %s", error)
                await asyncio.sleep(AGAIN)
            else:
                self._done(brought)

    async def _had_queues(self) -> bool:
        """Whether this server has brought queues before: else there is nothing to tell the owner."""
        known = await self._ledgers.configurations()
        return any(one.address == self._office.seat.url for one in known)

    def _refuse(self, why: str) -> None:
        if why != self._refused:
            log.error("%s: %s", NOT_APPLIED, why)
        self._refused = why
        self._office.seat.trouble("configuration", f"{NOT_APPLIED}: {why}")

    def _done(self, brought: Brought) -> None:
        if self._pending is brought:
            self._settled()

    def _settled(self) -> None:
        self._pending, self._refused = None, ""
        self._office.seat.trouble("configuration", "")

    def _term(self) -> int:
        """The newest term that is known."""
        seat = self._office.seat
        owner = seat.owner()
        return seat.term.number if seat.term is not None else 0 if owner is None else owner.term

    # -- asked of this server

    async def reload(self, queues: Mapping[str, Definition], wrong: Sequence[str]) -> Changed:
        """Apply a configuration that was read again, whatever was applied last.

        Raises:
            ConfigError: It is wrong: nothing was changed.
            NoOwner, LedgerError: It can't be applied now.
        """
        if wrong and not self._office.seat.owns():
            raise ConfigError("\n".join(wrong))
        changed = await self._apply(self._brought(queues, anew=True), wrong)
        self._settled()
        return changed

    async def _apply(self, brought: Brought, wrong: Sequence[str] = ()) -> Changed:
        """Apply a configuration here, or by the owner."""
        if self._configurations is None or not self._office.seat.owns():
            answered = await errand.send(self._office, _written(brought))
            if answered is not None:
                return _told(*answered)
        if self._configurations is None:
            raise NoOwner("this server begins or ends to own the ledger; ask again", retry_after=1.0)
        return await self._configurations.apply(self._context.queues, brought, wrong)

    # -- the owner's part

    def at_takeover(
        self, configurations: Configurations, rows: Iterable[QueueRow]
    ) -> tuple[Mapping[str, Definition], Beside]:
        """What a term of this server begins with: the queues to define, and those beside these.

        Its own configuration is among them where this server owns before it asked another one, so that its
        first start is that of a server alone.
        """
        rows = list(rows)
        define: dict[str, Definition] = {}
        pending = self._pending
        if pending is not None and not self._refused and self._bringing is None:
            if not configurations.has(pending):
                define |= pending.queues
            if not pending.queues and not rows:
                define[DEFAULT_QUEUE] = Definition(SourceSpec("count"))
        named = {*configurations.names(), *(pending.names if pending is not None else ())}
        return define, Beside(named, looked_into_again(rows))

    async def took_over(self, configurations: Configurations) -> None:
        """A term has begun, with what was defined for it."""
        self._configurations = configurations
        pending = self._pending
        if pending is not None and not self._refused and self._bringing is None:
            await configurations.applied(pending)
            self._done(pending)

    def leave(self) -> None:
        """The term is over."""
        self._configurations = None

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what another server brings; nobody but the servers of the ledger is heard."""
        term, reply = self._office.seat.term, None
        digest = None if term is None else errand.proven(scope, self._office.secret(), term.number)
        if digest is not None:
            try:
                body = await bodies.receive_all(receive, errand.MOST)
            except (ClientDisconnect, RequestRefused):
                return
            if errand.is_of(body, digest):
                reply = await self._answer(_read(body))
        if reply is None:
            reply = _reply(HTTPStatus.SERVICE_UNAVAILABLE, detail="this server does not own the ledger")
        await reply(scope, receive, send)

    async def _answer(self, brought: Brought) -> Reply:
        if self._configurations is None:
            return _reply(HTTPStatus.SERVICE_UNAVAILABLE, detail="this server is about to own the ledger")
        try:
            changed = await self._configurations.apply(self._context.queues, brought)
        except ConfigError as error:
            return _reply(HTTPStatus.CONFLICT, detail=str(error))
        except DibsError as error:
            return _reply(HTTPStatus.SERVICE_UNAVAILABLE, detail=str(error))
        if names := (*changed.created, *changed.changed):
            what = f"applied the configuration of {brought.address}: {counted(len(names), 'queue')}"
            await self._context.actions.add("", what, "configured", who=brought.address)
        return _reply(HTTPStatus.OK, **changed._asdict())


def _reply(status: int, **fields: Any) -> Reply:
    return Reply(dumps(fields).encode("utf-8", "replace"), status)


def _written(brought: Brought) -> bytes:
    queues = {
        name: {
            "kept": definition.source is KEPT,
            "source": definition.source.text if isinstance(definition.source, SourceSpec) else None,
            "settings": dict(definition.settings),
        }
        for name, definition in brought.queues.items()
    }
    return dumps({**brought._asdict(), "queues": queues}).encode("utf-8", "surrogatepass")


def _read(body: bytes) -> Brought:
    told = json.loads(body)
    queues = {
        name: Definition(
            KEPT if each["kept"] else None if each["source"] is None else parse_source(each["source"]),
            each["settings"],
        )
        for name, each in told["queues"].items()
    }
    return Brought(told["address"], queues, tuple(told["names"]), told["anew"])


def _told(status: int, body: bytes) -> Changed:
    """What the owner has said.

    Raises:
        ConfigError: It refuses the configuration.
        LedgerUnavailable: It can't apply it now.
    """
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    if status == HTTPStatus.OK:
        return Changed(*(tuple(said.get(name, ())) for name in Changed._fields))
    detail = said.get("detail") or f"the owner answered {status}"
    raise (ConfigError if status == HTTPStatus.CONFLICT else LedgerUnavailable)(detail)

"""The seat of a server in its cluster: whether it owns the ledger, and how that begins and ends.

::

    front ──► taking ──► owner
      ▲         │          │ lost, or the server goes down
      └──────── leaving ◄──┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError, DibsError, LedgerError, LedgerLost

if TYPE_CHECKING:
    from ..ledger.terms import Ledgers, Owner, Survey, Term

AGAIN: Final = (1.0, 2.0, 5.0, 10.0)
"""Seconds until a server whose takeover failed stands again, longer each time: each may have begun a term."""
SILENT: Final = 3.0
"""Seconds for which an owner that is there is not silent, as it writes each second."""
LOOK: Final = 0.05
START_PATIENCE: Final = 10.0
"""Seconds that a start waits until somebody owns; then it goes on, and its requests wait."""

NOTICE: Final = 25
"""The level of what operators should know of a server that is well; ``api/access_log.py`` names it."""

log = logging.getLogger("dibs.cluster")


class Role(StrEnum):
    """What a server is to its cluster."""

    FRONT = "front"
    TAKING = "taking"
    OWNER = "owner"
    LEAVING = "leaving"


_MOVES: Final[Mapping[Role, frozenset[Role]]] = {
    Role.FRONT: frozenset({Role.TAKING}),
    Role.TAKING: frozenset({Role.OWNER, Role.LEAVING}),
    Role.OWNER: frozenset({Role.LEAVING}),
    Role.LEAVING: frozenset({Role.FRONT}),
}


class Seat:
    """Stands for owner, serves its terms, and stands again, until the server goes down.

    It owns the ``role`` and the ``term`` of this server in ``ledgers``, which is at ``url``; ``takeovers``
    counts the terms that it has served since it started. ``check`` raises a ConfigError while this server's
    settings let it begin no term. ``take`` opens the queues of a term's engine,
    ``leave`` closes them, and the engine with them. ``turned`` is called in the step of the loop in which
    this server begins or ends to decide: with False when it begins. Lives on the event loop.
    """

    def __init__(
        self,
        ledgers: Ledgers,
        *,
        check: Callable[[], Awaitable[None]],
        take: Callable[[Term], Awaitable[None]],
        leave: Callable[[], Awaitable[None]],
        turned: Callable[[bool], None],
    ) -> None:
        self.role = Role.FRONT
        self.term: Term | None = None
        self.stopping = False
        self.url = ""
        self.takeovers = 0
        self.ledgers = ledgers
        self._check, self._take, self._leave, self._turned = check, take, leave, turned
        self._news = asyncio.Event()
        self._stop = asyncio.Event()
        self._failed: Exception | None = None
        self._started = self._checked = False
        self._failures = 0  # since it owned last
        self._told = ""  # of the last failure, which is not logged each second
        self._over: int | None = None  # the newest term when this server failed by what another one may end
        self._troubles: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    # -- what others ask

    def owns(self) -> bool:
        """Whether this server decides."""
        return self.role is Role.OWNER

    async def decides(self) -> bool:
        """Whether this server decides, which it asks where it has not heard of that for a while."""
        term = self.term
        return term is not None and (term.trusted() or await term.sure())

    @property
    def me(self) -> str:
        """The id of this server."""
        return self.ledgers.server

    def owner(self) -> Owner | None:
        """Another server that decides, as far as is known."""
        owner = self.ledgers.owner()
        return None if owner is None or owner.server == self.ledgers.server else owner

    def survey(self) -> Survey | None:
        """What was seen last of all servers and of their database."""
        return self.ledgers.survey()

    def trouble(self, about: str, told: str) -> None:
        """Tell the others, and whoever looks, what is not well with this server; empty: that is."""
        self._troubles[about] = told
        self.ledgers.tell(tuple(filter(None, self._troubles.values())))

    async def news(self) -> None:
        """Wait until the role of this server has changed, or the owner that is known."""
        await self._news.wait()

    def tell(self) -> None:
        """Wake those who wait for news."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _heard(self) -> None:
        """The owner that is known has changed: what kept this server from owning may be over with that."""
        owner = self.owner()
        if self._over is not None and owner is not None and owner.term > self._over:
            self._well()
        self.tell()

    # -- the life of a server

    async def begin(self, url: str) -> None:
        """Join the cluster as the server at ``url``, and wait until somebody owns the ledger.

        Raises:
            ConfigError, LedgerError: The database can't be used, or this server was to own and can't.
        """
        self.url = url
        await self.ledgers.open(url, self._heard)
        try:
            with suppress(LedgerError):  # the database is gone for now, and there is nothing to look at
                await self._check()
            self._checked = True
        except ConfigError:
            if not await self._others_own():
                await self.ledgers.close()
                raise
        self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE):
                while not self.owns() and self.owner() is None and self._failed is None:
                    await self.news()
        if self._failed is not None:
            error = self._failed
            await self.end()
            raise error
        self._started = True

    def stop(self) -> None:
        """Begin to go down: a term ends, and none begins."""
        self.stopping = True
        self._stop.set()
        self.tell()

    async def end(self) -> None:
        """Go down: the term is over, and the next server owns."""
        self.stop()
        if self._task is not None:
            await self._task
        await self.ledgers.close()

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self._until_checked()
                term = await self._until_stopped(self.ledgers.stand())
            except Exception as error:  # whatever it was, this server stands again: see _serve
                await self._fail(error, "this server can't own the ledger")
                continue
            if term is not None:
                await self._serve(term)

    async def _until_checked(self) -> None:
        """Let no term begin that can only fail. Where another server owns, this one waits beside it.

        Not before each term: that would make failovers slower, and what was good once mostly is.
        """
        while not (self._checked or self.stopping):
            try:
                await self._check()
            except ConfigError as error:
                await self._pause(error, "this server lets nobody in, and can't own the ledger")
            else:
                self._checked = True
                self._well()

    async def _others_own(self) -> bool:
        """Whether another server owns now, and not just did so last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENT):
                while self.survey() is None:  # noqa: ASYNC110  # the database is looked at by a thread
                    await asyncio.sleep(LOOK)
        survey = self.survey()
        return self.owner() is not None and survey is not None and survey.silent < SILENT

    async def _serve(self, term: Term) -> None:
        failure: Exception | None = None
        self._move(Role.TAKING)
        try:
            await self._take(term)
        except Exception as error:  # whatever a source or a setting raises, the others may own meanwhile
            failure = error
        else:
            self.term = term
            self.takeovers += 1
            self._well()
            self._turned(False)
            self._move(Role.OWNER)
            log.log(NOTICE, "this server owns the ledger: term %d", term.number)
            await self._until_stopped(term.lost.wait())
            self._turned(True)
        self._move(Role.LEAVING)
        self.term = None
        await _whatever(self._leave(), "the queues could not be closed in order")
        await _whatever(term.resign(), f"term {term.number} could not be ended in order")
        self._move(Role.FRONT)
        if failure is not None:
            log.info("term %d could not be served", term.number)
            await self._fail(failure, "this server could not take over")
        else:
            log.log(NOTICE, "this server owns the ledger no more: term %d is over", term.number)

    async def _fail(self, error: Exception, what: str) -> None:
        # A ledger that has lost something may have an owner who writes it back: whoever comes waits for that.
        if not self._started and not isinstance(error, LedgerLost):
            self._failed = error
            self.stopping = True
            self.tell()
            return
        if isinstance(error, ConfigError):
            self._checked = await self._passes()
        await self._pause(error, what)

    async def _pause(self, error: Exception, what: str) -> None:
        """Tell why this server can't own, and wait: another one may be luckier meanwhile.

        Where it is the ledger that can't be used, a later term shows that it can. What is wrong with this
        server's own access is looked at before it stands again. All else is told until it has owned.
        """
        owner = self.ledgers.owner()
        self._over = (0 if owner is None else owner.term) if isinstance(error, LedgerError) else None
        told = f"{what}: {error}"
        self.ledgers.note(told)
        if told != self._told:
            log.error("%s", told, exc_info=None if isinstance(error, DibsError) else error)
        self._told = told
        # What the ledger has lost may be written back at any moment, and no term is begun to look for that.
        failures = 0 if isinstance(error, LedgerLost) else self._failures
        self._failures += 1
        await self._until_stopped(asyncio.sleep(AGAIN[min(failures, len(AGAIN) - 1)]))

    async def _passes(self) -> bool:
        """Whether the check of this server finds nothing wrong, as far as it can be made."""
        with suppress(LedgerError):
            try:
                await self._check()
            except ConfigError:
                return False
        return True

    def _well(self) -> None:
        """Nothing keeps this server from owning."""
        self._failures, self._told, self._over = 0, "", None
        self.ledgers.note("")

    async def _until_stopped(self, work: Awaitable[Any]) -> Any:
        """What comes of ``work``; None where the server goes down first."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            stopped.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)

    def _move(self, role: Role) -> None:
        if role not in _MOVES[self.role]:
            raise RuntimeError(f"a server that is {self.role} can't be {role} next")
        self.role = role
        self.tell()


async def _whatever(work: Awaitable[None], failed: str) -> None:
    """Do what ends a term. If it fails the server stands again all the same: the ledger has what is true."""
    try:
        await work
    except Exception:
        log.exception("%s", failed)

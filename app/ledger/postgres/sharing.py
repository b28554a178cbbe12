"""The part of one server in a ledger that several share: it watches who owns, and stands for owner."""

from __future__ import annotations

import asyncio
import logging
import select
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...errors import LedgerUnavailable
from ..ops import EngineFailed
from ..terms import Copy, Owner, Survey, Term
from . import configurations, losses
from .copies import Copies
from .engine import PostgresEngine
from .fence import Fenced
from .fitness import Able, Fitness, Function, functions_of, others_of
from .ledger import Ledger
from .own_term import OwnTerm
from .pipeline import Broken, Failed, Unsafe
from .promotions import FormerOwner
from .shipped import KEPT_BYTES
from .takeover import take_over
from .terms import Server, key_of, name
from .tokens import Tokens
from .watching import Watch

if TYPE_CHECKING:
    import psycopg

    from ..access import AccessToken
    from ..terms import Configuration

LOOK: Final = 0.1
"""Seconds after which whoever waits for the lock sees whether it still has to."""
AGAIN: Final = 0.25
"""Seconds until a session that was lost is made anew."""

GIVES_WAY: Final = 6
"""Looks at the watch after which an owner that is unfit gives way: what it has seen is 5 s old at most."""
_GONE_WHEN_WE_ARE: Final = "SET client_connection_check_interval = '1s'"
"""Of a session that waits for the lock: it ends when its server does, and is not taken for one that waits."""

T = TypeVar("T")
log = logging.getLogger("dibs.ledger")


class SharedLedger:
    """See :class:`~..terms.Ledgers`. ``url`` names the ledger, ``owner_timeout`` is in seconds.

    ``adopt``: it may have been made in another database cluster. ``able`` says whether this server has the
    code of queues: while it lacks some it stands for owner only where nobody else does, and an owner that
    lacks some gives way to whoever waits for the lock. ``warm``: see the protocol.
    """

    def __init__(
        self,
        url: str,
        *,
        version: str,
        owner_timeout: float,
        adopt: bool = False,
        kept_bytes: int = KEPT_BYTES,
        warm: bool = True,
        able: Able = lambda _: "",
    ) -> None:
        self.server = str(uuid.uuid4())
        self.secret = b""
        self.version = version
        self.warm = warm
        self._ledger = Ledger(url)
        self._tokens = Tokens(self._ledger)
        self._timeout = owner_timeout
        self._adopt = adopt
        self._kept_bytes = kept_bytes
        self._former = FormerOwner(self.server, owner_timeout)
        self._watch: Watch | None = None
        self._fitness = Fitness(able, self._functions, self._judged)
        self._gives_way = 0
        self._term: OwnTerm | None = None
        self._copies = Copies(self._ledger.connect)

    async def open(self, url: str, news: Callable[[], None]) -> None:
        """Look at the database, make the ledger if there is none, and begin to watch.

        Raises:
            ConfigError, LedgerError: the database can't be reached or used.
        """
        loop = asyncio.get_running_loop()
        self._me = Server(self.server, url, self.version)
        try:
            await asyncio.to_thread(self._ledger.check)
            self.secret = await asyncio.to_thread(self._ledger.make, adopt=self._adopt)
            await self._tokens.read()  # they are known, should the database be gone later
        except EngineFailed as error:
            raise LedgerUnavailable(str(error)) from error

        def told() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._told, news)

        self._watch = Watch(self._ledger, self._me, timeout=self._timeout, news=told, lag=self._copies.lag)
        self._watch.start()
        self._fitness.start()

    def _functions(self) -> list[Function] | None:
        return None if self._watch is None else self._watch.functions

    def _judged(self) -> None:
        """Tell the others that this server is unfit; as the owner give way to one that is not.

        Only who is fit waits for the lock while another one has it; who has just seen that it is not may wait
        for a moment longer.
        """
        watch, term = self._watch, self._term
        if watch is None:
            return
        watch.unfit = self._fitness.why
        if term is None or term.lost.is_set() or not watch.unfit or not watch.waiting:
            self._gives_way = 0
            return
        self._gives_way += 1
        if self._gives_way > GIVES_WAY:
            log.warning("another server can own the ledger, and this one can't: %s", watch.unfit)
            _call(term.loop, term.lost.set)

    def _told(self, news: Callable[[], None]) -> None:
        """The owner has changed: a term of ours may be over, though nothing was written since."""
        owner, term = self.owner(), self._term
        if term is not None and owner is not None and term.followed(owner):
            term.lost.set()
        if owner is not None and owner.server != self.server:
            self._copies.leave(owner.term)
        news()

    def copy(self, term: int, lost: Callable[[], None]) -> Copy:
        """Begin a copy of the memory of who owns in this term."""
        return self._copies.begin(term, partial(_call, asyncio.get_running_loop(), lost))

    def owner(self) -> Owner | None:
        """The newest owner that is known."""
        found = None if self._watch is None else self._watch.owner
        if found is None or found.server is None or found.address is None:
            return None
        return Owner(found.term, found.server, found.address)

    def survey(self) -> Survey | None:
        """What was seen last of the servers and their database."""
        watch, now = self._watch, monotonic()
        if watch is None or watch.owner is None or watch.around is None:
            return None
        owner, around = watch.owner, watch.around
        silent = owner.silent + now - watch.looked
        lasts = around.lasts + now - watch.surveyed if watch.surveyed else 0.0
        return Survey(owner.n, owner.term, owner.address, silent, lasts, *around[1:])

    def note(self, text: str) -> None:
        """Tell why this server can't own; empty: it can."""
        if self._watch is not None:
            self._watch.note = text

    def tell(self, troubles: tuple[str, ...]) -> None:
        """Tell what else is not well with this server."""
        if self._watch is not None:
            self._watch.troubles = troubles

    async def access_tokens(self) -> tuple[list[AccessToken], int]:
        """The tokens of the ledger and ledger time, some seconds old."""
        return await self._tokens.read()

    async def configurations(self) -> list[Configuration]:
        """The configurations that servers have brought."""
        return await asyncio.to_thread(self._aside, configurations.read)

    async def keep(self, one: Configuration) -> None:
        """Keep the configuration of a server."""
        await asyncio.to_thread(self._aside, partial(configurations.keep, one=one))

    def _aside(self, do: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do something in a session of its own."""
        import psycopg

        try:
            with self._ledger.connect() as session:
                return do(session)
        except (psycopg.Error, EngineFailed) as error:
            raise LedgerUnavailable(f"the configurations can't be read or kept: {error}") from error

    async def stand(self) -> Term:
        """Wait for the ledger's lock, take the position over, and load.

        Raises:
            LedgerError: the ledger can't be loaded.
        """
        loop = asyncio.get_running_loop()
        given_up = threading.Event()
        lost: list[Callable[[], None]] = []
        moved = partial(_call, loop, lambda: [tell() for tell in lost])
        standing = asyncio.ensure_future(asyncio.to_thread(self._stand, given_up, moved))
        try:
            engine = await asyncio.shield(standing)
        except asyncio.CancelledError:
            given_up.set()
            engine = await standing
            if engine is not None:
                await asyncio.to_thread(engine.close)
            raise
        assert engine is not None  # noqa: S101  # nobody has given up
        self._copies.drop("this server owns now")
        term = self._term = OwnTerm(engine, self.server, self._ledger.connect)
        lost.append(term.lost.set)
        if engine.trouble() is not None:
            term.lost.set()
        return term

    def _stand(self, given_up: threading.Event, moved: Callable[[], None]) -> PostgresEngine | None:
        """Become the owner; None where that was given up."""
        import psycopg

        assert self._watch is not None  # noqa: S101  # whoever stands has opened
        self._watch.standing.set()
        try:
            while not given_up.is_set():
                try:
                    session = self._ledger.connect(writes=True)
                    try:
                        name(session, self._me)
                        if self._is_due(session, given_up) and self._locked(session, given_up):
                            told = (0, 0) if self._term is None else self._term.told
                            losses.check_whole(session, max(self._watch.newest, told))
                            if self._former.goes_first(session):
                                session.close()
                                given_up.wait(AGAIN)
                                continue
                            return take_over(
                                self._ledger,
                                session,
                                self._me,
                                moved=moved,
                                owner_timeout=self._timeout,
                                kept_bytes=self._kept_bytes,
                                warm=self._copies.one,
                            )
                    except BaseException:
                        session.close()  # it may have the lock, for which the next one would wait
                        raise
                    session.close()
                except (psycopg.OperationalError, EngineFailed, Broken, Fenced, Unsafe):
                    self._former.is_cut_off()
                    sleep(AGAIN)  # the database is gone for now, or another one took over
                except (psycopg.Error, Failed) as error:
                    raise LedgerUnavailable(f"the ledger can't be loaded: {error}") from error
            return None
        finally:
            self._watch.standing.clear()

    def _is_due(self, session: psycopg.Connection[Any], given_up: threading.Event) -> bool:
        """Wait until it is on this server to stand; False where that was given up.

        It is if it is fit, or if nobody else has the lock or waits for it.
        """
        while not given_up.is_set():
            if not self._fitness.judge(functions_of(session)) or others_of(session, self._ledger.schema) == (
                0,
                0,
            ):
                return True
            given_up.wait(AGAIN)
        return False

    def _locked(self, session: psycopg.Connection[Any], given_up: threading.Event) -> bool:
        """Wait for the lock; False where that was given up, or this server has become unfit meanwhile."""
        import psycopg

        pgconn = session.pgconn
        with suppress(psycopg.errors.InvalidParameterValue):  # not every system can tell
            session.execute(_GONE_WHEN_WE_ARE)
        pgconn.send_query(f"SELECT pg_advisory_lock({key_of(self._ledger.schema)})".encode())
        pgconn.flush()
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        while pgconn.is_busy():
            if given_up.is_set():
                return False
            if poll.poll(LOOK * 1000):
                pgconn.consume_input()
            elif self._fitness.why:
                session.cancel()  # else it would wait on, and be taken for one that can own
                return False
        refused = ""
        while (answer := pgconn.get_result()) is not None:
            refused = refused or answer.error_message.decode("utf-8", "replace")
        if refused:
            raise EngineFailed(refused.strip())
        return True

    async def close(self) -> None:
        """Look no more; the others are told that this server is gone."""
        self._fitness.stop()
        self._copies.drop("the server goes down")
        watch, self._watch = self._watch, None
        if watch is not None:
            await asyncio.to_thread(watch.stop)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function)

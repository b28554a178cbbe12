"""The common part of all connections: hot calls and their heads, the beginnings of answers, the budget."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ...access.caller import Caller
from ...access.secrets import Credential
from ...cluster.seat import Role
from ..access_log import REQUEST_ID
from ..admission import Door, always
from ..context import Context
from ..operation import Operation, Read
from ..reply import JSON, Headers, Reply
from .budget import Budget
from .copies import Begin, Feeding
from .far import Far, Reaching
from .frames import COPY, PATH, PROTOCOL, Hello
from .framing import RequestHead
from .heads import Heads
from .timer import Timers

if TYPE_CHECKING:
    from ...ledger.terms import Term

_CLOSE: Final = (b"connection", b"close")

SPARED: Final = 64
"""Calls for which a term is not asked again, at most: a turn in which thousands come may look for more."""

logger = logging.getLogger("dibs.api")


class Closes(Protocol):
    """A connection, as the lane knows it."""

    def lose(self, caller: Caller) -> None:
        """Close, if this caller has asked and waits for the answer."""


class Leaves(Protocol):
    """The connection of a front, as the lane knows it."""

    def leave(self) -> None:
        """Hear nothing more from that front."""


class Lane:
    """What all connections of a server share.

    ``hot``: whether hot calls are known here; else the framework answers all. ``dated`` are uvicorn's
    headers, which change once a second. ``far``: what passes hot calls on while another server decides;
    ``fronts``: the connections by which other servers pass theirs on to this one.
    """

    def __init__(self, app: FastAPI, *, hot: bool = True) -> None:
        context: Context = app.state.context
        self.context = context
        self.callers = context.callers
        self.far: Far | None = None
        self.fronts: set[Leaves] = set()
        self.connections: set[Closes] = set()
        context.callers.lost.append(self._lost)
        self.limits = context.limits
        self._always = always(app.version)
        self.heads = Heads(Door(context.settings), _hot_calls(app) if hot else {}, self._lets_in)
        self.budget = Budget(context.limits.unfinished_bytes)
        context.limits.follow(self._changed)
        context.at_turn.append(self._turned)
        self._turned()
        self.timers = Timers()
        self.seat = None if context.front is None else context.front.seat
        self._trusted: Term | None = None  # in this turn of the loop, which has asked it
        self._spared = 0
        if context.front is not None:
            for each in (Reaching(self, context.front), Feeding(context.front)):
                context.at_join.append(each.begin)
                context.at_end.append(each.end)
        self.dated: Headers = []
        self.ok = b""
        self.ending = b"\r\n" + _lines(self._always) + REQUEST_ID + b": "
        self.closed = _lines([_CLOSE])

    def _changed(self) -> None:
        self.heads.forget()
        self.budget.most = self.limits.unfinished_bytes

    def _turned(self) -> None:
        """While another server decides, heads are known only if calls can be passed on to it by frames."""
        self.heads.off = self.context.elsewhere and self.far is None
        self.heads.forget()
        if self.context.elsewhere:
            for front in list(self.fronts):
                front.leave()

    def reach(self, far: Far | None) -> None:
        """Pass hot calls on by these frames; None: there are none now."""
        self.far = far
        self._turned()

    def doubts(self) -> bool:
        """Whether what is in memory may be of a term that is over: the ordinary way asks first.

        The term is asked once for the calls of one turn of the loop, since each of them had begun to come
        before, as the first on its connection: so an answer from memory was true at a moment after its call
        was sent. That is not so for calls that share a connection, see :meth:`doubts_now`.
        """
        term = None if self.seat is None else self.seat.term
        if term is not None and term is self._trusted and self._spared < SPARED:
            self._spared += 1
            return False
        if self.doubts_now():
            return True
        if term is not None:
            if self._trusted is None:
                asyncio.get_running_loop().call_soon(self._trust_no_more)
            self._trusted, self._spared = term, 0
        return False

    def doubts_now(self) -> bool:
        """Whether that is so at this moment.

        For a connection of many callers: what is read of it may have been sent while this process was
        stopped in the middle of a turn, by callers whom a later owner had answered already.
        """
        term = None if self.seat is None else self.seat.term
        return term is not None and not term.trusted()

    def _trust_no_more(self) -> None:
        self._trusted = None

    def greets(self, head: RequestHead) -> bool:
        """Whether a request asks for frames, by a front that can read the database, of the owner."""
        front = self.context.front
        if head.path != PATH or front is None or self.context.elsewhere:
            return False
        term, headers = front.seat.term, dict(head.headers)
        hello = Hello.read(headers.get(b"dibs-hello", b""), front.secret())
        return (
            hello is not None
            and headers.get(b"upgrade") == PROTOCOL
            and term is not None
            and hello.term == term.number
            and (self.callers.book.locked or not hello.exposed)
        )

    def feeds(self, head: RequestHead) -> Begin | None:
        """What begins a copy, where a request asks for one of its sender's memory, and that is the owner."""
        front, headers = self.context.front, dict(head.headers)
        if head.path != PATH or headers.get(b"upgrade") != COPY or front is None:
            return None
        seat, hello = front.seat, Hello.read(headers.get(b"dibs-hello", b""), front.secret(), COPY)
        if hello is None or not seat.ledgers.warm or seat.role is not Role.FRONT:
            return None
        known = seat.owner()
        return partial(seat.ledgers.copy, hello.term) if known is None or known.term <= hello.term else None

    def _lets_in(self, shown: Credential | None) -> bool:
        book = self.callers.book
        return not book.locked or (shown is not None and book.caller(shown) is not None)

    def _lost(self, caller: Caller) -> None:
        """Close the connections on which somebody asks who may do so no more."""
        for connection in list(self.connections):
            connection.lose(caller)

    def date(self, headers: Headers) -> None:
        """Renew the headers, as the date has changed."""
        self.ok = STATUS_LINE[200] + _lines([*headers, JSON]) + b"content-length: "
        self.dated = headers

    def head_of(self, reply: Reply, headers: Headers, given: bytes, signed: bytes, *, close: bool) -> bytes:
        """All of an answer but its body. ``given``: its id. ``signed``: the lines that say whose it is."""
        lines = _lines([*headers, *reply.raw_headers, *self._always, (REQUEST_ID, given)])
        return b"%b%b%b%b\r\n" % (
            STATUS_LINE[reply.status_code],
            lines,
            signed,
            self.closed if close else b"",
        )


def _hot_calls(app: FastAPI) -> dict[str, Read]:
    """The operations that are hot calls, by the last part of their paths."""
    return {
        route.path.rpartition("/")[2]: route.read
        for route in app.routes
        if isinstance(route, Operation) and route.read.hot and "POST" in (route.methods or ())
    }


def _lines(headers: Headers) -> bytes:
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])

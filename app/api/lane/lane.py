"""The common part of all connections: hot calls and their heads, the beginnings of answers, the budget."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ...access.caller import Caller
from ...access.secrets import Credential
from ..access_log import REQUEST_ID
from ..admission import Door, always
from ..context import Context
from ..operation import Operation, Read
from ..reply import JSON, Headers, Reply
from .budget import Budget
from .heads import Heads
from .timer import Timers

_CLOSE: Final = (b"connection", b"close")

logger = logging.getLogger("dibs.api")


class Closes(Protocol):
    """A connection, as the lane knows it."""

    def lose(self, caller: Caller) -> None:
        """Close, if this caller has asked and waits for the answer."""


class Lane:
    """What all connections of a server share.

    ``hot``: whether hot calls are known here; else the framework answers all. ``dated`` are uvicorn's
    headers, which change once a second.
    """

    def __init__(self, app: FastAPI, *, hot: bool = True) -> None:
        context: Context = app.state.context
        self.context = context
        self.callers = context.callers
        self.connections: set[Closes] = set()
        context.callers.lost.append(self._lost)
        self.limits = context.limits
        self._always = always(app.version)
        self.heads = Heads(Door(context.settings), _hot_calls(app) if hot else {}, self._lets_in)
        self.budget = Budget(context.limits.unfinished_bytes)
        context.limits.follow(self._changed)
        self.timers = Timers()
        self.dated: Headers = []
        self.ok = b""
        self.ending = b"\r\n" + _lines(self._always) + REQUEST_ID + b": "
        self.closed = _lines([_CLOSE])

    def _changed(self) -> None:
        self.heads.forget()
        self.budget.most = self.limits.unfinished_bytes

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

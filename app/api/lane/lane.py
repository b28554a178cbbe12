"""The common part of all connections: hot calls and their heads, the beginnings of answers, the budget."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ...errors import DibsError
from .. import bodies
from ..admission import Admission, always, cut_off, no_app
from ..context import Context
from ..problems import internal_error, reply_to
from ..reply import JSON, Headers, Reply
from ..requests import SETTLES
from .budget import Budget
from .heads import Heads, Route

_CLOSE: Final = (b"connection", b"close")

logger = logging.getLogger("dibs.api")


class Lane:
    """What all connections of a server share.

    ``hot``: whether hot calls are known here; else the framework answers all. ``dated`` are uvicorn's
    headers, which change once a second.
    """

    def __init__(self, context: Context, *, version: str, hot: bool = True) -> None:
        self.context = context
        self._always = always(version)
        self.limits = context.limits
        front = Admission(no_app, settings=context.settings, version=version)
        self.heads = Heads(front, self._routes() if hot else {})
        self.budget = Budget(context.limits.unfinished_bytes)
        self.dated: Headers = []
        self.ok = b""
        self.ending = b"\r\n" + _lines(self._always)
        self.closed = _lines([_CLOSE])

    def _routes(self) -> dict[str, Route]:
        """All hot calls, by the last part of their paths."""
        limits, reader = self.limits, self.context.reader
        items = max(limits.items_bytes, limits.body_bytes)
        small = min(limits.body_bytes, bodies.LARGE)
        routes = {
            "next": Route(reader.take_query, fixed=reader.take, text=True),
            "block": Route(reader.block_query, fixed=reader.block),
            "lease": Route(reader.no_query, read=reader.leasing, limit=small, optional=True),
            "items": Route(reader.no_query, limit=items),
        }
        for verb in SETTLES:
            limit = items if verb == "settle" else limits.body_bytes
            routes[verb] = Route(reader.no_query, read=partial(reader.settling, verb), limit=limit)
        return routes

    def date(self, headers: Headers) -> None:
        """Renew the headers, as the date has changed."""
        self.ok = STATUS_LINE[200] + _lines([*headers, JSON]) + b"content-length: "
        self.dated = headers

    def head_of(self, reply: Reply, headers: Headers, signed: bytes, *, close: bool) -> bytes:
        """All of an answer but its body. ``signed``: the lines that say whose it is."""
        lines = _lines([*headers, *reply.raw_headers, *self._always])
        return b"%b%b%b%b\r\n" % (
            STATUS_LINE[reply.status_code],
            lines,
            signed,
            self.closed if close else b"",
        )

    def refusal(self, error: BaseException) -> Reply:
        """The answer to a call that raised, as the front door makes it."""
        if isinstance(error, DibsError):
            return reply_to(error)
        if isinstance(error, Exception):
            logger.error("a hot call", exc_info=error)
            return internal_error()
        return reply_to(cut_off())


def _lines(headers: Headers) -> bytes:
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])

"""The common part of all connections of the fast lane: known heads, and the beginnings of answers."""

from __future__ import annotations

import logging
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ...errors import DibsError
from ...ledger.serve import Key
from ..admission import Admission, always, cut_off, no_app
from ..context import Context
from ..keys import read_key
from ..problems import internal_error, reply_to
from ..reply import JSON, Headers, Reply
from .budget import Budget
from .calls import Calls
from .heads import Heads

_CLOSE: Final = (b"connection", b"close")

logger = logging.getLogger("dibs.api")


class Lane:
    """The fast lane of all connections of a server.

    ``hot``: whether hot calls are known here; else the framework answers all. ``dated`` are uvicorn's
    headers, which change once a second.
    """

    def __init__(self, context: Context, *, version: str, hot: bool = True) -> None:
        self._always = always(version)
        front = Admission(no_app, settings=context.settings, version=version)
        calls = Calls(context)
        self.call = calls.call
        self.heads = Heads(front, calls.routes() if hot else {})
        self.limits = context.limits
        self.budget = Budget(context.limits.unfinished_bytes)
        self.dated: Headers = []
        self.ok = b""
        self.ending = b"\r\n" + _lines(self._always)
        self.closed = _lines([_CLOSE])

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

    def read_key(self, raw: bytes | None, sequence: bytes | None) -> Key | None:
        """The idempotency key, and its number; None: it is refused, the ordinary way."""
        try:
            return read_key(raw, sequence, self.limits.key_bytes)
        except DibsError:
            return None

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

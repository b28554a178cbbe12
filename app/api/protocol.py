"""uvicorn's HTTP protocol; what it can't parse is a problem like any other, and its memory is bounded."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..config import version
from .front import always
from .problems import RequestRefused, reply_to

HEAD_LIMIT: Final = 65_536
"""Bytes of a request's line and headers. More than clients send; without it they would be kept for ever."""
_REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class Protocol(HttpToolsProtocol):
    """The httptools protocol, with problems where it would answer in plain text, and a limit on headers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._heads = 0
        self._head_bytes = 0
        self.between = True  # nothing of the next request has come

    def data_received(self, data: bytes) -> None:
        """Parse; give up on headers that don't end."""
        heads, in_head = self._heads, self._in_head
        super().data_received(data)
        if not in_head or not self._in_head or self._heads != heads:
            self._head_bytes = 0  # what came was of a body, or the head ended in it
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse("headers-too-large", f"the headers are over {HEAD_LIMIT} bytes", HEAD_LIMIT)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is over, the body begins."""
        self._in_head = False
        self._heads += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is over, the next head may begin."""
        self._in_head = self.between = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, and close."""
        self._refuse("malformed", "this is not a valid HTTP/1.1 request")

    def _refuse(self, name: str, detail: str, limit: int | None = None) -> None:
        reply = reply_to(RequestRefused(name, detail, field="headers" if limit else None, limit=limit))
        headers = [*reply.raw_headers, *always(version()), (b"connection", b"close")]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        status = b"HTTP/1.1 %d %s\r\n" % (reply.status_code, _REASONS[reply.status_code])
        self.transport.write(b"".join([status, *lines, b"\r\n", bytes(reply.body)]))
        self.transport.close()

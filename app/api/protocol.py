"""uvicorn's HTTP protocol; what it can't parse is answered like everything else."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.front import always
from app.api.problems import RequestRefused, reply_to
from app.config import version

_START = b"HTTP/1.1 400 Bad Request\r\n"


class Protocol(HttpToolsProtocol):
    """The httptools protocol, with a problem where it would answer in plain text."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, and close."""
        reply = reply_to(RequestRefused("malformed", "this is not a valid HTTP/1.1 request"))
        headers = [*reply.raw_headers, *always(version()), (b"connection", b"close")]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(b"".join([_START, *lines, b"\r\n", bytes(reply.body)]))
        self.transport.close()

"""Reads the head of a message, by the strict parser; ``content`` reads its body.

The bytes after a message are left where they are: they belong to the next one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

import httptools

from ..guards import HEADERS_MOST, check_authority
from ..problems import RequestRefused, malformed
from .content import Chunked, Fixed

END: Final = b"\r\n\r\n"
HEAD_BYTES: Final = 65_536
"""Bytes of a request's line and headers. More than clients send; without it they would be kept for ever."""

LINES_MOST: Final = HEADERS_MOST + 2 + 2
"""The first line, the headers, and the blank one; and two headers between servers, which count for nobody."""

_VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)([^?]*)(.*)", re.IGNORECASE | re.DOTALL)
_BLANK: Final = re.compile(rb"[\r\n]*")


@dataclass(slots=True)
class RequestHead:
    """The line and the headers of a request. ``length`` is that of its body; None: it comes in chunks."""

    method: str
    version: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    length: int | None

    def body(self) -> Fixed | Chunked | None:
        """The reader of the body; None if there is none."""
        if self.length is None:
            return Chunked()
        return Fixed(self.length) if self.length else None


class HeadReader:
    """One head, fed in any pieces; nothing after its blank line may be fed."""

    def __init__(self) -> None:
        self.size = 0
        self.keyed = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self._keep_alive = False
        self._line = b""
        self._tail = b""
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            RequestRefused: It is not HTTP/1.1 (400), too large (431), or in a coding that is not known (501).
        """
        if len(self._headers) + data.count(b"\n") > LINES_MOST:
            raise RequestRefused(
                "headers-too-large",
                f"there are more than {HEADERS_MOST} headers",
                field="headers",
                limit=HEADERS_MOST,
            )
        self.size += len(data)
        if self.size > HEAD_BYTES:
            raise RequestRefused(
                "headers-too-large",
                f"the headers are over {HEAD_BYTES} bytes",
                field="headers",
                limit=HEAD_BYTES,
            )
        if b"\n" not in self._line:
            self._line += data.partition(b"\n")[0] + (b"\n" if b"\n" in data else b"")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nobody takes an upgrade here: it is a request like all others
        except httptools.HttpParserError as error:
            self._refuse(error)

    def feed_until_end(self, data: bytes, at: int) -> int:
        """Read on from ``at``, to the end of the head or of ``data``; where that was.

        Raises:
            RequestRefused: As ``feed``.
        """
        before = len(self._tail)
        found = (self._tail + data[at : at + HEAD_BYTES]).find(END)
        end = len(data) if found < 0 else at + found - before + len(END)
        self.feed(data[at:end])
        self._tail = (self._tail + data[at:end])[-3:]
        return end

    def head(self) -> RequestHead:
        """The head, once it was fed whole.

        Raises:
            RequestRefused: As ``feed``.
        """
        if not self._line.rstrip(b"\r\n").endswith(_VERSIONS) or not self.complete:
            raise malformed("this is not a valid HTTP/1.1 request")
        method, version = self._parser.get_method().decode("ascii"), self._parser.get_http_version()
        length = self._length(version)
        path, query = self._target(method)
        keep_alive = version == "1.1" and self._keep_alive
        return RequestHead(method, version, path, query, self._headers, keep_alive, length)

    def _length(self, version: str) -> int | None:
        length: int | None = 0
        for name, value in self._headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                self._check_coding()
                if version == "1.0":
                    raise malformed("HTTP/1.0 has no Transfer-Encoding", "Transfer-Encoding")
                length = None
        return length

    def _target(self, method: str) -> tuple[bytes, bytes]:
        """The path and the query. A whole URL must name this server, as Host does."""
        target = self._url
        if method == "CONNECT":
            raise RequestRefused("not-implemented", "there are no tunnels here (CONNECT)", field="CONNECT")
        if b"#" in target:
            raise malformed("a fragment (#) is no part of a request's target")
        if not target.startswith(b"/") and target != b"*":
            target = self._path_of(target)
        path, _, query = target.partition(b"?")
        return path, query

    def _path_of(self, url: bytes) -> bytes:
        found = _ABSOLUTE.fullmatch(url)
        if found is None:
            raise malformed("a request's target is a path, or a URL of http or https")
        authority, path, query = found.groups()
        check_authority(authority, "the URL")
        hosts = [value for name, value in self._headers if name == b"host"]
        if not hosts:
            self._headers.append((b"host", authority))
        elif hosts[0].lower() != authority.lower():
            raise malformed("Host is another one than the URL's", "Host")
        return (path or b"/") + query

    def _check_coding(self) -> None:
        """Refuse all transfer codings but chunked."""
        for name, value in self._headers:
            codings = [coding.strip(b" \t") for coding in value.lower().split(b",")]
            if name == b"transfer-encoding" and set(codings) != {b"chunked"}:
                raise RequestRefused(
                    "not-implemented",
                    "of the codings in Transfer-Encoding only chunked is known here",
                    field="Transfer-Encoding",
                    limit="chunked",
                )
            if name == b"transfer-encoding" and len(codings) > 1:
                raise malformed("a body is chunked once", "Transfer-Encoding")

    def _refuse(self, error: Exception) -> NoReturn:
        self._check_coding()
        why = str(error) if type(error) is httptools.HttpParserError else ""
        field = next((name for name in ("Transfer-Encoding", "Content-Length") if name in why), None)
        raise malformed("this is not a valid HTTP/1.1 request" + (why and f": {why}"), field) from None

    # -- what the parser tells

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        name = name.lower()
        self.keyed |= name.startswith(b"idempotency-")
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The blank line after the headers. What the parser says of the connection it forgets after that."""
        self.complete = True
        self._keep_alive = self._parser.should_keep_alive()


def blank_until(data: bytes, at: int) -> int:
    """Where the blank lines end that may stand before a request (RFC 9112 section 2.2)."""
    found = _BLANK.match(data, at)
    return found.end() if found else at


def head_too_slow(patience: float) -> RequestRefused:
    """408, which names the limit."""
    return RequestRefused(
        "head-timeout", f"the head took over {patience:g} seconds", field="head", limit=patience
    )

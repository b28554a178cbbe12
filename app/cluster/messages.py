"""What of a request and of its answer is passed on, and what belongs to one connection alone."""

from __future__ import annotations

from typing import Any, Final

from .origin import HOPS, Headers, target_of

_OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers of one connection (RFC 9110 section 7.6.1). What else a client names in ``Connection`` is passed
on, for the owner's answer to the client itself does not depend on that either."""
_DATED: Final = b"date"
EVENTS: Final = b"text/event-stream"


NOT_OWNER: Final = (b"dibs-owner", b"another")
"""In an answer between servers: it did nothing, and another server is to be asked."""


def request_head(scope: Any, origin: tuple[bytes, bytes]) -> bytes:
    """The head of a request as it is passed on; how its body comes is told anew, as it is sent."""
    lines = [b"%b %b HTTP/1.1" % (scope["method"].encode("ascii"), target_of(scope))]
    headers = [each for each in scope["headers"] if each[0] not in _OF_A_CONNECTION]
    if is_chunked(scope):
        headers.append((b"transfer-encoding", b"chunked"))
    lines += [name + b": " + value for name, value in [*headers, (HOPS, b"1"), origin]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def is_chunked(scope: Any) -> bool:
    """Whether the body has no length that was announced."""
    return any(name == b"transfer-encoding" for name, _ in scope["headers"])


def waits_to_go_on(scope: Any) -> bool:
    """Whether the client sends its body only when it is told to (Expect)."""
    headers = dict(scope["headers"])
    has_body = is_chunked(scope) or headers.get(b"content-length", b"0").strip(b"0 ") != b""
    return has_body and bool(headers.get(b"expect", b"").lower() == b"100-continue")


def chunk(piece: bytes) -> bytes:
    """A part of a body whose length was not announced."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def answer_headers(headers: Headers) -> Headers:
    """The headers of an answer as they are passed on; the date is told by whoever sends it."""
    return [each for each in headers if each[0] not in _OF_A_CONNECTION and each[0] != _DATED]


def streams_events(headers: Headers) -> bool:
    """Whether an answer is a stream of events, which a client follows by asking again when it ends."""
    return any(name == b"content-type" and value.startswith(EVENTS) for name, value in headers)

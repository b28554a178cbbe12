"""Ready answers: bytes and headers, sent as they are."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
PROBLEM: Final = (b"content-type", b"application/problem+json")
REPLAYED: Final = (b"idempotent-replayed", b"true")


class Reply(Response):
    """An answer whose bytes are made already; nothing is rendered or looked up. JSON gets a final newline."""

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        *,
        content: tuple[bytes, bytes] = JSON,
        headers: Headers | None = None,
    ) -> None:
        if body and (content is JSON or content is PROBLEM):
            body += b"\n"  # else a shell's prompt stands behind the answer
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [content, (b"content-length", b"%d" % len(body))]
        if headers:
            self.raw_headers += headers


class NoContent(Reply):
    """204: nothing to hand out now, without a body or a type."""

    def __init__(self) -> None:
        super().__init__(b"", 204)
        self.raw_headers = []

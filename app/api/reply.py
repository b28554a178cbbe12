"""Ready answers: bytes and headers, sent as they are."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
PROBLEM: Final = (b"content-type", b"application/problem+json")
NO_CONTENT: Final = 204
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
        described = [content, (b"content-length", b"%d" % len(body))]
        self.raw_headers = [*(described if status != NO_CONTENT else ()), *(headers or ())]

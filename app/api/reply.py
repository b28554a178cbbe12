"""Ready answers: bytes and headers, sent as they are. A problem names the request that it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
PROBLEM: Final = (b"content-type", b"application/problem+json")
NO_CONTENT: Final = 204
REQUEST: Final = "dibs.request"
"""In a scope: the id of the request."""
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
        self.problem: Mapping[str, Any] | None = None
        self.background = None
        described = [content, (b"content-length", b"%d" % len(body))]
        self.raw_headers = [*(described if status != NO_CONTENT else ()), *(headers or ())]

    @classmethod
    def of_problem(cls, problem: Mapping[str, Any], status: int, headers: Headers) -> Reply:
        """A problem; its body is made when the id of its request is known, by :meth:`name`."""
        reply = cls(b"", status, content=PROBLEM, headers=headers)
        reply.problem = problem
        return reply

    def name(self, request: bytes) -> None:
        """Say in a problem which request it answers, by its id; other answers have it in a header alone."""
        if self.problem is not None:
            told = {**self.problem, "request_id": request.decode("ascii")}
            self.body = json.dumps(told).encode("ascii") + b"\n"
            self.raw_headers[1] = (b"content-length", b"%d" % len(self.body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as the framework does."""
        self.name(scope.get(REQUEST, b""))
        await super().__call__(scope, receive, send)

"""Answers to a body that is still coming: said at once, before the rest of it."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from .reply import Reply

DRAIN_BYTES: Final = 8 * 1024 * 1024
DRAIN_SECONDS: Final = 2.0
CLOSE: Final = (b"connection", b"close")


class Early(Reply):
    """Answer now, close when the rest of the body has been thrown away, or has become too much.

    Closing at once would reset the connection under a client that is still sending, and it would never
    read the answer.
    """

    def __init__(self, reply: Reply) -> None:
        self.status_code, self.body, self.background = reply.status_code, reply.body, None
        self.raw_headers = [*(header for header in reply.raw_headers if header != CLOSE), CLOSE]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then drain."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while drained < DRAIN_BYTES:
                    message = await receive()
                    drained += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        break
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})

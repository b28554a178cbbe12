"""The body of a request that is passed on: as it comes, and kept, so that it can be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any


class Body:
    """One body. Up to ``most`` bytes of it are kept; of a larger one nothing is.

    ``kept`` is told how many bytes are. ``gone``: the client has left. ``failure``: why the rest can't come.
    """

    def __init__(self, receive: Callable[[], Any], most: int, kept: Callable[[int], None]) -> None:
        self.gone = False
        self.failure: Exception | None = None
        self._receive = receive
        self._most = most
        self._tell = kept
        self._size = 0
        self._pieces: list[bytes] | None = []
        self._whole = self._given = False

    @property
    def again(self) -> bool:
        """Whether the body can be sent again from its beginning."""
        return self._pieces is not None

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of the body: what is kept of it, then what comes. It ends early when the client has gone.

        Raises:
            Exception: The rest does not come, or is no body; ``failure`` has it, too.
        """
        for piece in self._pieces or ():
            yield piece
        while not self._whole and not self.gone:
            piece = await self._next()
            if piece:
                yield piece

    async def _next(self) -> bytes:
        try:
            message = await self._receive()
        except Exception as error:
            self.failure = error
            raise
        if message["type"] != "http.request":
            self.gone = True
            return b""
        self._whole = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._keep(piece)
        return piece

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._pieces is not None and self._size <= self._most:
            self._pieces.append(piece)
            self._tell(self._size)
        else:
            self._pieces = None
            self._tell(0)

    async def until_gone(self) -> None:
        """Wait until the client leaves; the body is whole."""
        while not self.gone:
            message = await self._receive()
            self.gone = message["type"] != "http.request"

    async def receive(self) -> Any:
        """Give the body to an application of this server, from its beginning."""
        if not self._given:
            self._given = True
            if self._whole or self._pieces:
                body = b"".join(self._pieces or ())
                return {"type": "http.request", "body": body, "more_body": not self._whole}
        return await self._receive()

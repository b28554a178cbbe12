"""The pool: links to the owner that wait for their next request."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from ..ledger.terms import Owner
from .link import Link

IDLE_SECONDS: Final = 30.0
"""How long a link may wait: less than the owner's patience, so that no request meets the owner's close."""
IDLE_MOST: Final = 256
CONNECT_SECONDS: Final = 2.0


class Pool:
    """Makes links and keeps those that are idle, of one owner at a time. Lives on the event loop.

    ``tls`` is what an owner's certificate is verified by.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._term = 0
        self._idle: list[Link] = []

    async def link(self, owner: Owner) -> Link:
        """A link to the owner: one that is idle, the last that was used, or a new one.

        Raises:
            OSError, TimeoutError: The owner can't be reached.
        """
        self._follow(owner.term)
        loop = asyncio.get_running_loop()
        while self._idle:
            link = self._idle.pop()
            if link.alive and loop.time() - link.idle_since < IDLE_SECONDS:
                return link
            link.abort()
        url = urlsplit(owner.url)
        host, port = url.hostname or "", url.port or 0
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await loop.create_connection(
                lambda: Link(loop), host, port, ssl=self.tls if url.scheme == "https" else None
            )
        return link

    def give_back(self, link: Link, term: int) -> None:
        """Keep a link for another request, if it can have one."""
        if link.reusable and term == self._term and len(self._idle) < IDLE_MOST:
            self._idle.append(link)
        else:
            link.abort()

    def _follow(self, term: int) -> None:
        if term != self._term:
            self.close()
            self._term = term

    def close(self) -> None:
        """Close the links that are idle."""
        for link in self._idle:
            link.abort()
        self._idle.clear()

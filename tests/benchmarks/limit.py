"""The limit of POST /next in Python: a protocol on uvloop that parses nothing, and syncs one page a round.

    python tests/benchmarks/limit.py PORT FILE

It answers the bytes of a hand-out to whatever comes. What came in one round is counted, written over the same
page of FILE by a thread, synced, and answered: the group commit of a ledger, without the ledger. What a
service does beyond that (heads, keys, draws, the ledger's statements, statistics) can only make it slower.
"""

from __future__ import annotations

import asyncio
import os
import sys
from queue import SimpleQueue
from threading import Thread
from typing import cast

import uvloop

PAGE = 4096
HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Fri, 27 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
    b"dibs-version: 0.5.0\r\nx-content-type-options: nosniff\r\n\r\n%b"
)


class Rounds:
    """As ``dibs.queue.rounds``: who asks while a round is on its way to the disk is in the next one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._loop = loop
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(self._file, bytes(PAGE), 0)
        os.fsync(self._file)
        self._cursor = 0
        self._asked: list[asyncio.WriteTransport] = []
        self._under_way = False
        self._line: SimpleQueue[tuple[int, list[asyncio.WriteTransport]]] = SimpleQueue()
        Thread(target=self._commit, daemon=True).start()

    def take(self, transport: asyncio.WriteTransport) -> None:
        """Take one for this connection."""
        if not self._asked and not self._under_way:
            self._loop.call_soon(self._begin)
        self._asked.append(transport)

    def _begin(self) -> None:
        self._under_way = bool(self._asked)
        if self._under_way:
            asked, self._asked = self._asked, []
            self._line.put((self._cursor, asked))
            self._cursor += len(asked)

    def _commit(self) -> None:
        while True:
            cursor, asked = self._line.get()
            os.pwrite(self._file, cursor.to_bytes(8, "big") + bytes(PAGE - 8), 0)
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(self._answer, cursor, asked)

    def _answer(self, cursor: int, asked: list[asyncio.WriteTransport]) -> None:
        for seq, transport in enumerate(asked, cursor + 1):
            body = f'{{"queue":"default","seq":{seq},"value":{seq}}}'.encode()
            transport.write(HEAD % (len(body), body))
        self._loop.call_soon(self._begin)


class Connection(asyncio.Protocol):
    """Takes each read for one request, as those of a client without pipelining are."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """A request."""
        self._rounds.take(self._transport)


async def main() -> None:
    loop = asyncio.get_running_loop()
    rounds = Rounds(loop, sys.argv[2])
    server = await loop.create_server(lambda: Connection(rounds), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

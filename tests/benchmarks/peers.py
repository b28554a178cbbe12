"""Clients of Redis and beanstalkd: a write of all that a round trip can carry, then one read."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import NamedTuple

import uvloop
from load import VALUE
from servers import Server

ITEM = b'"%b"' % VALUE.encode()


class Trips(NamedTuple):
    """Round trips a second, and the shares of their cores that the peer and its load had."""

    rate: float
    busy: float
    load: float


def trips(peer: Server, make: Callable[[], Trip], seconds: float, connections: int) -> Trips:
    """The round trips of all connections together. RuntimeError: the figure would be wrong."""
    theirs, mine, began = peer.cpu(), time.process_time(), time.perf_counter()
    done = uvloop.run(_trips(peer.port, make, seconds, connections))
    took = time.perf_counter() - began
    return Trips(done / took, (peer.cpu() - theirs) / took, (time.process_time() - mine) / took)


async def _trips(port: int, make: Callable[[], Trip], seconds: float, connections: int) -> int:
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(make, "127.0.0.1", port))[1] for _ in range(connections)]
    overs = [trip.over for trip in made]
    await asyncio.wait(overs, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for trip in made:
        trip.stopping = True
    await asyncio.wait_for(asyncio.gather(*overs), 30)
    return sum(trip.done for trip in made)


class RanDry(RuntimeError):
    """A list had too few items for the time of the measurement."""


class Trip(asyncio.Protocol):
    """One connection: ``request`` is sent, its whole answer awaited, and again."""

    def __init__(self) -> None:
        self.done = 0
        self.stopping = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    def request(self) -> bytes:
        raise NotImplementedError

    def complete(self, buffer: bytes) -> bool:
        """Whether the answer is all there. ``RuntimeError``: it is none that can be counted."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self.request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            if not self.complete(self._buffer):
                return
        except RuntimeError as error:
            self.connection_lost(error)
            return
        self._buffer = b""
        self.done += 1
        if self.stopping:
            self.over.set_result(None)
            self._transport.close()
        else:
            self._transport.write(self.request())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(error or RuntimeError("the peer closed the connection"))
        self._transport.abort()


def command(*words: bytes) -> bytes:
    """A command of Redis."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class RedisWork(Trip):
    """Move ``many`` items to this worker's list, and remove those of the trip before from it.

    Both in one pipeline, each item with an LREM of its own, since each is done by itself; from the end where
    the oldest stands, so that nothing is searched.
    """

    many = 1
    workers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self._mine: list[bytes] = []
        self._sent = 0
        self._list = b"work:%d" % next(self.workers)
        self._moves = command(b"LMOVE", b"jobs", self._list, b"RIGHT", b"LEFT") * self.many

    def request(self) -> bytes:
        done = [command(b"LREM", self._list, b"-1", item) for item in self._mine]
        self._sent = len(done)
        return b"".join(done) + self._moves

    def complete(self, buffer: bytes) -> bool:
        if b"$-1\r\n" in buffer:
            raise RanDry("the list ran dry")
        if buffer.startswith(b"-"):
            raise RuntimeError(buffer[:200].decode("latin-1"))
        if buffer.count(b"\r\n") < self._sent + 2 * self.many:  # :1, and $length with a value on its own line
            return False
        self._mine = buffer.split(b"\r\n")[self._sent + 1 : self._sent + 2 * self.many : 2]
        return True


class RedisHundreds(RedisWork):
    many = 100


class BeanstalkPuts(Trip):
    """A hundred puts in one pipeline."""

    puts = b"put 0 0 60 %d\r\n%b\r\n" % (len(ITEM), ITEM) * 100

    def request(self) -> bytes:
        return self.puts

    def complete(self, buffer: bytes) -> bool:
        if not buffer.startswith(b"INSERTED"):
            raise RuntimeError(buffer[:200].decode("latin-1"))
        return buffer.count(b"\r\n") >= 100


def fill_redis(peer: Server, items: int) -> None:
    """Push so many items of 42 bytes."""

    async def fill() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        for first in range(0, items, 1000):
            values = [b"%d %b" % (number, ITEM[9:]) for number in range(first, first + 1000)]
            writer.write(command(b"LPUSH", b"jobs", *values))
            await reader.readline()
        writer.close()

    uvloop.run(fill())

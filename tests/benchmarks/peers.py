"""Servers in C that do the same work: Redis, durable before it answers, and beanstalkd, durable soon after.

Their clients are written here, on uvloop, and send what a round trip can carry: a write, then one
read. ``Peer.busy`` tells whether the server was what held it up: the share of its core that it used.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from service import LOAD_CORE, SERVER_CORE, free_port

CONNECTIONS = 16
VALUE = b'"' + b"x" * 40 + b'"'  # 42 bytes


class Peer:
    """A server on one core; stopped at the end. Missing: it is not installed."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self.missing = shutil.which(command[0]) is None
        self.busy = 0.0
        if self.missing:
            return
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        asyncio.run(self._ready())

    async def _ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise SystemExit(f"port {self.port} does not answer")

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rate(self, make: Callable[[], Round], seconds: float) -> float:
        """Round trips a second of all connections together."""
        before, began = self.cpu(), time.perf_counter()
        loop = uvloop.new_event_loop()
        try:
            trips = loop.run_until_complete(_load(self.port, make, seconds))
        finally:
            loop.close()
        took = time.perf_counter() - began
        self.busy = (self.cpu() - before) / took
        return trips / took

    def stop(self) -> None:
        if not self.missing:
            self.process.terminate()
            self.process.wait(10)


class Round(asyncio.Protocol):
    """One connection: ``request`` is sent, its whole answer awaited, and again."""

    def __init__(self) -> None:
        self.trips = 0
        self.stopping = False
        self.over = asyncio.get_running_loop().create_future()
        self._buffer = b""

    def request(self) -> bytes:
        raise NotImplementedError

    def complete(self, buffer: bytes) -> bool:
        """Whether the answer is all there."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self.request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.complete(self._buffer):
            return
        self._buffer = b""
        self.trips += 1
        if self.stopping:
            self._transport.close()
            self.over.set_result(None)
        else:
            self._transport.write(self.request())


async def _load(port: int, make: Callable[[], Round], seconds: float) -> int:
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(make, "127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.sleep(seconds)
    for _, protocol in made:
        protocol.stopping = True
    await asyncio.gather(*(protocol.over for _, protocol in made))
    return sum(protocol.trips for _, protocol in made)


# -- Redis


def redis(folder: Path) -> Peer:
    port = free_port()
    folder.mkdir()
    options = ["--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    return Peer(["redis-server", *options, "--appendfsync", "always"], port)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class RedisWork(Round):
    """Move ``many`` items to this worker's list, and remove those of the round before from it.

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

    def request(self) -> bytes:
        done = [_command(b"LREM", self._list, b"-1", item) for item in self._mine]
        self._sent = len(done)
        return b"".join(done) + _command(b"LMOVE", b"jobs", self._list, b"RIGHT", b"LEFT") * self.many

    def complete(self, buffer: bytes) -> bool:
        lines = buffer.count(b"\r\n")
        if lines < self._sent + 2 * self.many:  # :1, and $length with a value on a line of its own
            return False
        parts = buffer.split(b"\r\n")
        self._mine = parts[self._sent + 1 : self._sent + 2 * self.many : 2]
        return True


class RedisHundreds(RedisWork):
    many = 100


def fill_redis(peer: Peer, items: int) -> None:
    async def fill() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        for first in range(0, items, 1000):
            values = [b"%d %b" % (number, VALUE[9:]) for number in range(first, first + 1000)]
            writer.write(_command(b"LPUSH", b"jobs", *values))
            await reader.readline()
        writer.close()

    asyncio.run(fill())


# -- beanstalkd


def beanstalkd(folder: Path) -> Peer:
    """With its log, as it is by default: synced every 50 ms, and answered before (``-f0`` syncs each put)."""
    port = free_port()
    folder.mkdir()
    return Peer(["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", str(folder)], port)


class BeanstalkPuts(Round):
    """A hundred puts in one pipeline."""

    many = 100

    def request(self) -> bytes:
        return b"put 0 0 60 %d\r\n%b\r\n" % (len(VALUE), VALUE) * self.many

    def complete(self, buffer: bytes) -> bool:
        return buffer.count(b"\r\n") >= self.many

"""Servers in C that do the same work: Redis, durable before it answers, and beanstalkd, durable soon after.

Their clients are written here, on uvloop, and send what a round trip can carry: a write, then one
read. ``Peer.busy`` and ``Peer.load`` tell what held it up: the shares of their cores that server and load
used. Where neither is near 100 %, it was the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
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
        self.busy = self.load = 0.0
        if self.missing:
            return
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            asyncio.run(self._ready())
        except BaseException:
            self.stop()
            raise

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
        before, mine, began = self.cpu(), time.process_time(), time.perf_counter()
        loop = uvloop.new_event_loop()
        try:
            trips = loop.run_until_complete(_load(self.port, make, seconds))
        finally:
            loop.close()
        took = time.perf_counter() - began
        self.busy = (self.cpu() - before) / took
        self.load = (time.process_time() - mine) / took
        return trips / took

    def stop(self) -> None:
        if self.missing:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Round(asyncio.Protocol):
    """One connection: ``request`` is sent, its whole answer awaited, and again."""

    def __init__(self) -> None:
        self.trips = 0
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
            self._fail(error)
            return
        self._buffer = b""
        self.trips += 1
        if self.stopping:
            self.over.set_result(None)
            self._transport.close()
        else:
            self._transport.write(self.request())

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the peer closed the connection"))

    def _fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)
        self._transport.abort()


async def _load(port: int, make: Callable[[], Round], seconds: float) -> int:
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(make, "127.0.0.1", port) for _ in range(CONNECTIONS)]
    overs = [protocol.over for _, protocol in made]
    await asyncio.wait(overs, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for _, protocol in made:
        protocol.stopping = True
    try:
        await asyncio.wait_for(asyncio.gather(*overs), 30)
    except (RuntimeError, OSError, TimeoutError) as error:
        raise SystemExit(f"the peer's figure would be wrong: {error!r}") from None
    finally:
        for transport, _ in made:
            transport.abort()
        await asyncio.gather(*overs, return_exceptions=True)  # each has been told
    return sum(protocol.trips for _, protocol in made)


# -- Redis


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Peer]:
    """Synced before it answers, once for all that came in one turn of its loop; not rewritten meanwhile."""
    port = free_port()
    folder.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
    peer = Peer(["redis-server", *options], port)
    try:
        yield peer
    finally:
        peer.stop()


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
        if b"$-1\r\n" in buffer:
            raise RuntimeError("the list ran dry: fill in more")
        if buffer.startswith(b"-"):
            raise RuntimeError(buffer[:200].decode("latin-1"))
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


@contextlib.contextmanager
def beanstalkd(folder: Path, *, durable: bool = False) -> Iterator[Peer]:
    """With its log, as it is by default: synced every 50 ms, answered before; ``durable``: each put."""
    port = free_port()
    folder.mkdir()
    command = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", str(folder)]
    peer = Peer([*command, "-f0"] if durable else command, port)
    try:
        yield peer
    finally:
        peer.stop()


class BeanstalkPuts(Round):
    """A hundred puts in one pipeline."""

    many = 100

    def request(self) -> bytes:
        return b"put 0 0 60 %d\r\n%b\r\n" % (len(VALUE), VALUE) * self.many

    def complete(self, buffer: bytes) -> bool:
        if not buffer.startswith(b"INSERTED"):
            raise RuntimeError(buffer[:200].decode("latin-1"))
        return buffer.count(b"\r\n") >= self.many

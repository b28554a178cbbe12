"""Rows of requests that wait: what they cost others, and what they cost while little or nothing comes."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import httpx
import uvloop
from figures import Figure, Run
from load import PUSH_AND_LEASE, Load, script, wrk
from servers import Server, dibs

WINDOW = 10  # seconds, while each of those that wait does so for 30
PUSHES = 10


def parked(run: Run) -> None:
    """Push 1 + lease 1 in turn: 64 connections that all push first; and 164 of which 100 lease first, and so
    there are 100 that wait at any time, as each push serves one and its connection leases then."""
    with dibs(run.folder) as server:
        for number in run.rounds():
            for name, connections, first in (("none", 64, 0), ("hundred", 164, 100)):
                load, waiting = _push_and_lease(run, server, f"{name}{number}", connections, first)
                run.add(**{name: load.rate, f"{name}_micros": load.micros, f"{name}_waiting": waiting})


def _push_and_lease(run: Run, server: Server, queue: str, connections: int, first: int) -> tuple[Load, int]:
    httpx.put(f"{server.url}/queues/{queue}", json={}).raise_for_status()
    lua = script(PUSH_AND_LEASE, QUEUE=queue, FIRST_LEASE=first)
    with ThreadPoolExecutor() as pool:
        loading = pool.submit(wrk, server, "/", run.seconds, lua, connections=connections)
        time.sleep(run.seconds / 2)
        waiting = [server.get(f"/queues/{queue}/stats")["waiting"] for _ in range(5)]
        return loading.result(), max(waiting)


PARKED = (
    Figure("push 1 + lease 1, 164 connections of which 100 wait, against 64", "hundred", "none", 0.9),
    Figure("… its time", "hundred_micros", "none_micros", most=True, unit=" µs"),
    Figure("… the most that waited at five looks", "hundred_waiting", unit=""),
)


def idle(run: Run) -> None:
    """Many that wait: ten seconds in which nothing comes, and ten in which a push comes each second."""
    with dibs(run.folder, "jobs", "paused") as server:
        httpx.post(f"{server.url}/queues/paused/pause").raise_for_status()
        for _ in run.rounds():
            uvloop.run(_paused(run, server))
            for many in (1_000, 10_000):
                uvloop.run(_idle(run, server, many))


async def _paused(run: Run, server: Server) -> None:
    crowd = await Crowd.gather(server, "paused", 1_000)
    run.add(paused=await _window(server))
    await crowd.leave()


async def _idle(run: Run, server: Server, many: int) -> None:
    crowd = await Crowd.gather(server, "jobs", many)
    quiet = await _window(server)
    await crowd.leave()
    crowd = await Crowd.gather(server, "jobs", many)
    memory, used = server.memory(), server.cpu()
    async with httpx.AsyncClient(base_url=server.url) as client:
        for number in range(PUSHES):
            then = time.perf_counter()
            await client.post("/queues/jobs/items", json={"items": [{"value": number}]})
            crowd.took.append(await asyncio.wait_for(crowd.served.get(), 30) - then)
            await asyncio.sleep(WINDOW / PUSHES)
    used = server.cpu() - used
    await crowd.leave()
    name = f"idle{many}"
    run.add(**{name: quiet, f"{name}_push": (used - quiet) / PUSHES * 1000, f"{name}_memory": memory})
    run.add(**{f"{name}_took": statistics.median(crowd.took) * 1000})


async def _window(server: Server) -> float:
    """Seconds of processor time that the server used in a window."""
    used = server.cpu()
    await asyncio.sleep(WINDOW)
    return server.cpu() - used


class Crowd:
    """Connections that each wait for a lease; ``served`` are the moments at which one came."""

    def __init__(self, server: Server, queue: str) -> None:
        self.server, self.queue = server, queue
        self.members: list[Member] = []
        self.served: asyncio.Queue[float] = asyncio.Queue()
        self.took: list[float] = []

    @classmethod
    async def gather(cls, server: Server, queue: str, many: int) -> Crowd:
        crowd = cls(server, queue)
        loop = asyncio.get_running_loop()
        for _ in range(many):
            member = (await loop.create_connection(lambda: Member(crowd), "127.0.0.1", server.port))[1]
            crowd.members.append(member)
        await crowd.waits_for(many)
        return crowd

    async def waits_for(self, many: int) -> None:
        for _ in range(300):
            if self.server.get(f"/queues/{self.queue}/stats")["waiting"] == many:
                await asyncio.sleep(0.5)  # what the look itself cost is over
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{many} should wait")

    async def leave(self) -> None:
        for member in self.members:
            member.transport.abort()
        await self.waits_for(0)


class Member(asyncio.Protocol):
    """Leases one item, waiting as long as may be."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        body = b'{"wait":30,"ttl":600}'
        head = b"POST /queues/%b/lease HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        length = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        self.transport.write(head % self._crowd.queue.encode() + length)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 200"):
            self._crowd.served.put_nowait(time.perf_counter())


IDLE = (
    Figure("1,000 wait, 10 s: processor time", "idle1000", target=0.05, most=True, unit=" s"),
    Figure("… on a paused queue", "paused", target=0.05, most=True, unit=" s"),
    Figure("… a push into them: time beyond that", "idle1000_push", target=1, most=True, unit=" ms"),
    Figure("… from the push to its consumer", "idle1000_took", unit=" ms"),
    Figure("… memory", "idle1000_memory", unit=" MB"),
    Figure("10,000 wait, 10 s: processor time", "idle10000", target=0.05, most=True, unit=" s"),
    Figure("… a push into them: time beyond that", "idle10000_push", target=1, most=True, unit=" ms"),
    Figure("… from the push to its consumer", "idle10000_took", unit=" ms"),
    Figure("… memory", "idle10000_memory", unit=" MB"),
)

"""Work over HTTP, in one run: server on one core, the load on the other.

    python tests/benchmarks/work.py [--rounds 5] [--seconds 4] [--waiters 1000]

Needs wrk (Debian's package) and taskset. Every answer is on disk before it is sent, and every request is a
2xx. Nothing here fails because of a clock. The ledger alone is measured in ``engine.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import httpx
from counting import PUSH, push_hundreds, worked
from rich.console import Console
from service import LOAD_CORE, Report, Server, dibs, wrk

REDIS_SINGLES, REDIS_HUNDREDS = (
    22_000,
    262_000,
)  # Streams, appendfsync always: measured on such a machine once


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--waiters", type=int, default=1000)
    chosen = options.parse_args()
    report = Report()
    report.table.title = "dibs, work over HTTP"
    with tempfile.TemporaryDirectory() as folder:
        settling(Path(folder), report, chosen.rounds, chosen.seconds)
        waiting(Path(folder), report, chosen.waiters)
    Console(width=130).print(report.table)


def settling(folder: Path, report: Report, rounds: int, seconds: int) -> None:
    """Lease and ack, over and over: settle a lease and take the next one in one request."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        with dibs(folder / "work", "ids=count", "jobs") as server:
            push = PUSH.replace("BODY", json.dumps(json.dumps({"items": [{"value": "x" * 40}] * 100})))
            pushed, _ = wrk(f"{server.url}/queues/jobs/items", seconds, script=push, connections=16)
            rates["push 100"].append(100 * pushed)
            for many in (100, 1):
                rates[f"ids {many}"].append(worked(server, "ids", many, seconds))
                rates[f"jobs {many}"].append(worked(server, "jobs", many, seconds, push_hundreds))
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, what in (("ids", "from count()"), ("jobs", "pushed, 42 bytes each")):
        hundreds, singles = median[f"{name} 100"], median[f"{name} 1"]
        report.row(
            f"ack 100 + lease 100, {what}, 16 connections", f"{hundreds:,.0f} items/s", "1", hundreds, 100_000
        )
        report.table.add_row(
            f"ack 1 + lease 1, {what}, 64 connections",
            f"{singles:,.0f} items/s",
            f"Redis Streams elsewhere: {REDIS_SINGLES:,}",
            f"{singles / REDIS_SINGLES:.2f}",
            "",
            "",
        )
    report.table.add_row("push 100, 16 connections", f"{median['push 100']:,.0f} items/s", "", "", "", "")


def waiting(folder: Path, report: Report, waiters: int) -> None:
    """A crowd waits for work; one item after the other is pushed, and reaches one of them."""
    with dibs(folder / "waiting", "jobs") as server:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        idle = server.memory()
        latencies, memory = asyncio.run(_crowd(server, waiters, 300))
        ordered = sorted(latencies)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        report.row(
            f"{waiters:,} wait: from a push to its consumer, p99 (p50 {p50 * 1000:.1f} ms)",
            f"{p99 * 1000:.1f} ms",
            "ms",
            p99 * 1000,
            50,
            most=True,
        )
        report.row(
            "… the server's memory", f"{memory:.0f} MB", f"MB; {idle:.0f} idle", memory, 100, most=True
        )


async def _crowd(server: Server, waiters: int, pushes: int) -> tuple[list[float], float]:
    got: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    port = int(server.url.rpartition(":")[2])
    consumers = [asyncio.ensure_future(_consume(port, got)) for _ in range(waiters)]
    async with httpx.AsyncClient(base_url=server.url) as client:
        while (await client.get("/queues/jobs/stats")).json()["waiting"] < waiters:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        latencies = []
        for number in range(pushes):
            began = time.perf_counter()
            await client.post("/queues/jobs/items", json={"items": [{"value": number}]})
            _, came = await got.get()
            latencies.append(came - began)
            await asyncio.sleep(0.01)
        memory = server.memory()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    return latencies, memory


async def _consume(port: int, got: asyncio.Queue[tuple[str, float]]) -> None:
    """Lease with the longest wait, again and again, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"wait":30,"ttl":600}'
    request = (
        b"POST /queues/jobs/lease HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    while True:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        came = time.perf_counter()
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        answer = await reader.readexactly(int(length or 0))
        if answer:
            got.put_nowait((answer.decode(), came))


if __name__ == "__main__":
    main()

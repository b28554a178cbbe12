"""The client's iterators, in one run: a real server on one core, one client on the other.

    python tests/benchmarks/client.py [--rounds 3] [--seconds 2] [--only sync,async]

Jobs a second of ``for job in queue.lease()`` with the default settings, and with batches set by hand; a job
counts when the server has confirmed its ack, and the time runs from the first request until everything is
given back. Medians of the rounds; ratios are what counts. Needs taskset. Nothing here fails because of a
clock.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dibs.client import AsyncClient, Client
from rich.console import Console
from rich.table import Table
from servers import LOAD_CORE, Server, dibs

BATCHES = (None, 1, 10, 100, 1000)
WORK = {"instant": 0.0, "1 ms a job": 0.001, "20 ms a job": 0.02}
LEAST = 0.5
QUEUES = {"count()": "ids", "pushed": "jobs"}
PUSHED = 500_000
FASTEST = 300_000  # jobs a second that nobody does


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--only", default="sync,async", help="sync, async or both")
    options.add_argument("--pushed", type=int, default=PUSHED, help="items of 42 bytes; 0: only count()")
    chosen = options.parse_args()
    ways = {"sync": leased, "async": lambda *how: asyncio.run(aleased(*how))}
    with tempfile.TemporaryDirectory() as folder, dibs(Path(folder) / "data", "ids=count", "jobs") as server:
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        rows = [(way, "count()", work) for way in chosen.only.split(",") for work in WORK]
        tables = [taking(server, chosen.seconds)]
        if chosen.pushed:
            tables.append(pushing(server, chosen.pushed))
            rows += [(way, "pushed", "instant") for way in chosen.only.split(",")]
        table = Table("iterator", "queue", "work", *map(_name, BATCHES), "default / best", "holds")
        table.title = "for job in queue.lease(batch=…): jobs a second"
        for way, queue, work in rows:
            print(f"{way}, {queue}, {work} …", file=sys.stderr)
            table.add_row(way, queue, work, *compare(ways[way], server, queue, work, chosen))
    for each in [table, *tables]:
        Console(width=130).print(each)


def _name(batch: int | None) -> str:
    return "default" if batch is None else f"batch={batch:,}"


def compare(
    measure: Callable[..., float], server: Server, queue: str, work: str, chosen: argparse.Namespace
) -> list[str]:
    """One row: the batches take turns, so that what disturbs the machine disturbs them alike."""
    rates: dict[int | None, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(chosen.rounds):
        for batch in BATCHES:
            enough = top_up(server, chosen.seconds) if queue == "pushed" else math.inf
            how = (server.url, QUEUES[queue], batch, WORK[work], chosen.seconds, enough)
            rates[batch].append(measure(*how))
    median = [statistics.median(rates[batch]) for batch in BATCHES]
    ratio = median[0] / max(median[1:])
    return [
        *(f"{rate:,.0f}" for rate in median),
        f"{ratio:.2f} (≥ {LEAST})",
        "yes" if ratio >= LEAST else "[red]no",
    ]


def top_up(server: Server, seconds: float) -> int:
    """Push what may be done in so many seconds; how many items wait then."""
    with Client(server.url) as client:
        queue = client.queue("jobs")
        enough = int(seconds * FASTEST)
        queue.push("x" * 40 for _ in range(enough - queue.info().waiting))
    return enough


def leased(url: str, queue: str, batch: int | None, work: float, seconds: float, enough: float) -> float:
    """Acks a second."""
    with Client(url) as client:
        began = time.perf_counter()
        with client.queue(queue).lease(batch=batch) as leases:
            for job in leases:
                with job:
                    if work:
                        time.sleep(work)
                if time.perf_counter() - began > seconds or leases.counts.begun >= enough:
                    break
        return leases.counts.acked / (time.perf_counter() - began)


async def aleased(
    url: str, queue: str, batch: int | None, work: float, seconds: float, enough: float
) -> float:
    """The same with asyncio."""
    async with AsyncClient(url) as client:
        began = time.perf_counter()
        async with client.queue(queue).lease(batch=batch) as leases:
            async for job in leases:
                with job:
                    if work:
                        await asyncio.sleep(work)
                if time.perf_counter() - began > seconds or leases.counts.begun >= enough:
                    break
        return leases.counts.acked / (time.perf_counter() - began)


def taking(server: Server, seconds: float) -> Table:
    """``for n in queue`` takes one at a time by its promise; ``take(n)`` is what it is to be told from."""
    table = Table(
        "taking for good, sync", "values a second", title="no batch: what is taken can't be given back"
    )
    with Client(server.url) as client:
        queue = client.queue("ids")
        table.add_row("for n in queue", f"{_rate(iter(queue), seconds, lambda _: 1):,.0f}")
        for count in (1, 100, 1000):
            parts = iter(lambda: queue.take(count), None)  # noqa: B023
            table.add_row(f"queue.take({count:,})", f"{_rate(parts, seconds, len):,.0f}")
    return table


def _rate(parts: Iterable[object], seconds: float, size: Callable[..., int]) -> float:
    done, began = 0, time.perf_counter()
    for part in parts:
        done += size(part)
        if (took := time.perf_counter() - began) > seconds:
            return done / took
    raise SystemExit("it came to an end")


def pushing(server: Server, items: int) -> Table:
    """``push(iterable)``, with chunks of the default size and others. Who leases them finds them there."""
    table = Table("queue.push(iterable), sync", "items a second", title="42 bytes each; by chunk")
    with Client(server.url) as client:
        queue = client.queue("jobs")
        for how in ({}, {"chunk": 100}, {"chunk": 1000}, {"chunk": 10_000}):
            share = items // 10 if how else items - 3 * (items // 10)
            began = time.perf_counter()
            queue.push(("x" * 40 for _ in range(share)), **how)
            table.add_row(str(how or "default"), f"{share / (time.perf_counter() - began):,.0f}")
    return table


if __name__ == "__main__":
    main()

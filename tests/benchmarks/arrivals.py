"""How long an item is on its way, from the commit of an application that pushed it to a worker that waits."""

from __future__ import annotations

import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Final

import psycopg
from dibs import Client
from figures import Figure, Run
from pgbench import CLIENTS, PgBench
from servers import Server

APART: Final = 0.4
"""Seconds between two pushes of a client, in the mean: 40 a second come, so that somebody waits for each."""


def arrivals(run: Run, floor: PgBench, server: Server) -> None:
    """Push by 16 sessions at random instants, while one worker of our own client waits for items."""
    queue = Client(server.url).queue("mails")
    got: dict[int, float] = {}
    over = Event()

    def works() -> None:
        for job in queue.lease():
            got[job.value] = perf_counter()
            job.ack()
            if over.is_set() and not job.value:
                return

    worker = Thread(target=works, daemon=True)
    worker.start()
    for number in run.rounds():
        with ThreadPoolExecutor(CLIENTS) as clients:
            sent = [
                clients.submit(_pushes, floor.url, (number * CLIENTS + client) * 1_000_000, run.seconds)
                for client in range(CLIENTS)
            ]
            committed = {value: at for each in sent for value, at in each.result().items()}
        while committed.keys() - got.keys():
            sleep(0.01)
        took = statistics.quantiles([(got[value] - at) * 1000 for value, at in committed.items()], n=100)
        run.add(median=took[49], last=took[98])
    over.set()
    with psycopg.connect(floor.url) as session:
        session.execute("SELECT dibs.push('mails', '0')")
    worker.join()


def _pushes(url: str, first: int, seconds: int) -> dict[int, float]:
    """Push values from ``first`` on for so long, each in a transaction; when each had committed."""
    committed = {}
    with psycopg.connect(url, autocommit=True) as session:
        end = perf_counter() + seconds
        while (now := perf_counter()) < end:
            sleep(min(random.expovariate(1 / APART), end - now))
            first += 1
            session.execute("SELECT dibs.push('mails', %s::text::jsonb)", [str(first)])
            committed[first] = perf_counter()
    return committed


ARRIVALS: Final = (
    Figure("from the commit of a push to a worker that waits, p99", "last", target=60, most=True, unit=" ms"),
    Figure("… its median", "median", most=True, unit=" ms"),
)

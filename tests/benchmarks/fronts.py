"""Rows of several servers on one ledger in PostgreSQL: what a front spares its owner, and who is next."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import psycopg
from figures import Figure, Run
from load import SEQUENCED, TAKE, each, script, wrk
from pgbench import pgbench
from servers import LOAD_CORE, Server, dibs

BESIDE = ("taskset", "-c", LOAD_CORE)


def server_of(url: str) -> Server:
    """One of several servers."""
    return dibs(url, "default=count", before=BESIDE)  # type: ignore[arg-type]


LOADS = (
    ("plain", "", TAKE, wrk, 64),
    ("keyed", "?wait=20", SEQUENCED, each, 64),
    ("lone", "", TAKE, wrk, 1),
    ("many", "", TAKE, wrk, 256),
)


def fronts(run: Run) -> None:
    """The owner's processor time for a take that a front passed on, and for one of its own."""
    with pgbench() as floor, server_of(floor.url) as owner, server_of(floor.url) as front:
        for _ in run.rounds():
            for name, query, lua, load, connections in LOADS:
                path, ask = f"/next{query}", partial(load, connections=connections)
                own = ask(owner, path, run.seconds, script(lua))
                before, own_time = owner.cpu(), own.micros
                passed = ask(front, path, run.seconds, script(lua))
                used = (owner.cpu() - before) / passed.requests * 1e6
                run.add(**{f"{name}_own": own_time, f"{name}_passed": used, f"{name}_front": passed.micros})
            run.add(**_half(run, owner, front))


def _half(run: Run, owner: Server, front: Server) -> dict[str, float]:
    """Takes for a second of the owner's processor time: all clients at the owner, and half at the front."""
    whole = wrk(owner, "/next", run.seconds)
    before, beside = owner.cpu(), front.cpu()
    with ThreadPoolExecutor(2) as pool:
        loads = [
            pool.submit(wrk, server, "/next", run.seconds, TAKE, connections=32) for server in (owner, front)
        ]
        requests = sum(load.result().requests for load in loads)
    used = owner.cpu() - before
    return {
        "whole": 1e6 / whole.micros,
        "half": requests / used,
        "half_front": (front.cpu() - beside) / requests * 1e6,
    }


FRONTS = (
    Figure(
        "owner's time of a forwarded take, against its own HTTP · 64",
        "plain_passed",
        "plain_own",
        0.4,
        True,
        " µs",
    ),
    Figure("… the front's own time", "plain_front", unit=" µs"),
    Figure("… with sequenced keys", "keyed_passed", "keyed_own", 0.5, True, " µs"),
    Figure("… the front's own time", "keyed_front", unit=" µs"),
    Figure("… one connection: a batch for each take", "lone_passed", "lone_own", most=True, unit=" µs"),
    Figure("… 256 connections: more takes in a batch", "many_passed", "many_own", most=True, unit=" µs"),
    Figure(
        "takes for a second of the owner's time, half of the clients at a front, against none",
        "half",
        "whole",
        1.4,
    ),
    Figure("… the front's own time for each of all takes", "half_front", unit=" µs"),
)


def failover(run: Run) -> None:
    """Seconds from the end of an owner to the first answer of the other server."""
    for number, stop in enumerate((signal.SIGKILL, signal.SIGSTOP)):
        with pgbench() as floor:
            for _ in run.rounds():
                with server_of(floor.url) as owner, server_of(floor.url) as other:
                    _answer(other, f"{number}-{time.time()}")
                    os.kill(_dibs(owner), stop)
                    begun = time.monotonic()
                    _answer(other, f"{number}-{time.time()}")
                    run.add(**{stop.name: time.monotonic() - begun})
                    os.kill(_dibs(owner), signal.SIGKILL)


def warm(run: Run) -> None:
    """The same with so many ranges of items inside, and a warm copy at the other server."""
    with pgbench() as floor:
        with dibs(floor.url, "default=count", "jobs", before=BESIDE):  # type: ignore[arg-type]
            pass
        with psycopg.connect(floor.url) as session:
            session.execute(_RANGES, (RANGES,))
            session.execute(_COUNTED, (RANGES,))
        for number in run.rounds():
            with server_of(floor.url) as owner, server_of(floor.url) as other:
                while not _is_copied(owner):
                    time.sleep(0.1)
                os.kill(_dibs(owner), signal.SIGKILL)
                begun = time.monotonic()
                _answer(other, f"{number}-{begun}")
                run.add(warm=time.monotonic() - begun)


def _is_copied(owner: Server) -> bool:
    cluster = owner.get("/stats")["cluster"]
    return cluster is not None and any(each["lag"] is not None for each in cluster["servers"])


def _dibs(server: Server) -> int:
    """The process itself; taskset has become it."""
    return server.process.pid


def _answer(server: Server, key: str) -> None:
    """Ask with one key until there is an answer."""
    with httpx.Client(timeout=30) as client:
        while True:
            answer = client.post(f"{server.url}/next", headers={"Idempotency-Key": key})
            if answer.status_code == 200:
                return
            time.sleep(0.005)


RANGES = 1_000_000
_RANGES = """
INSERT INTO dibs.run SELECT id, i, i, 0, i, 0, 0, NULL, '', 0, 0, 0, 0, 0
FROM dibs.queue, generate_series(1, %s) AS i WHERE name = 'jobs'
"""
_COUNTED = """
UPDATE dibs.counter SET cursor = base + %s FROM dibs.queue WHERE id = counter.queue AND name = 'jobs'
"""
KILLED = "owner killed with 1,000,000 ranges inside: first answer elsewhere"
WARM = (Figure(KILLED, "warm", target=1.0, most=True, unit=" s"),)

FAILOVER = (
    Figure("owner killed: first answer elsewhere", "SIGKILL", target=1.0, most=True, unit=" s"),
    Figure("owner stopped: first answer elsewhere", "SIGSTOP", target=5.5, most=True, unit=" s"),
)

"""Rows of requests for numbers."""

from __future__ import annotations

import httpx
from figures import Figure, Run
from load import FRESH, IN_TURN, SEQUENCED, TAKE, each, script, wrk
from servers import Server, bare, dibs, limit

KINDS = {  # of a request: its query, and its script
    "plain": ("", TAKE),
    "waiting": ("?wait=20", TAKE),
    "fresh": ("?wait=20", FRESH),
    "sequenced": ("?wait=20", SEQUENCED),
}


def as_sent(run: Run, server: Server, connections: int) -> None:
    """A plain take, and takes as our own client sends them: with a key, counted in a session, waiting."""
    for name, (query, lua) in KINDS.items():
        load = each(server, f"/next{query}", run.seconds, script(lua), connections=connections)
        run.add(**{name: load.micros, f"{name}_rate": load.rate})


def many(run: Run) -> None:
    with dibs(run.folder) as server:
        for _ in run.rounds():
            as_sent(run, server, 64)


MANY = (
    Figure(
        "time of a take, fresh key, wait=20, against a plain one · 64", "fresh", "plain", 2.4, True, " µs"
    ),
    Figure("… sequenced key", "sequenced", "plain", 1.5, True, " µs"),
    Figure("rate with wait=20, against without · 64", "waiting_rate", "plain_rate", 0.95),
)


def lone(run: Run) -> None:
    with dibs(run.folder / "data") as server, bare("durable", run.folder / "floor.db") as floor:
        for _ in run.rounds():
            as_sent(run, server, 1)
            load = wrk(floor, "/next", run.seconds, connections=1)
            run.add(floor=load.micros, floor_rate=load.rate)


LONE = (
    Figure("time of a take, fresh key, wait=20, against a plain one · 1", "fresh", "plain", 1.4, True, " µs"),
    Figure("… sequenced key", "sequenced", "plain", 1.4, True, " µs"),
    Figure("a plain one, against bare ASGI that commits a row · 1", "plain", "floor", 1.15, True, " µs"),
    Figure("… its rate", "plain_rate", "floor_rate"),
)


def durable(run: Run) -> None:
    """Durable /next beside an application that keeps nothing, and beside one that parses nothing."""
    with dibs(run.folder / "data") as server, bare("memory") as floor, limit(run.folder / "page") as most:
        for _ in run.rounds():
            for name, each in (("ours", server), ("floor", floor), ("limit", most)):
                load = wrk(each, "/next", run.seconds)
                run.add(**{name: load.rate, f"{name}_p99": load.p99})


NEXT = (
    Figure("durable /next, against bare ASGI on uvicorn, from memory · 64", "ours", "floor", 1.6),
    Figure("… its p99", "ours_p99", "floor_p99", 1.0, True, " ms"),
    Figure("… against a protocol that parses nothing and syncs a page a round", "ours", "limit"),
)


def keys(run: Run) -> None:
    """Rates with keys, beside many that are on file."""
    with dibs(run.folder) as server:
        filed = 0
        while filed < run.options.filed:
            filed += wrk(server, "/next", 5, script(FRESH)).requests
        for _ in run.rounds():
            for name, lua in (("plain", TAKE), ("fresh", FRESH), ("sequenced", SEQUENCED)):
                run.add(**{name: each(server, "/next", run.seconds, script(lua)).rate})


KEYS = (
    Figure("/next with fresh keys beside those filed, against without · 64", "fresh", "plain", 0.6),
    Figure("… with sequenced keys", "sequenced", "plain", 0.8),
)


def queues(run: Run) -> None:
    """A thousand queues in turn, and one."""
    with dibs(run.folder) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for number in range(1, 1001):
                client.put(f"/queues/q{number}", json={"source": "count"}).raise_for_status()
        for _ in run.rounds():
            for name, number in (("one", 1), ("thousand", 1000)):
                written, commits = server.written(), server.get()["ledger"]["commits"]
                run.add(**{name: wrk(server, "/", run.seconds, script(IN_TURN, QUEUES=number)).rate})
                commits = server.get()["ledger"]["commits"] - commits
                run.add(**{f"{name}_bytes": (server.written() - written) / commits})


QUEUES = (
    Figure("1,000 queues in turn, against one · 64", "thousand", "one", 0.65),
    Figure("… bytes that a commit writes", "thousand_bytes", "one_bytes", unit=" B"),
)


def source(run: Run) -> None:
    """A generator that only counts, and ``count``."""
    text = "def numbers():\n    n = 0\n    while True:\n        n += 1\n        yield n\n"
    (run.folder / "ours.py").write_text(text)
    queues = ("default=count()", "ours=ours:numbers()")
    with dibs(run.folder / "data", *queues, PYTHONPATH=str(run.folder)) as server:
        for _ in run.rounds():
            for name, path in (("count", "/next"), ("generator", "/queues/ours/next")):
                load = wrk(server, path, run.seconds)
                run.add(**{name: load.rate, f"{name}_micros": load.micros})


SOURCE = (
    Figure("a generator that only counts, against count · 64", "generator", "count", 0.7),
    Figure("… its time", "generator_micros", "count_micros", most=True, unit=" µs"),
)


def batches(run: Run) -> None:
    """Many numbers for one request, and requests of many connections."""
    paths = {"hundred": (100, "/next?count=100"), "thousand": (1000, "/next?count=1000")}
    paths["block"] = (1000, "/queues/default/block?size=1000")
    with dibs(run.folder) as server:
        for _ in run.rounds():
            run.add(one=wrk(server, "/next", run.seconds).rate)
            run.add(crowd=wrk(server, "/next", run.seconds, connections=1000).rate)
            for name, (count, path) in paths.items():
                run.add(**{name: count * wrk(server, path, run.seconds, connections=16).rate})


BATCHES = (
    Figure("/next, 1,000 connections, against 64", "crowd", "one", 0.8),
    Figure("/next?count=100, values", "hundred", target=1_500_000),
    Figure("/next?count=1000, values", "thousand", target=1_500_000),
    Figure("block?size=1000, numbers", "block", target=1_500_000),
)


def slow_disk(run: Run) -> None:
    """Requests that share a sync when each sync takes 10 ms more."""
    slow = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e")
    with dibs(run.folder, before=(*slow, "inject=fdatasync,fsync:delay_enter=10000")) as server:
        for _ in run.rounds():
            for connections in (64, 256):
                syncs = server.get()["ledger"]["syncs"]
                requests = wrk(server, "/next", run.seconds, connections=connections).requests
                run.add(**{f"at_{connections}": requests / (server.get()["ledger"]["syncs"] - syncs)})
            lone = wrk(server, "/next", run.seconds, connections=1)
            run.add(lone=1000 / lone.rate)


SLOW_DISK = (
    Figure("requests a sync of 10 ms more · 64", "at_64", target=20, unit=""),
    Figure("… · 256", "at_256", target=80, unit=""),
    Figure("… a lone request", "lone", target=15, most=True, unit=" ms"),
)

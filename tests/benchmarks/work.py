"""Rows of work: settling and leasing, pushing; counted by the ledger, as a lease of nothing is a 2xx too."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator

from figures import Figure, Run
from load import HUNDRED, PUSH, SETTLE, VALUE, each, push, script, wrk
from peers import BeanstalkPuts, RanDry, RedisHundreds, RedisWork, fill_redis, trips
from servers import Server, beanstalkd, dibs, redis


def settled(run: Run, server: Server, queue: str, many: int, *, keyed: bool = False) -> tuple[float, float]:
    """Items a second that were acked, each with the lease of another, and the server's microseconds for one.

    A pushed queue is filled up before; where it ran dry the measurement is made again with more.
    """
    need = run.seconds * (30_000 if many == 1 else 400_000)
    while True:
        before = state(server, queue)
        if queue == "jobs":
            push(server, queue, need - before["waiting_items"])
        lua = script(SETTLE, MANY=many, KEYED=str(keyed).lower())
        load = each(server, f"/queues/{queue}/settle", run.seconds, lua, connections=64 if many == 1 else 16)
        after = state(server, queue)
        if queue != "jobs" or after["waiting_items"]:
            items = min(many * load.requests, after["acked"] - before["acked"])
            return items / load.requests * load.rate, load.micros * load.requests / items
        need *= 2


def state(server: Server, queue: str) -> dict[str, int]:
    return server.get(f"/queues/{queue}/stats")


def check(server: Server, *names: str) -> None:
    """RuntimeError: the counters of a queue do not add up."""
    for name in names:
        if not (found := server.get(f"/queues/{name}/audit"))["balanced"]:
            raise RuntimeError(f"the counters do not add up: {found}")


def by_redis(run: Run, number: int, kind: type[RedisWork], connections: int) -> None:
    """The same work by Redis; where its list ran dry it is measured again with more."""
    for more in itertools.count():
        with redis(run.folder / f"redis{number}-{more}") as peer:
            fill_redis(peer, (run.seconds * (60_000 if kind.many == 1 else 600_000)) << more)
            try:
                found = trips(peer, kind, run.seconds, connections)
            except RanDry:
                continue
        break
    run.add(redis=kind.many * found.rate, redis_busy=100 * found.busy, redis_load=100 * found.load)


def singles(run: Run) -> None:
    """Settle 1 + lease 1 beside Redis, and beside plain takes."""
    with dibs(run.folder / "data", "jobs", "default=count()") as server:
        for number in run.rounds():
            run.add(take=each(server, "/next", run.seconds).micros)
            for name, queue, keyed in (
                ("keyed", "jobs", True),
                ("plain", "jobs", False),
                ("count", "default", True),
            ):
                rate, micros = settled(run, server, queue, 1, keyed=keyed)
                run.add(**{f"{name}_rate": rate, name: micros})
            by_redis(run, number, RedisWork, 64)
        check(server, "jobs", "default")


REDIS = (
    Figure("… share of its core that Redis had", "redis_busy", unit=" %"),
    Figure("… and its load", "redis_load", unit=" %"),
)
WORK = (
    Figure(
        "settle 1 + lease 1, pushed, sequenced keys, against Redis synced · 64", "keyed_rate", "redis", 1.2
    ),
    Figure("… without keys", "plain_rate", "redis"),
    Figure("… of count, sequenced keys", "count_rate", "redis"),
    Figure("… its time (sequenced), against a plain take's", "keyed", "take", 2.3, True, " µs"),
    Figure("… its time without keys", "plain", "take", most=True, unit=" µs"),
    *REDIS,
)


def hundreds(run: Run) -> None:
    """Settle 100 + lease 100 beside Redis."""
    with dibs(run.folder / "data", "jobs", "ids=count()") as server:
        for number in run.rounds():
            for queue in ("ids", "jobs"):
                run.add(**{queue: settled(run, server, queue, 100)[0]})
            by_redis(run, number, RedisHundreds, 16)
        check(server, "jobs", "ids")


HUNDREDS = (
    Figure("settle 100 + lease 100, count, against Redis synced · 16", "ids", "redis", 0.95 * 3.6),
    Figure("… pushed", "jobs", "redis", 0.95 * 2.2),
    *REDIS,
)


def pushes(run: Run) -> None:
    """Push 100, beside beanstalkd with its log, and with its log synced."""
    with dibs(run.folder / "data", "jobs") as server:
        for number in run.rounds():
            load = wrk(server, "/queues/jobs/items", run.seconds, script(PUSH, BODY=HUNDRED), connections=16)
            run.add(ours=100 * load.rate)
            for name, options in (("log", ()), ("synced", ("-f0",))):
                with beanstalkd(run.folder / f"{name}{number}", *options) as peer:
                    found = trips(peer, BeanstalkPuts, run.seconds, 16)
                run.add(**{name: 100 * found.rate, f"{name}_busy": 100 * found.busy})
        check(server, "jobs")


PUSHES = (
    Figure("push 100, against beanstalkd, answered before its log is synced · 16", "ours", "log", 0.95 * 3.3),
    Figure("… against beanstalkd -f 0, synced for each put", "ours", "synced"),
    Figure("… share of its core that beanstalkd had", "log_busy", unit=" %"),
)


def backlog(run: Run) -> None:
    """Settle 1 + lease 1 while few items wait, and while millions do."""
    with dibs(run.folder / "few", "jobs") as few, dibs(run.folder / "many", "jobs") as many:
        _upload(many, run.options.backlog)
        for _ in run.rounds():
            for name, server in (("few", few), ("many", many)):
                run.add(**{name: settled(run, server, "jobs", 1)[0]})


def _upload(server: Server, items: int) -> None:
    def lines() -> Iterator[bytes]:
        for _ in range(0, items, 1000):
            yield b'{"value":"%b"}\n' % VALUE.encode() * 1000

    request = urllib.request.Request(f"{server.url}/queues/jobs/items", data=lines(), method="POST")
    request.add_header("Content-Type", "application/x-ndjson")
    with urllib.request.urlopen(request, timeout=600) as answer:
        if json.load(answer)["accepted"] < items:
            raise RuntimeError("not all was pushed")


BACKLOG = (
    Figure("settle 1 + lease 1 beside a backlog of millions, against without · 64", "many", "few", 0.8),
)

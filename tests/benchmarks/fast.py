"""The fast lane against its floor and its peers, in one run: server on one core, the load on the other.

    python tests/benchmarks/fast.py [--rounds 5] [--seconds 3] [--backlog 5000000] [--only next --only work …]

The parts are ``next``, ``work``, ``push``, ``growth``, ``queues``. Needs wrk and taskset; redis-server and
beanstalkd where they are compared (Debian's packages). Every answer of dibs is a 2xx and on disk before it is
sent, and after work the counters add up. Rounds take turns, so that a slow minute of the machine slows all.
Nothing here fails because of a clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from peers import VALUE, BeanstalkPuts, RedisHundreds, RedisWork, beanstalkd, fill_redis, redis
from rich.console import Console
from rich.table import Table
from service import HERE, POST, Server, dibs, free_port, wrk
from work import PUSH, SETTLE

KEYED = """
n = 0
request = function()
  n = n + 1
  return wrk.format("POST", nil, {["Idempotency-Key"] = KEY .. n})
end
"""
MANY_QUEUES = """
n = 0
request = function()
  n = n % QUEUES + 1
  return wrk.format("POST", "/queues/q" .. n .. "/next")
end
"""


class Report:
    """The table of the targets; medians of the rounds."""

    def __init__(self) -> None:
        self.table = Table(title="dibs, the fast lane")
        for name in ("work", "measured", "against", "ratio", "target", "holds"):
            self.table.add_column(name, justify="right" if name in ("ratio", "target") else "left")
        self.held = self.asked = 0

    def row(
        self, what: str, measured: str, against: str, ratio: float, *targets: float, most: bool = False
    ) -> None:
        """One line; the first target is what has to be reached, the others are goals."""
        for number, target in enumerate(targets):
            holds = ratio <= target if most else ratio >= target
            self.asked += number == 0
            self.held += holds and number == 0
            word = "yes" if holds else "[red]no[/]" if number == 0 else "not yet"
            first = (what, measured, against, f"{ratio:,.2f}") if number == 0 else ("… a goal", "", "", "")
            self.table.add_row(*first, f"{'≤' if most else '≥'} {target:,g}", word)

    def missing(self, what: str, why: str) -> None:
        self.table.add_row(what, "not measured", why, "", "", "")


Rates = defaultdict[str, list[float]]


def median(rates: Rates, name: str) -> float:
    return statistics.median(rates[name])


@contextlib.contextmanager
def bare() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--no-access-log", "--lifespan", "off", "--port", str(port)]
    server = Server([*command, "bare:app", "--app-dir", str(HERE)], port, ready="/")
    try:
        yield server
    finally:
        server.stop()


def balanced(server: Server, *queues: str) -> None:
    for queue in queues:
        audit = httpx.get(f"{server.url}/queues/{queue}/audit", timeout=120).json()
        if not audit["balanced"]:
            raise SystemExit(f"the counters do not add up: {audit}")


# -- /next


def next_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    for turn in range(options.rounds):
        with bare() as server:
            rate, p99 = wrk(f"{server.url}/next", options.seconds)
            rates["floor"].append(rate)
            rates["floor p99"].append(p99)
        with dibs(folder / "next") as server:
            rate, p99 = wrk(f"{server.url}/next", options.seconds)
            rates["next"].append(rate)
            rates["p99"].append(p99)
            script = KEYED.replace("KEY", json.dumps(f"{turn}-"))
            rates["keyed"].append(wrk(f"{server.url}/next", options.seconds, script=script)[0])
            rates["hundreds"].append(100 * wrk(f"{server.url}/next?count=100", options.seconds)[0])
            balanced(server, "default")
    floor, rate, p99 = (median(rates, name) for name in ("floor", "next", "p99"))
    against = f"bare ASGI, memory: {floor:,.0f}/s"
    report.row("durable POST /next, 64 connections", f"{rate:,.0f}/s", against, rate / floor, 1.0, 1.35, 2.0)
    floor99 = median(rates, "floor p99")
    report.row(
        "… latency at p99", f"{p99:.2f} ms", f"that floor's: {floor99:.2f} ms", p99 / floor99, 2.0, most=True
    )
    keyed = median(rates, "keyed")
    report.row("… with a fresh Idempotency-Key each", f"{keyed:,.0f}/s", "without a key", keyed / rate, 0.6)
    many = median(rates, "hundreds")
    report.row("POST /next?count=100", f"{many:,.0f} values/s", "1", many, 1_500_000)


# -- leases


def work_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    busy: Rates = defaultdict(list)
    here = shutil.which("redis-server") is not None
    body = json.dumps(json.dumps({"items": [{"value": "x" * 40}] * 100}))
    for turn in range(options.rounds):
        if here:
            peer = redis(folder / f"redis{turn}")
            for name, kind, items in (
                ("redis 1", RedisWork, 300_000),
                ("redis 100", RedisHundreds, 1_500_000),
            ):
                fill_redis(peer, items)
                rates[name].append(kind.many * peer.rate(kind, options.seconds))
                busy[name].append(peer.busy)
            peer.stop()
        with dibs(folder / f"work{turn}", "ids=count", "jobs") as server:
            one, hundred = (SETTLE.replace("MANY", many) for many in ("1", "100"))
            for queue in ("ids", "jobs"):
                if queue == "jobs":
                    wrk(
                        f"{server.url}/queues/jobs/items",
                        4,
                        script=PUSH.replace("BODY", body),
                        connections=16,
                    )
                url = f"{server.url}/queues/{queue}/settle"
                rates[f"{queue} 1"].append(wrk(url, options.seconds, script=one)[0])
                rates[f"{queue} 100"].append(
                    100 * wrk(url, options.seconds, script=hundred, connections=16)[0]
                )
            balanced(server, "ids", "jobs")
    for many, connections in ((1, 64), (100, 16)):
        for queue, items in (("ids", "of count()"), ("jobs", "pushed")):
            what = f"settle {many} + lease {many}, {items}, {connections} connections"
            rate = median(rates, f"{queue} {many}")
            if not here:
                report.missing(what, "redis-server is not here")
                continue
            peer_rate, share = median(rates, f"redis {many}"), median(busy, f"redis {many}")
            against = f"Redis, LMOVE + LREM, synced: {peer_rate:,.0f}/s ({share:.0%} busy)"
            report.row(what, f"{rate:,.0f} items/s", against, rate / peer_rate, 1.0)


# -- pushes


def push_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    here = shutil.which("beanstalkd") is not None
    script = PUSH.replace("BODY", json.dumps(json.dumps({"items": [{"value": VALUE[1:-1].decode()}] * 100})))
    for turn in range(options.rounds):
        if here:
            peer = beanstalkd(folder / f"beanstalkd{turn}")
            rates["peer"].append(100 * peer.rate(BeanstalkPuts, options.seconds))
            peer.stop()
        with dibs(folder / f"push{turn}", "jobs") as server:
            url = f"{server.url}/queues/jobs/items"
            rates["push"].append(100 * wrk(url, options.seconds, script=script, connections=16)[0])
            balanced(server, "jobs")
        shutil.rmtree(folder / f"push{turn}")
    rate = median(rates, "push")
    if not here:
        report.missing("push in batches of 100", "beanstalkd is not here")
        return
    against = f"beanstalkd, its log: {median(rates, 'peer'):,.0f}/s"
    report.row(
        "push in batches of 100, 16 connections",
        f"{rate:,.0f} items/s",
        against,
        rate / median(rates, "peer"),
        2.0,
    )


# -- cost as work grows


def growth_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    with dibs(folder / "growth", "jobs", "default=count") as server:
        for _ in range(options.rounds):
            for many in (64, 1000):
                rates[f"{many}"].append(wrk(f"{server.url}/next", options.seconds, connections=many)[0])
    few, many = median(rates, "64"), median(rates, "1000")
    report.row("POST /next, 1,000 connections", f"{many:,.0f}/s", f"64: {few:,.0f}/s", many / few, 0.8)
    script = SETTLE.replace("MANY", "1")
    small = 400_000  # enough for the rounds, and next to nothing beside the other
    for name, items in (("small", small), ("large", options.backlog)):
        with dibs(folder / name, "jobs") as server:
            _fill(server, items)
            for _ in range(options.rounds):
                rate, _ = wrk(f"{server.url}/queues/jobs/settle", min(options.seconds, 3), script=script)
                rates[name].append(rate)
            balanced(server, "jobs")
    less, more = median(rates, "small"), median(rates, "large")
    against = f"{small:,} waiting: {less:,.0f}/s"
    report.row(
        f"settle 1 + lease 1, {options.backlog:,} waiting", f"{more:,.0f}/s", against, more / less, 0.8
    )


def _fill(server: Server, items: int) -> None:
    def lines() -> Iterator[bytes]:
        for first in range(0, items, 1000):
            yield b"".join([b'{"value":"%040d"}\n' % number for number in range(first, first + 1000)])

    request = urllib.request.Request(  # loopback
        f"{server.url}/queues/jobs/items", data=lines(), method="POST"
    )
    request.add_header("Content-Type", "application/x-ndjson")
    with urllib.request.urlopen(request, timeout=600) as answer:
        if json.load(answer)["accepted"] != items:
            raise SystemExit("not all was pushed")


def queue_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    with dibs(folder / "queues") as server:
        with httpx.Client(timeout=30) as client:
            for number in range(1, 1001):
                client.put(f"{server.url}/queues/q{number}", json={"source": "count"}).raise_for_status()
        for _ in range(options.rounds):
            for many in ("1", "1000"):
                script = POST + MANY_QUEUES.replace("QUEUES", many)
                rates[many].append(wrk(f"{server.url}/", options.seconds, script=script)[0])
    one, many = median(rates, "1"), median(rates, "1000")
    report.row(
        "POST /queues/{q}/next, 1,000 queues in turn", f"{many:,.0f}/s", f"1: {one:,.0f}/s", many / one, 0.5
    )


PARTS: dict[str, Callable[[Path, Report, argparse.Namespace], None]] = {
    "next": next_rows,
    "work": work_rows,
    "push": push_rows,
    "growth": growth_rows,
    "queues": queue_rows,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    options.add_argument("--backlog", type=int, default=5_000_000, help="items that wait, of the large queue")
    options.add_argument("--only", action="append", choices=PARTS, help="a part; repeatable")
    chosen = options.parse_args()
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not here: apt-get install {tool}")
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for name, part in PARTS.items():
            if not chosen.only or name in chosen.only:
                part(Path(folder), report, chosen)
    Console(width=150).print(report.table)
    print(f"{report.held} of {report.asked} targets hold; {sys.version.split()[0]}, {chosen.rounds} rounds")


if __name__ == "__main__":
    main()

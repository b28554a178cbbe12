"""The fast lane against its floor and its peers, in one run: server on one core, the load on the other.

    python tests/benchmarks/fast.py [--rounds 5] [--seconds 3] [--backlog 5000000] [--only next --only work …]

The parts are ``next``, ``work``, ``push``, ``growth``, ``queues``. Needs wrk and taskset; redis-server and
beanstalkd where they are compared (Debian's packages). Every answer of dibs is a 2xx and on disk before it is
sent. Items of work are counted by the ledger, not by the answers, since a lease of nothing is a 2xx too; and
after work the counters add up. Rounds take turns, so that a slow minute of the machine slows all.
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

from counting import MANY_QUEUES, PUSH, audit, define_queues, push_hundreds, worked
from peers import VALUE, BeanstalkPuts, RedisHundreds, RedisWork, beanstalkd, fill_redis, redis
from rich.console import Console
from rich.table import Table
from service import HERE, POST, Server, dibs, free_port, wrk

KEYED = """
n = 0
request = function()
  n = n + 1
  return wrk.format("POST", nil, {["Idempotency-Key"] = KEY .. n})
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


@contextlib.contextmanager
def limit(file: Path) -> Iterator[Server]:
    port = free_port()
    server = Server([sys.executable, str(HERE / "limit.py"), str(port), str(file)], port, ready="/")
    try:
        yield server
    finally:
        server.stop()


def balanced(server: Server, *queues: str) -> None:
    for queue in queues:
        audit(server, queue)


# -- /next


def next_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    for turn in range(options.rounds):
        with bare() as server:
            rate, p99 = wrk(f"{server.url}/next", options.seconds)
            rates["floor"].append(rate)
            rates["floor p99"].append(p99)
        with limit(folder / "limit") as server:
            rates["limit"].append(wrk(f"{server.url}/next", options.seconds)[0])
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
    most = median(rates, "limit")
    against = f"parsing nothing, a page synced a round: {most:,.0f}/s"
    report.table.add_row("… of the limit", "", against, f"{rate / most:,.2f}", "", "")
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
    for turn in range(options.rounds):
        if here:
            with redis(folder / f"redis{turn}") as peer:
                for name, kind, items in (
                    ("redis 1", RedisWork, 100_000),
                    ("redis 100", RedisHundreds, 600_000),
                ):
                    fill_redis(peer, items * (options.seconds + 1))
                    rates[name].append(kind.many * peer.rate(kind, options.seconds))
                    busy[name].append(peer.busy)
                    busy[f"{name} load"].append(peer.load)
            shutil.rmtree(folder / f"redis{turn}")
        with dibs(folder / f"work{turn}", "ids=count", "jobs") as server:
            for many in (1, 100):
                rates[f"ids {many}"].append(worked(server, "ids", many, options.seconds))
                rates[f"jobs {many}"].append(worked(server, "jobs", many, options.seconds, push_hundreds))
            balanced(server, "ids", "jobs")
        shutil.rmtree(folder / f"work{turn}")
    for many, connections in ((1, 64), (100, 16)):
        for queue, items in (("ids", "of count()"), ("jobs", "pushed")):
            what = f"settle {many} + lease {many}, {items}, {connections} connections"
            rate = median(rates, f"{queue} {many}")
            if not here:
                report.missing(what, "redis-server is not here")
                continue
            peer_rate, share = median(rates, f"redis {many}"), median(busy, f"redis {many}")
            load = median(busy, f"redis {many} load")
            against = f"Redis, synced: {peer_rate:,.0f}/s ({share:.0%} busy, its load {load:.0%})"
            report.row(what, f"{rate:,.0f} items/s", against, rate / peer_rate, 1.0)


# -- pushes


def push_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    busy: Rates = defaultdict(list)
    here = shutil.which("beanstalkd") is not None
    script = PUSH.replace("BODY", json.dumps(json.dumps({"items": [{"value": VALUE[1:-1].decode()}] * 100})))
    for turn in range(options.rounds):
        if here:
            with beanstalkd(folder / f"beanstalkd{turn}") as peer:
                rates["peer"].append(100 * peer.rate(BeanstalkPuts, options.seconds))
                busy["peer"].append(peer.busy)
            with beanstalkd(folder / f"durable{turn}", durable=True) as peer:
                rates["durable"].append(100 * peer.rate(BeanstalkPuts, options.seconds))
        with dibs(folder / f"push{turn}", "jobs") as server:
            url = f"{server.url}/queues/jobs/items"
            rates["push"].append(100 * wrk(url, options.seconds, script=script, connections=16)[0])
            balanced(server, "jobs")
        shutil.rmtree(folder / f"push{turn}")
    rate = median(rates, "push")
    if not here:
        report.missing("push in batches of 100", "beanstalkd is not here")
        return
    against = f"beanstalkd, its log: {median(rates, 'peer'):,.0f}/s ({median(busy, 'peer'):.0%} busy)"
    report.row(
        "push in batches of 100, 16 connections",
        f"{rate:,.0f} items/s",
        against,
        rate / median(rates, "peer"),
        2.0,
    )
    durable = median(rates, "durable")
    against = f"beanstalkd, synced each put: {durable:,.0f}/s"
    report.table.add_row("… as durable as ours", "", against, f"{rate / durable:,.2f}", "", "")


# -- cost as work grows


def growth_rows(folder: Path, report: Report, options: argparse.Namespace) -> None:
    rates: Rates = defaultdict(list)
    with dibs(folder / "growth", "jobs", "default=count") as server:
        for _ in range(options.rounds):
            for many in (64, 1000):
                rates[f"{many}"].append(wrk(f"{server.url}/next", options.seconds, connections=many)[0])
    few, many = median(rates, "64"), median(rates, "1000")
    report.row("POST /next, 1,000 connections", f"{many:,.0f}/s", f"64: {few:,.0f}/s", many / few, 0.8)
    with dibs(folder / "small", "jobs") as small, dibs(folder / "large", "jobs") as large:
        _fill(large, options.backlog)
        for _ in range(options.rounds):  # the small one has what one round needs, and is filled up for each
            for name, server in (("small", small), ("large", large)):
                rates[name].append(worked(server, "jobs", 1, options.seconds, _fill))
        few = audit(small, "jobs")["waiting"]
    less, more = median(rates, "small"), median(rates, "large")
    against = f"{few:,} left in the end: {less:,.0f}/s"
    report.row(
        f"settle 1 + lease 1, {options.backlog:,} waiting", f"{more:,.0f}/s", against, more / less, 0.8
    )


def _fill(server: Server, items: int) -> None:
    def lines() -> Iterator[bytes]:
        for first in range(0, items, 1000):
            until = min(first + 1000, items)
            yield b"".join([b'{"value":"%040d"}\n' % number for number in range(first, until)])

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
        define_queues(server, 1000)
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

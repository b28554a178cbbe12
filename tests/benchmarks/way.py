"""What a request costs as our own client sends it: with a key, with a number in its session, waiting.

    python tests/benchmarks/way.py [--rounds 7] [--seconds 2] [--only lone --only many …]

Server on one core, wrk on the other; a round runs each kind of request once, so that a slow minute of the
machine slows all. Processor time is the server's (``/proc/PID/stat``), per request. The parts are ``many``
(64 connections), ``lone`` (one), ``parked`` (100 always wait beside 64), ``work`` (settle 1 + lease 1),
``source`` (a generator that only counts). Nothing here fails because of a clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from counting import push_hundreds
from rich.console import Console
from rich.table import Table
from service import POST, Server, dibs, wrk

SESSIONS = """
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
function init(args) n = 0; base = RUN .. "-" .. id end
"""
FRESH = (
    SESSIONS
    + """
request = function()
  n = n + 1
  return wrk.format("POST", nil, {["Idempotency-Key"] = base .. "-" .. n})
end
"""
)
SEQUENCED = (
    SESSIONS
    + """
request = function()
  n = n + 1
  return wrk.format("POST", nil, {["Idempotency-Key"] = base, ["Idempotency-Sequence"] = tostring(n)})
end
"""
)
WORK = (
    SESSIONS
    + """
wrk.method = "POST"
request = function()
  n = n + 1
  local headers = {["Content-Type"] = "application/json"}
  if KEYED then headers["Idempotency-Key"] = base; headers["Idempotency-Sequence"] = tostring(n) end
  local lease = '"lease":{"max":1,"ttl":60,"wait":20}}'
  if token == nil then return wrk.format(nil, nil, headers, '{' .. lease) end
  return wrk.format(nil, nil, headers, '{"acks":[{"token":"' .. token .. '"}],' .. lease)
end
response = function(status, headers, body) token = string.match(body, '"token":"([^"]+)"') end
"""
)
PUSH_AND_LEASE = (
    SESSIONS
    + """
local turn = false
wrk.method = "POST"
request = function()
  turn = not turn
  local headers = {["Content-Type"] = "application/json"}
  if turn then return wrk.format(nil, "/queues/jobs/items", headers, '{"items":[{"value":1}]}') end
  return wrk.format(nil, "/queues/jobs/lease", headers, '{"max":1,"wait":20}')
end
"""
)

Rows = defaultdict[str, list[float]]
run = 0


def script(text: str, **names: str) -> str:
    """A script whose keys no earlier run has used."""
    global run  # noqa: PLW0603  # one process is one series of runs
    run += 1
    for name, value in {"RUN": f'"{os.getpid()}-{run}"', **names}.items():
        text = text.replace(name, value)
    return text


def processor_time(server: Server) -> float:
    """Seconds of processor time that a server has used."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(server: Server, path: str, seconds: int, lua: str, connections: int = 64) -> tuple[float, float]:
    """Microseconds of the server's processor time for a request, and requests a second."""
    before = processor_time(server)
    rate, _ = wrk(server.url + path, seconds, script=lua, connections=connections, threads=connections)
    return (processor_time(server) - before) / (rate * seconds) * 1e6, rate


Kind = Callable[[Server, int], tuple[float, float]]


def take(path: str, text: str, connections: int) -> Kind:
    """A kind of request for numbers."""
    return lambda server, seconds: cost(server, path, seconds, script(text), connections)


def numbers(rows: Rows, rounds: int, seconds: int, connections: int) -> None:
    """Plain, with fresh keys and sequenced ones, waiting."""
    kinds = {
        "plain": take("/next", POST, connections),
        "wait=20": take("/next?wait=20", POST, connections),
        "fresh key, wait=20": take("/next?wait=20", FRESH, connections),
        "sequenced key, wait=20": take("/next?wait=20", SEQUENCED, connections),
    }
    with tempfile.TemporaryDirectory() as data, dibs(Path(data)) as server:
        for _ in range(rounds):
            for name, kind in kinds.items():
                micros, rate = kind(server, seconds)
                rows[name].append(micros)
                rows[f"{name}, rate"].append(rate)


def print_numbers(table: Table, rows: Rows, connections: int, fresh: float, sequenced: float) -> None:
    """The ratios of a set of numbers."""
    at = f"{connections} connections"
    add(table, f"time of a fresh key, wait=20 · {at}", rows, "fresh key, wait=20", "plain", fresh, most=True)
    add(
        table,
        f"time of a sequenced key · {at}",
        rows,
        "sequenced key, wait=20",
        "plain",
        sequenced,
        most=True,
    )
    add(table, f"rate with wait=20 · {at}", rows, "wait=20, rate", "plain, rate", 0.95)
    add(table, f"rate with fresh keys · {at}", rows, "fresh key, wait=20, rate", "plain, rate", 0.6)
    add(table, f"rate with sequenced keys · {at}", rows, "sequenced key, wait=20, rate", "plain, rate", 0.8)


def work(rows: Rows, rounds: int, seconds: int) -> None:
    """Settle 1 + lease 1 of pushed items, beside plain takes."""
    with tempfile.TemporaryDirectory() as data, dibs(Path(data), "jobs=", "default=count()") as server:
        for _ in range(rounds):
            push_hundreds(server, seconds * 30_000)
            rows["work, plain take"].append(cost(server, "/next", seconds, POST)[0])
            for name, keyed in (("work", "false"), ("work, sequenced", "true")):
                micros, rate = cost(server, "/queues/jobs/settle", seconds, script(WORK, KEYED=keyed))
                rows[name].append(micros)
                rows[f"{name}, rate"].append(rate)


def parked(rows: Rows, rounds: int, seconds: int) -> None:
    """Push 1 + lease 1: 64 connections, and 164 of which 100 always wait."""
    with tempfile.TemporaryDirectory() as data, dibs(Path(data), "jobs=") as server:
        for _ in range(rounds):
            for name, connections in (("64", 64), ("164", 164)):
                rows[name].append(cost(server, "/", seconds, script(PUSH_AND_LEASE), connections)[1])


def source(rows: Rows, rounds: int, seconds: int) -> None:
    """A generator that only counts, against ``count``."""
    with tempfile.TemporaryDirectory() as data:
        Path(data, "ours.py").write_text(
            "def numbers():\n    n = 0\n    while True:\n        n += 1\n        yield n\n"
        )
        os.environ["PYTHONPATH"] = data
        with dibs(Path(data), "default=count()", "ours=ours:numbers()") as server:
            for _ in range(rounds):
                rows["count"].append(cost(server, "/next", seconds, POST)[1])
                rows["generator"].append(cost(server, "/queues/ours/next", seconds, POST)[1])


def add(
    table: Table, what: str, rows: Rows, one: str, other: str, target: float, *, most: bool = False
) -> None:
    """A line: the median of the rounds' ratios, and the worst of them."""
    ratios = [a / b for a, b in zip(rows[one], rows[other], strict=True)]
    ratio, worst = statistics.median(ratios), max(ratios) if most else min(ratios)
    holds = ratio <= target if most else ratio >= target
    table.add_row(
        what,
        f"{statistics.median(rows[one]):,.1f}",
        f"{statistics.median(rows[other]):,.1f}",
        f"{ratio:.2f} ({worst:.2f})",
        f"{'≤' if most else '≥'} {target}",
        "yes" if holds else "[red]no[/]",
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    parts = options.only or ["many", "lone", "work", "parked", "source"]
    table = Table("what", "µs, or 1/s", "against", "ratio (worst round)", "target", "holds", title="one way")
    rounds, seconds = options.rounds, options.seconds
    for connections, name, fresh, sequenced in ((64, "many", 2.4, 1.5), (1, "lone", 1.4, 1.4)):
        if name in parts:
            rows: Rows = defaultdict(list)
            numbers(rows, rounds, seconds, connections)
            print_numbers(table, rows, connections, fresh, sequenced)
    rows = defaultdict(list)
    if "work" in parts:
        work(rows, rounds, seconds)
        add(
            table,
            "time of settle 1 + lease 1, sequenced, against a take",
            rows,
            "work, sequenced",
            "work, plain take",
            2.3,
            most=True,
        )
        add(
            table,
            "rate of it, sequenced, against without keys",
            rows,
            "work, sequenced, rate",
            "work, rate",
            0.8,
        )
    if "parked" in parts:
        parked(rows, rounds, seconds)
        add(table, "push 1 + lease 1, 100 more parked", rows, "164", "64", 0.9)
    if "source" in parts:
        source(rows, rounds, seconds)
        add(table, "a generator that only counts, against count", rows, "generator", "count", 0.7)
    Console().print(table)


if __name__ == "__main__":
    main()

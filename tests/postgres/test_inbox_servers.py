"""Real servers share a ledger, and their owners are killed: what was committed by SQL comes, exactly."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from .inboxes import connect

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"dibs: serving (http://\S+) ")
SESSIONS = 16
KILLS = 20
PATIENCE = 120


class Undone(Exception):
    """The transaction is to be rolled back."""


def pushes(url, session, over, committed):
    """Push in transactions until ``over``; a third is rolled back, a part of others to a savepoint."""
    chance = random.Random(session)
    with connect(url) as connection:
        for number in range(1_000_000):
            if over.is_set():
                return
            kept = []
            with suppress(Undone), connection.transaction():
                for part in range(chance.randint(1, 4)):
                    text = f"{session}-{number}-{part}"
                    undone = chance.random() < 0.25
                    with suppress(Undone), connection.transaction():
                        connection.execute("SELECT push('a', to_jsonb(%s::text))", [text])
                        if undone:
                            raise Undone
                        kept.append(text)
                if chance.random() < 0.2:
                    time.sleep(
                        chance.random() * 0.05
                    )  # a transaction that commits after many that began later
                if chance.random() < 1 / 3:
                    kept.clear()
                    raise Undone
            committed += kept
            time.sleep(0.03)  # the owners need some of the machine, too


class Servers:
    """Servers of one ledger, each a process; those that were killed are replaced."""

    def __init__(self, url, folder):
        self._words = [sys.executable, "-m", "dibs", "serve", "--data", url, "--port", "0", "--queue", "a"]
        self._folder = folder
        self._running = {}

    def start(self):
        """Begin one, and wait until it answers; its address."""
        log = (self._folder / "log").open("ab")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        server = subprocess.Popen(
            self._words,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=self._folder,
            env=kept | {"PYTHONPATH": str(ROOT)},
        )
        log.close()
        watchdog = threading.Timer(PATIENCE, server.kill)
        watchdog.start()
        line = server.stdout.readline()
        watchdog.cancel()
        found = SERVING.match(line)
        assert found, (line, (self._folder / "log").read_text()[-4000:])
        self._running[found[1]] = server
        return found[1]

    def kill(self, address):
        server = self._running.pop(address)
        server.kill()
        server.communicate(timeout=PATIENCE)

    def end(self):
        for address in list(self._running):
            self.kill(address)

    @property
    def any(self):
        return next(iter(self._running))

    def owner(self, watch):
        """The address of the owner of the newest term, once it is one of those that run."""
        over = time.monotonic() + PATIENCE
        while True:
            [(address,)] = watch.execute("SELECT address FROM term ORDER BY term DESC LIMIT 1").fetchall()
            for running in self._running:
                if address.rpartition(":")[2] == running.rpartition(":")[2]:
                    return running
            if time.monotonic() >= over:
                raise TimeoutError((address, self._running))
            time.sleep(0.02)


def taken(address, over):
    """All that is in the queue, once the inbox is empty."""
    found = []
    while True:
        answer = httpx.post(f"{address}/queues/a/next", params={"count": 1000, "wait": 0})
        if answer.status_code == 200:
            found += [item["value"] for item in answer.json()["items"]]
        elif answer.status_code == 204 and over():
            return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_committed_is_taken_exactly_once_though_owners_are_killed(database, tmp_path):
    servers = Servers(database.url, tmp_path)
    try:
        servers.start()
        servers.start()
        with connect(database.url) as watch, psycopg.connect(database.url) as holder:
            holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT count(*) FROM dibs.inbox")  # a snapshot, from now to the end
            pushed = stormed(database.url, servers, watch)
            empty = "SELECT NOT EXISTS (SELECT FROM inbox)"
            servers.owner(watch)
            got = taken(servers.any, lambda: watch.execute(empty).fetchone()[0])
            assert watch.execute("SELECT count(*) FROM inbox_refused").fetchone() == (0,)
            assert watch.execute("SELECT max(term) > %s FROM term", [KILLS]).fetchone()[0]
        assert len(pushed) > 250
        assert Counter(got) == Counter(pushed)
        for session in range(SESSIONS):
            of_session = f"{session}-"
            assert [text for text in got if text.startswith(of_session)] == [
                text for text in pushed if text.startswith(of_session)
            ]
    finally:
        servers.end()


def stormed(url, servers, watch):
    """Let sessions push while owners are killed; what was committed, session by session."""
    over = threading.Event()
    committed = [[] for _ in range(SESSIONS)]
    with ThreadPoolExecutor(SESSIONS) as sessions:
        running = [sessions.submit(pushes, url, number, over, mine) for number, mine in enumerate(committed)]
        try:
            for kill in range(KILLS):
                servers.start()
                owner = servers.owner(watch)
                time.sleep(0.05 * (kill % 4))  # in the middle of whatever it does
                servers.kill(owner)
        finally:
            over.set()
        for session in running:
            session.result(PATIENCE)
    return [text for mine in committed for text in mine]

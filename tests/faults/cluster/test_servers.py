"""Fronts that are killed, servers that are replaced one by one, clocks that differ."""

import shutil
import threading
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow

LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")


def test_a_front_is_killed_while_requests_wait_there(fleet, database, together, until):
    ledger = fleet(database.url)
    owner, front, other = ledger.several(3)
    owner.ask("PUT", "/queues/jobs", json={})
    waiting = [together(front.post, "/queues/jobs/next?wait=30", key=key) for key in ("a", None)]
    until("they wait", lambda: owner.get("/queues/jobs/stats").json()["waiting"] == 2)
    front.kill()
    for each in waiting:
        assert isinstance(each.exception(), httpx.TransportError)
    until("nobody waits", lambda: owner.get("/queues/jobs/stats").json()["waiting"] == 0)
    again = together(other.post, "/queues/jobs/next?wait=30", key="a")
    until("one waits", lambda: owner.get("/queues/jobs/stats").json()["waiting"] == 1)
    owner.push("jobs", "x")
    assert again.result().json()["value"] == "x"
    assert owner.post("/queues/jobs/next").status_code == 204
    assert "Traceback" not in owner.said() + other.said()


class Load:
    """Clients that take one number after the other, each with a key, from any server that answers."""

    def __init__(self, servers, clients):
        self.seqs, self.refused = [], []
        self._servers = servers
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._take, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _take(self, name):
        number = 0
        with httpx.Client(timeout=60) as client:
            while not self._over.is_set():
                number += 1
                answer = self._one(client, f"{name}-{number}", number + name)
                if answer is not None:
                    self.seqs.append(answer.json()["seq"])

    def _one(self, client, key, turn):
        over = time.monotonic() + 60
        while time.monotonic() < over:
            servers = list(self._servers)
            turn += 1
            try:
                url = servers[turn % len(servers)].url
                answer = client.post(f"{url}/next", headers={"Idempotency-Key": key})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                return answer
            self.refused.append(answer.json())
            time.sleep(0.05)
        return None

    def until(self, more):
        seen, over = len(self.seqs), time.monotonic() + 60
        while len(self.seqs) < seen + more:
            if time.monotonic() >= over:
                raise TimeoutError(f"{len(self.seqs) - seen} answers only")
            time.sleep(0.005)

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join(60)


def test_servers_are_replaced_one_by_one_under_load(fleet, database):
    ledger = fleet(database.url)
    servers = ledger.several(3, owner_timeout=60)  # a busy machine is no silence
    owner = servers[0]
    load = Load(servers, clients=6)
    try:
        load.until(50)
        for old in (*servers[1:], owner):  # fronts first: a term costs each server one move
            servers.append(ledger.add(owner_timeout=60))
            servers.remove(old)
            load.until(30)
            assert old.stop() == 0
            load.until(30)
    finally:
        load.end()
    assert sorted(load.seqs) == list(range(1, len(load.seqs) + 1))
    assert [each for each in load.refused if each["handed_out"] != "no"] == []
    assert ledger.term()[0] == 2
    assert "Traceback" not in "".join(server.said() for server in ledger.servers)


def library():
    for folder in map(Path, LIBRARIES):
        if (folder / "libfaketimeMT.so.1").exists() and shutil.which("faketime"):
            return str(folder / "libfaketimeMT.so.1")
    pytest.skip("no libfaketime here")


def test_clocks_differ_by_hours(fleet, database, until):
    faked = {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
    ledger = fleet(database.url)
    servers = [ledger.start(), ledger.start(FAKETIME="+1h", **faked), ledger.start(FAKETIME="-1h", **faked)]
    for server in servers:
        server.ready()
    date = servers[1].get("/healthz").headers["date"]
    assert date != servers[2].get("/healthz").headers["date"]
    servers[0].ask("PUT", "/queues/jobs", json={})
    servers[0].push("jobs", *"abcdef")
    held, values = [], []
    for turn in range(3):
        term, _ = ledger.term()
        owner = ledger.owner()
        lease = owner.post("/queues/jobs/lease", key=f"lease-{turn}", json={"ttl": 300})
        assert lease.status_code == 200, lease.text
        [item] = lease.json()["items"]
        held.append(lease.json()["token"])
        values.append(item["value"])
        if turn == 2:
            break
        owner.kill()
        owner = ledger.owned_after(term)
        until("it answers", lambda owner=owner: owner.get("/queues/jobs").status_code == 200)
        assert owner.get("/queues/jobs/stats").json()["leased"] == turn + 1  # none has ended, by any clock
        same = owner.post("/queues/jobs/lease", key=f"lease-{turn}", json={"ttl": 300}).json()
        assert same["token"] == held[-1]
    assert values == ["a", "b", "c"]
    for token in held:
        assert owner.post("/queues/jobs/ack", json={"token": token}).is_success
    stats = owner.get("/queues/jobs/stats").json()
    assert (stats["leased"], stats["acked"], stats["waiting_items"]) == (0, 3, 3)

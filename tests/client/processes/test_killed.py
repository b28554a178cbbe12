"""Servers and workers that are killed or stopped in the middle of it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from dibs.client import (
    Client,
    PushReport,
    Result,
)

from .conftest import ROOT, Server, balanced

pytestmark = pytest.mark.slow


@pytest.fixture
def serve(tmp_path):
    started = []

    def serve(*options):
        started.append(Server(tmp_path, *options))
        return started[-1]

    yield serve
    for server in started:
        server.kill()


def work_all(url, seen, errors, kind):
    try:
        with Client(url, worker=kind, patience=60) as client, client.queue("jobs").lease(ttl=30) as leases:
            for job in leases:
                with job:
                    seen.append(job.value)
                    time.sleep(0.001)
                    job.ack(Result("done", job.value))
    except Exception as error:
        errors.append(error)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_restarts_of_the_server_lose_nothing(serve, end):
    """Four workers, results with the acks, a server that goes down in the middle of it, three times."""
    server = serve("--queue", "jobs=range(2000)", "--queue", "unused=count")
    with Client(server.url) as client:
        client.define("done")
    seen, errors = [], []
    threads = [
        threading.Thread(target=work_all, args=(server.url, seen, errors, f"w{number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for share in (300, 800, 1400):
        while len(seen) < share and any(thread.is_alive() for thread in threads):
            time.sleep(0.002)
        getattr(server, end)()
        server.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    assert errors == []
    with Client(server.url) as client:
        audit = balanced(client.queue("jobs"))
        assert (audit.acked, audit.leased, audit.waiting, audit.dead) == (2000, 0, 0, 0)
        results = sorted(item.value for item in client.queue("done").items())
    assert results == list(range(2000))  # each result once: the ack and its push are one


def test_a_producer_survives_restarts(serve):
    server = serve("--queue", "unused=count")
    with Client(server.url) as client:
        client.define("jobs")

        def values():
            for number in range(20_000):
                if number in {5_000, 12_000}:
                    server.kill()
                    threading.Timer(0.2, server.start).start()
                yield number

        report = client.queue("jobs").push(values(), chunk=500)
        assert report == PushReport(20_000, 0)
        audit = balanced(client.queue("jobs"))
        assert audit.waiting == 20_000


WORKER = """
import sys, time
from dibs import Client
with Client(sys.argv[1]) as client:
    with client.queue("jobs").lease(batch=5, ttl=1.5, wait=1) as leases:
        for job in leases:
            with job:
                time.sleep(0.01)
                print(job.value, flush=True)
"""


def test_a_worker_that_is_killed_loses_no_work(serve):
    server = serve("--queue", "jobs=range(300)")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(3)
    ]
    for _ in range(20):
        workers[0].stdout.readline()
    workers[0].kill()
    for worker in workers[1:]:
        _, err = worker.communicate(timeout=60)
        assert worker.returncode == 0
        assert "Traceback" not in err  # a busy machine may keep a heartbeat back, which is told
    workers[0].communicate()
    with Client(server.url) as client:
        audit = balanced(client.queue("jobs"))
    assert (audit.acked, audit.dead) == (300, 0)


INTERRUPTED = """
import sys, time
from dibs import Client
for job in Client(sys.argv[1]).queue("jobs").lease(batch=10):
    with job:
        print(job.value, flush=True)
        time.sleep(60 if job.value == 2 else 0)
"""


def test_ctrl_c_gives_back_at_once(serve):
    server = serve("--queue", "jobs=range(300)")
    worker = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for _ in range(3):
        worker.stdout.readline()
    worker.send_signal(signal.SIGINT)
    _, err = worker.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    with Client(server.url) as client:
        info = client.queue("jobs").info()
        assert (info.acked, info.leased) == (2, 0)
        assert {item.attempt for item in client.queue("jobs").items("waiting")} == {0}

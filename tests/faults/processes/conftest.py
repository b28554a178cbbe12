"""Real server processes: started, killed, out of power, out of room. Loopback only; killed at the end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds; only a test that fails waits for so long
SOURCES = '''
import pathlib, time

def gated(path):
    """Its third value comes when the file is there."""
    n = 0
    while True:
        n += 1
        while n == 3 and not pathlib.Path(path).exists():
            time.sleep(0.01)
        yield n

def fails_at(path, k):
    """Raises at item k while the file is not there."""
    n = 0
    while True:
        n += 1
        if n == k and not pathlib.Path(path).exists():
            raise RuntimeError(f"no item {k} today")
        yield n
'''


class Server:
    """``dibs serve`` on a free port, its data in ``data``."""

    def __init__(self, data, *options, cwd):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dibs", "serve", "--port", "0", "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=environment | {"PYTHONPATH": f"{ROOT}:{cwd}"},
        )
        line = self.process.stdout.readline()
        assert "serving" in line, line + self.process.stderr.read()
        self.url = line.split()[2]
        self.port = int(self.url.rpartition(":")[2])

    def post(self, path="/next", *, key=None, timeout=PATIENCE, **more):
        headers = {"Idempotency-Key": key} if key else {}
        return httpx.post(self.url + path, headers=headers, timeout=timeout, **more)

    def get(self, path):
        return httpx.get(self.url + path, timeout=PATIENCE)

    def audit(self, queue="default"):
        return self.get(f"/queues/{queue}/audit").json()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """Stop each of its threads; one that is in the kernel for a disk stops before it leaves that."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        states = [thread / "stat" for thread in threads]
        while any(state.read_text().rpartition(")")[2].split()[0] not in "TD" for state in states):
            pass

    def stop(self, number=signal.SIGTERM):
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def serve(tmp_path):
    """Start servers in one data folder, one after the other; whatever still runs is killed."""
    started = []
    (tmp_path / "sources.py").write_text(SOURCES)

    def serve(*options, data=None):
        started.append(Server(data or tmp_path / "data", *options, cwd=tmp_path))
        return started[-1]

    yield serve
    for server in started:
        if server.process.poll() is None:
            server.kill()
        server.process.stdout.close()
        server.process.stderr.close()


class Load:
    """Clients in threads that ask for one number after the other; what they were answered."""

    def __init__(self, server, clients=8, path="/next"):
        self.answers = []
        self.refused = []
        self.broken = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server, path)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, server, path):
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            while not self._stop.is_set():
                try:
                    reply = client.post(path)
                except httpx.TransportError as error:
                    self.broken.append(error)
                    return
                if reply.status_code == 200:
                    self.answers.append(reply.json()["seq"])
                else:
                    self.refused.append(reply.json())

    def until(self, answers):
        deadline = time.monotonic() + PATIENCE
        while len(self.answers) < answers:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{len(self.answers)} answers only")
            time.sleep(0.002)

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def load():
    loads = []

    def load(server, **how):
        loads.append(Load(server, **how))
        return loads[-1]

    yield load
    for one in loads:
        one.end()

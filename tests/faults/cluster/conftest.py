"""Several real servers on one PostgreSQL, on loopback; what still runs at the end is killed, by its id."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from support.proxy import Proxy

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0  # seconds; only a test that fails waits for so long
_SERVING = re.compile(r"dibs: serving (\S+) ")


class Server:
    """``dibs serve`` on a free port, on the ledger at ``url``. ``ready`` waits until it serves.

    ``prefix``: the words before the command, by which it is on another host.
    """

    def __init__(self, url, *, folder, name, environment, options=(), prefix=()):
        self.name = name
        self.errors = folder / f"{name}.err"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "dibs", "serve", "--port", "0", "--data", url, *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=kept | {"PYTHONPATH": str(ROOT)} | environment,
            )
        self.url = None

    def ready(self):
        """Wait until it says that it serves."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise TimeoutError(f"{self.name} does not serve\n{self.said()}")
        found = _SERVING.match(self.process.stdout.readline().decode())
        assert found, self.said()
        self.url = found[1]
        return self

    @property
    def address(self):
        return urlsplit(self.url).netloc

    def ask(self, method, path, *, key=None, timeout=PATIENCE, **more):
        headers = {"Idempotency-Key": key} if key else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=timeout, **more)

    def post(self, path="/next", **more):
        return self.ask("POST", path, **more)

    def until_answered(self, path="/next", *, key):
        """Ask until it is answered 200; what it was refused with before."""
        refused, over = [], time.monotonic() + PATIENCE
        while (answer := self.post(path, key=key)).status_code != 200:
            refused.append(answer.json())
            if time.monotonic() >= over:
                raise TimeoutError(refused[-1])
            time.sleep(0.05)
        return refused

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def push(self, queue, *values):
        items = {"items": [{"value": value} for value in values]}
        answer = self.post(f"/queues/{queue}/items", json=items)
        assert answer.is_success, answer.text

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def freeze(self):
        """SIGSTOP, and wait until each thread has stopped."""
        self.send(signal.SIGSTOP)
        threads = [each / "stat" for each in Path(f"/proc/{self.process.pid}/task").iterdir()]
        until(
            "all threads have stopped",
            lambda: all(each.read_text().rpartition(")")[2].split()[0] in "TD" for each in threads),
        )

    def wake(self):
        self.send(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM):
        """The exit code."""
        self.send(number)
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()

    def said(self):
        return self.errors.read_text()


class Fleet:
    """The servers of one test; ``url`` is that of the ledger."""

    def __init__(self, url, folder):
        self.url = url
        self.servers = []
        self._folder = folder

    def start(self, *, url=None, options=(), prefix=(), **environment):
        """Begin to start a server; ``owner_timeout=2`` is a setting of its environment."""
        settings = {
            name if name.isupper() else f"DIBS_{name.upper()}": str(value)
            for name, value in environment.items()
        }
        name = f"server-{len(self.servers) + 1}"
        server = Server(
            url or self.url,
            folder=self._folder,
            name=name,
            environment=settings,
            options=options,
            prefix=prefix,
        )
        self.servers.append(server)
        return server

    def add(self, **how):
        return self.start(**how).ready()

    def several(self, count, **how):
        """So many servers; the first of them is the owner."""
        owner = self.add(**how)
        return [owner, *[server.ready() for server in [self.start(**how) for _ in range(count - 1)]]]

    def term(self):
        """The newest term, and the address of its owner."""
        with psycopg.connect(self.url, connect_timeout=60) as session:
            found = session.execute("SELECT term, address FROM dibs.term ORDER BY term DESC LIMIT 1")
            term, address = found.fetchone()
        return term, urlsplit(address).netloc

    def owner(self):
        """The server of the newest term."""
        _, address = self.term()
        return next(server for server in self.servers if server.url and server.address == address)

    def owned_after(self, term, seconds=PATIENCE):
        """Wait for a later term; its owner."""
        until(f"a term after {term}", lambda: self.term()[0] > term, seconds)
        return self.owner()

    def end(self):
        for server in self.servers:
            server.end()


def until(what, holds, seconds=PATIENCE):
    over = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= over:
            raise TimeoutError(f"after {seconds} s not so: {what}")
        time.sleep(0.02)


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture
def fleet(tmp_path, proxy):
    """A function that makes the fleet on a ledger; it ends before its proxies do."""
    made = []

    def fleet(url):
        made.append(Fleet(url, tmp_path))
        return made[-1]

    yield fleet
    for each in made:
        each.end()


@pytest.fixture
def proxy():
    """A function that puts a proxy before a URL; it and the URL that leads through it."""
    made = []

    def proxy(url):
        parts = urlsplit(url)
        made.append(Proxy(parts.port))
        user = f"{parts.username}@" if parts.username else ""
        return made[-1], parts._replace(netloc=f"{user}127.0.0.1:{made[-1].port}").geturl()

    yield proxy
    for each in made:
        each.release()
        each.close()


@pytest.fixture
def together():
    """A function that runs another one on a thread; its future."""
    with ThreadPoolExecutor(64) as threads:
        yield threads.submit


@pytest.fixture
def first_answer():
    """A function that asks servers in turn until one answers 200: that answer, and the seconds it took."""

    def first_answer(servers, path="/next", *, key, began, seconds=PATIENCE):
        while True:
            for server in servers:
                try:
                    answer = server.post(path, key=key, timeout=2)
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    return answer, time.monotonic() - began
            if time.monotonic() >= began + seconds:
                raise TimeoutError("nobody answers")
            time.sleep(0.01)

    return first_answer

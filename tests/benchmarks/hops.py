"""How many functions of ours one lone request enters, from the socket to its answer.

    python tests/benchmarks/hops.py [--names]

A server runs in this process, with ``sys.setprofile`` on all of its threads; a client in another process
sends requests one by one on a connection that is warm. Each entry of a function whose code is ours counts,
and so does each resumption of a generator or coroutine, and code that was made by ``eval`` (what
``NamedTuple`` makes, too). Calls differ by a second's work (dates, timers), so the median of many requests is
told, and with ``--names`` where they went.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from types import FrameType

import dibs
from dibs.cli import server as serving
from dibs.config import Settings

HOME = Path(dibs.__file__).parent
REQUESTS = 60
TARGETS = {"take": 60, "take, keyed": 75, "take, sequenced": 75, "settle + lease, keyed": 110}


class Hops:
    """Counts entries of our own functions, on all threads, since the last ``begin``."""

    def __init__(self) -> None:
        self.names: collections.Counter[str] = collections.Counter()
        self._ours: dict[object, str | None] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            code = frame.f_code
            name = self._ours.get(code, "")
            if name == "":
                name = self._ours[code] = self._name(code)
            if name is not None:
                self.names[name] += 1

    @staticmethod
    def _name(code: object) -> str | None:
        file = code.co_filename  # type: ignore[attr-defined]
        if file.startswith("<") and "frozen" not in file:
            return f"{file} {code.co_qualname}"  # type: ignore[attr-defined]
        path = Path(file)
        return f"{path.relative_to(HOME)} {code.co_qualname}" if path.is_relative_to(HOME) else None  # type: ignore[attr-defined]


class Client:
    """One connection that sends one request for each line of its input."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.session = str(uuid.uuid4())
        self.token = json.loads(self.ask("/queues/jobs/lease", b"{}"))["token"]

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> bytes:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            named["Content-Type"] = "application/json"
        self.connection.request("POST", path, body, named)
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data)
        return data

    def send(self, kind: str, n: int) -> None:
        fresh = str(uuid.uuid4())
        if kind == "take":
            self.ask("/next")
        elif kind == "take, keyed":
            self.ask("/next", Idempotency_Key=fresh)
        elif kind == "take, sequenced":
            self.ask("/next", Idempotency_Key=self.session, Idempotency_Sequence=str(n))
        else:
            body = json.dumps({"acks": [{"token": self.token}], "lease": {"max": 1, "ttl": 30}}).encode()
            answer = json.loads(self.ask("/queues/jobs/settle", body, Idempotency_Key=fresh))
            self.token = answer["lease"]["token"]


def be_client(port: int, kind: str) -> None:
    """Run as the client: one request for each line."""
    client = Client(port)
    print("ready", flush=True)
    for n, _ in enumerate(sys.stdin, 1):
        client.send(kind, n)
        print("done", flush=True)


def serve(hops: Hops, data: str) -> int:
    """A server on a thread of this process; its port."""
    found: list[int] = []
    ready = threading.Event()
    settings = Settings(port=0, data=data, queues={"default": "count()", "jobs": "count()"})

    def announced(url: str, *_: object) -> None:
        found.append(int(url.rsplit(":", 1)[1]))
        ready.set()

    serving.announce = announced  # type: ignore[assignment]
    threading.setprofile(hops)
    threading.Thread(target=lambda: serving._run(_served(settings)), daemon=True).start()
    ready.wait(30)
    return found[0]


async def _served(settings: Settings) -> int:
    app = serving.create_app(settings)
    server = serving.Server(serving._config(app), app.state.context, settings)
    async with app.router.lifespan_context(app):
        await server.serve(sockets=[serving._listen("127.0.0.1", 0)])
    return 0


def measure(hops: Hops, port: int, kind: str) -> tuple[float, collections.Counter[str]]:
    """The median number of entries of a request, and of the last one where they went."""
    command = [sys.executable, __file__, "--client", str(port), kind]
    counts: list[int] = []
    last: collections.Counter[str] = collections.Counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin
        assert client.stdout
        client.stdout.readline()
        for at in range(REQUESTS):
            hops.names = collections.Counter()
            print("go", file=client.stdin, flush=True)
            client.stdout.readline()
            if at >= REQUESTS // 3:
                last = hops.names
                counts.append(sum(last.values()))
        client.stdin.close()
    return statistics.median(counts), last


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", action="store_true", help="print the functions of one request")
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        be_client(int(options.client[0]), options.client[1])
        return
    hops = Hops()
    with tempfile.TemporaryDirectory() as data:
        port = serve(hops, data)
        for kind, target in TARGETS.items():
            median, names = measure(hops, port, kind)
            print(f"{kind:24} {median:6.0f}   at most {target}")
            if options.names:
                for name, count in names.most_common():
                    print(f"    {count:3} {name}")


if __name__ == "__main__":
    main()

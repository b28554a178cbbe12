"""How many functions of ours one lone request enters, from the socket to its answer, and in which package.

    python tests/benchmarks/hops.py [--names KIND]

A server runs in this process, with ``sys.setprofile`` on all of its threads; a client in another process
sends requests one by one on a connection that is kept. Each entry of a function whose code is ours counts,
and so does each resumption of a generator or coroutine, and code that was made by ``eval`` (the constructor
of a ``NamedTuple``, too), which counts for the package that calls it. A count goes from the request to the
moment when the server is quiet again: the threads finish what the request began, and the connection stays.
Calls differ by a second's work (dates, timers), so that request is told whose count is the median of many.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

import dibs
from dibs.cli import server as serving
from dibs.config import Settings
from rich.console import Console
from rich.table import Table

HOME = Path(dibs.__file__).parent
REQUESTS = 61
WARM = 20  # of them, which are not counted
QUIET = 0.004  # seconds without an entry
TARGETS = {"take": 60, "take, keyed": 75, "take, sequenced": 75, "settle + lease, keyed": 110}

Names = Counter[tuple[str, str]]  # by package and function


class Hops:
    """Counts the entries of our own functions, on all threads, since the last ``begin``."""

    def __init__(self) -> None:
        self.begin()
        self._known: dict[CodeType, tuple[str, str] | None] = {}

    def begin(self) -> None:
        """Count anew."""
        self.names: Names = Counter()

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and (place := self._place(frame.f_code)):
            if not place[0] and frame.f_back:
                place = (self._package(frame.f_back), f"{frame.f_globals.get('__name__')} {place[1]}")
            self.names[place] += 1

    def _place(self, code: CodeType) -> tuple[str, str] | None:
        if code not in self._known:
            self._known[code] = _place(code)
        return self._known[code]

    def _package(self, frame: FrameType) -> str:
        place = self._place(frame.f_code)
        return place[0] if place else "evaluated"

    def await_quiet(self) -> None:
        """Return when nothing of ours has been entered for a while."""
        for _ in range(100):
            entered = self.names.total()
            time.sleep(QUIET)
            if entered == self.names.total():
                return
        raise RuntimeError("the server is never quiet")


def _place(code: CodeType) -> tuple[str, str] | None:
    """The package and the name of a function of ours; evaluated code has no package of its own."""
    if code.co_filename.startswith("<") and "frozen" not in code.co_filename:
        return "", code.co_qualname
    if not Path(code.co_filename).is_relative_to(HOME):
        return None
    path = Path(code.co_filename).relative_to(HOME)
    package = "/".join(path.parts[:2] if len(path.parts) > 2 else path.parts[:1])
    return package, f"{path.name} {code.co_qualname}"


class Client:
    """One connection, on which each request is one write."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.session = uuid.uuid4()
        self.token = self.ask("/queues/jobs/lease", b"{}")["token"]

    def ask(self, path: str, body: bytes = b"", **headers: object) -> dict[str, object]:
        """The JSON of an answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\n" if body else ""
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.connection.sendall(f"{head}\r\n".encode() + body)
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self.connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def send(self, kind: str, n: int) -> None:
        """One request of a kind, the n-th."""
        if kind == "take":
            self.ask("/next")
        elif kind == "take, keyed":
            self.ask("/next", Idempotency_Key=uuid.uuid4())
        elif kind == "take, sequenced":
            self.ask("/next", Idempotency_Key=self.session, Idempotency_Sequence=n)
        else:
            body = json.dumps({"acks": [{"token": self.token}], "lease": {"max": 1, "ttl": 30}}).encode()
            answer = self.ask("/queues/jobs/settle", body, Idempotency_Key=uuid.uuid4())
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

    def announced(url: str, *_: object, **__: object) -> None:
        found.append(int(url.rsplit(":", 1)[1]))
        ready.set()

    serving.announce = announced  # type: ignore[assignment]
    threading.setprofile(hops)
    threading.Thread(target=lambda: serving._run(_served(settings)), daemon=True).start()
    ready.wait(30)
    return found[0]


async def _served(settings: Settings) -> int:
    app = serving.create_app(settings)
    server = serving.Server(serving._config(app, None), app.state.context, settings)
    async with app.router.lifespan_context(app):
        await server.serve(sockets=[serving._listen("127.0.0.1", 0)])
    return 0


def measure(hops: Hops, port: int, kind: str) -> Names:
    """The entries of the request that has the median number of them."""
    counts: list[Names] = []
    command = [sys.executable, __file__, "--client", str(port), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin
        assert client.stdout
        client.stdout.readline()
        hops.await_quiet()
        for _ in range(REQUESTS):
            hops.begin()
            print("go", file=client.stdin, flush=True)
            client.stdout.readline()
            hops.await_quiet()
            counts.append(hops.names)
        client.stdin.close()
    counts = sorted(counts[WARM:], key=Counter.total)
    return counts[len(counts) // 2]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--names", choices=TARGETS, help="print the functions of one request, too")
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        be_client(int(options.client[0]), options.client[1])
        return
    hops = Hops()
    with tempfile.TemporaryDirectory() as data:
        port = serve(hops, data)
        found = {kind: measure(hops, port, kind) for kind in TARGETS}
    print_table(found)
    if options.names:
        for (package, name), count in found[options.names].most_common():
            print(f"{count:3} {package:16} {name}")


def print_table(found: dict[str, Names]) -> None:
    """A line for each package, with a column for each kind of request."""
    table = Table("functions entered by one request", *found)
    packages: dict[str, Counter[str]] = {kind: Counter() for kind in found}
    for kind, names in found.items():
        for (package, _), count in names.items():
            packages[kind][package] += count
    for package in sorted(set().union(*packages.values())):
        table.add_row(package, *(str(packages[kind][package]) for kind in found))
    table.add_section()
    table.add_row("all", *(str(names.total()) for names in found.values()))
    table.add_row("at most", *(str(TARGETS[kind]) for kind in found))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

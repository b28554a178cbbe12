"""A small queue server that can be told to misbehave: in a thread, or as a process of its own.

    python fake_server.py PORT JOURNAL [forget]

As a process it keeps its hand-outs in a journal. With ``forget`` it answers first and writes now and
then, so a kill makes it hand out the same seqs again: the load test must find that.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Fault(Exception):
    """Answer this instead; ``body`` None closes the connection without an answer."""

    def __init__(self, status=0, body=None, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers

    @classmethod
    def problem(cls, status, name, *, handed_out="no", retryable=True):
        return cls(
            status,
            {
                "type": f"urn:dibs:problem:{name}",
                "detail": f"it is {name}",
                "handed_out": handed_out,
                "retryable": retryable,
            },
        )


class FakeQueue:
    """Correct, unless a hook says otherwise.

    ``before(number)`` runs before the request with this number is looked at, ``after(number)`` when its
    items are drawn and kept; either may raise a `Fault`. ``draw(first, last)`` may change what is drawn.
    """

    def __init__(self, *, limit=None, source="count", args=None, journal=None, forget=False):
        self.lock = threading.Lock()
        self.cursor = self.taken = self.jumped = self.requests = 0
        self.keys = {}
        self.limit, self.source, self.args = limit, source, args or {}
        self.deleted = []
        self.balanced = True
        self.before = self.after = lambda number: None
        self.draw = lambda first, last: (first, last)
        self.journal, self.every = journal, 40 if forget else 1
        self.unwritten = []
        if journal is not None and journal.exists():
            self.recover()

    def recover(self):
        for line in journal_lines(self.journal):
            self.keys[line["key"]] = (line["first"], line["last"])
            self.cursor = self.taken = max(self.cursor, line["last"])

    def write(self, key, first, last):
        if self.journal is None:
            return
        self.unwritten.append(json.dumps({"key": key, "first": first, "last": last}) + "\n")
        if len(self.unwritten) >= self.every:
            with self.journal.open("a") as file:
                file.write("".join(self.unwritten))
            self.unwritten = []

    def take(self, count, key):
        """The first and last seq, and whether they are a replay."""
        with self.lock:
            self.requests += 1
            number = self.requests
            self.before(number)
            if key is not None and key in self.keys:
                return *self.keys[key], True
            if self.limit is not None and self.cursor >= self.limit:
                raise Fault.problem(410, "exhausted", retryable=False)
            last = self.cursor + count if self.limit is None else min(self.cursor + count, self.limit)
            span = self.draw(self.cursor + 1, last)
            self.taken += last - self.cursor
            self.cursor = last
            if key is not None:
                self.keys[key] = span
            self.write(key, *span)
            self.after(number)
            return *span, False

    def state(self, name):
        counters = {"cursor": self.cursor, "taken": self.taken, "jumped": self.jumped}
        counters |= dict.fromkeys(("acked", "purged", "waiting", "leased", "dead", "overlaps"), 0)
        return {"queue": name, "source": self.source, "args": self.args, "state": "open", **counters}


def journal_lines(path):
    """The whole lines; the last one may be torn."""
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def handler_of(queue):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def reply(self, status, body=None, headers=()):
            data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            head = f"HTTP/1.1 {status} x\r\ncontent-length: {len(data)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in headers)
            self.wfile.write(head.encode() + b"\r\n" + data)

        def path_parts(self):
            url = urlsplit(self.path)
            return url.path.strip("/").split("/"), parse_qs(url.query)

        def do_GET(self):
            parts, _ = self.path_parts()
            if parts[0] == "readyz":
                self.reply(200, {"status": "ok"})
            elif parts[0] == "stats":
                self.reply(200, {})
            elif parts[-1] == "audit":
                self.reply(200, queue.state(parts[1]) | {"balanced": queue.balanced})
            elif parts[1] == "unknown":
                self.reply(404, {"type": "urn:dibs:problem:queue-unknown", "detail": "no such queue"})
            else:
                self.reply(200, queue.state(parts[1]))

        def do_PUT(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.reply(201, queue.state(self.path_parts()[0][1]))

        def do_DELETE(self):
            queue.deleted.append(self.path_parts()[0][1])
            self.reply(200, {})

        def do_POST(self):
            parts, query = self.path_parts()
            count = int(query.get("count", ["1"])[0])
            try:
                first, last, replay = queue.take(count, self.headers["idempotency-key"])
            except Fault as fault:
                if fault.status == 0:
                    self.close_connection = True
                else:
                    self.reply(fault.status, fault.body, fault.headers)
                return
            items = [{"seq": seq, "value": seq} for seq in range(first, last + 1)]
            body = (
                {"queue": parts[1], **items[0]}
                if "count" not in query
                else {"queue": parts[1], "items": items}
            )
            self.reply(200, body, [("Idempotent-Replayed", "true")] if replay else [])

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


def at(numbers, fault):
    """A hook that raises for these requests."""

    def hook(number):
        if number in numbers:
            raise fault

    return hook


@contextmanager
def serving(queue, handler=None):
    """Serve a queue in a thread; gives the URL."""
    with Server(("127.0.0.1", 0), handler or handler_of(queue)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    port, journal, *rest = sys.argv[1:]
    with Server(
        ("127.0.0.1", int(port)), handler_of(FakeQueue(journal=Path(journal), forget=bool(rest)))
    ) as it:
        it.serve_forever()

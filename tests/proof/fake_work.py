"""A small queue of work that can be told to misbehave: in a thread, or as a process of its own.

    python fake_work.py PORT JOURNAL [forget]

Its state is what its journal of requests makes of it, so a kill loses nothing; with ``forget`` it answers
first and writes now and then, so a kill brings back what was acked: the load test must find that.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


def fake_server():
    path = Path(__file__).with_name("fake_server.py")
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


base = fake_server()
Fault, Server, at = base.Fault, base.Server, base.at


@dataclass
class Item:
    seq: int
    value: object
    priority: int = 0
    due: float = 0.0
    attempt: int = 0
    token: str | None = None
    ttl: float = 0.0
    dead: bool = False

    def state(self, now):
        return "dead" if self.dead else "leased" if self.token and now < self.due else "waiting"


class FakeWork:
    """Correct, unless ``bug`` names what is wrong, every ``every``-th time that it could show.

    ``before(number)`` runs before the request with this number is looked at, ``after(number)`` when it has
    taken effect; either may raise a `Fault`.
    """

    def __init__(self, *, now=time.time, journal=None, forget=False, bug=None, every=7):
        self.lock = threading.RLock()
        self.now, self.bug, self.every = now, bug, every
        self.before = self.after = lambda number: None
        self.items, self.names, self.keys = {}, {}, {}
        self.cursor = self.acked = self.requests = self.tokens = self.tries = 0
        self.settings = {"max_attempts": 5, "backoff": 0.05}
        self.deleted = []
        self.began = time.monotonic()
        self.journal, self.forget, self.unwritten = None, forget, []
        if journal is not None and journal.exists():
            self.recover(journal)
        self.journal = journal
        started = self.now()
        self.restart(started)
        self.write({"restart": started})

    # -- one request

    def answer(self, path, body, key):
        """The status, the answer, and whether it is a replay."""
        with self.lock:
            self.requests += 1
            number = self.requests
            self.before(number)
            if key in self.keys and not self.wrong("forget-keys"):
                return *self.keys[key], True
            now = self.now()
            status, told = self.apply(path, body, now)
            self.keys[key] = status, told
            self.write({"path": path, "body": body, "key": key, "now": now})
            self.after(number)
            return status, told, False

    def apply(self, path, body, now):
        if path == "items":
            ready = sum(item.state(now) == "waiting" for item in self.items.values())
            if ready + len(body["items"]) > self.settings.get("max_ready", 10**9):
                raise Fault.problem(429, "queue-full")
            return 201, {"queue": "q", "items": [self.push(item, now) for item in body["items"]]}
        if path == "lease":
            lease = self.lease(body, now)
            return (200, lease) if lease else (204, None)
        kinds = {"acks": self.ack, "nacks": self.nack, "extends": self.extend, "releases": self.release}
        told = {
            name: [self.settle(entry, do, now) for entry in body.get(name, ())] for name, do in kinds.items()
        }
        lease = self.lease(body["lease"], now) if "lease" in body else None
        return 200, {"queue": "q", "state": "open", **told, "lease": lease, "lease_problem": None}

    def wrong(self, bug):
        """Whether to misbehave now."""
        if self.bug != bug:
            return False
        self.tries += 1
        return self.tries % self.every == 0

    def push(self, item, now):
        name = item.get("key")
        if name in self.names and name is not None and not self.wrong("push-twice"):
            return {"seq": self.names[name], "duplicate": True}
        self.cursor += 1
        self.items[self.cursor] = Item(
            self.cursor, item["value"], item.get("priority", 0), now + item.get("delay", 0)
        )
        if name is not None:
            self.names.setdefault(name, self.cursor)
        if self.wrong("lose-pushed"):
            del self.items[self.cursor]
        return {"seq": self.cursor}

    def claimable(self, now):
        most = self.settings.get("max_attempts")
        for item in list(self.items.values()):
            if item.state(now) == "waiting" and item.token and most and item.attempt >= most:
                item.dead = True
        ready = [item for item in self.items.values() if not item.dead and item.due <= now]
        if self.wrong("two-owners"):
            ready += [item for item in self.items.values() if item.state(now) == "leased"][:1]
        return sorted(ready, key=lambda item: (item.priority, item.due, item.seq))

    def lease(self, ask, now):
        ready = self.claimable(now)[: ask["max"]]
        if not ready:
            return None
        self.tokens += 1
        token, due = f"t{self.tokens}", now + ask["ttl"]
        for item in ready:
            item.attempt += 0 if self.wrong("same-attempt") else 1
            item.token, item.due, item.ttl = token, due, ask["ttl"]
        told = [{"seq": item.seq, "value": self.value(item), "attempt": item.attempt} for item in ready]
        return {"queue": "q", "state": "open", "token": token, "expires_in": ask["ttl"], "items": told}

    def value(self, item):
        return "mixed up" if self.wrong("value") else item.value

    # -- settling

    def settle(self, entry, do, now):
        """An outcome a seq; ranges of one, which is as good as any."""
        held = {
            item.seq: item for item in self.items.values() if item.token == entry["token"] and not item.dead
        }
        if not self.wrong("no-fence"):
            held = {seq: item for seq, item in held.items() if now < item.due}
        if self.wrong("live-refused"):
            held = {}
        if entry.get("seqs") is None:
            if not held:
                return [{"seqs": None, "outcome": "stale"}]
            return [do(held[seq], entry, now) for seq in sorted(held)]
        seqs = [seq for first, last in entry["seqs"] for seq in range(first, last + 1)]
        stale = "stale"
        return [
            do(held[seq], entry, now) if seq in held else {"seqs": [seq, seq], "outcome": stale}
            for seq in seqs
        ]

    def ack(self, item, _entry, now):
        self.acked += 1
        if self.wrong("acked-again"):
            item.token, item.due = None, now
        else:
            del self.items[item.seq]
        return {"seqs": [item.seq, item.seq], "outcome": "acked"}

    def nack(self, item, _entry, now):
        if self.wrong("lose-nacked"):
            del self.items[item.seq]
        most = self.settings.get("max_attempts")
        item.token, item.due = None, now + self.settings["backoff"]
        item.dead = bool(most) and item.attempt >= most
        return {"seqs": [item.seq, item.seq], "outcome": "dead" if item.dead else "nacked"}

    def extend(self, item, entry, now):
        item.due = now + entry["ttl"]
        return {"seqs": [item.seq, item.seq], "outcome": "extended", "expires_in": entry["ttl"]}

    def release(self, item, _entry, now):
        item.token, item.due, item.attempt = None, now, item.attempt - 1
        return {"seqs": [item.seq, item.seq], "outcome": "released"}

    # -- looking

    def audit(self):
        with self.lock:
            now = self.now()
            self.claimable(now)
            states = Counter(item.state(now) for item in self.items.values())
            inside = {state: states[state] for state in ("waiting", "leased", "dead")}
            balanced = self.cursor == self.acked + sum(inside.values())
            zero = dict.fromkeys(("base", "taken", "purged", "jumped", "delayed", "overlaps"), 0)
            return {
                "queue": "q",
                "cursor": self.cursor,
                "acked": self.acked,
                **inside,
                **zero,
                "balanced": balanced,
            }

    def page(self, after, limit):
        with self.lock:
            now = self.now()
            seqs = sorted(seq for seq in self.items if seq > after)
            items = [self.items[seq] for seq in seqs[:limit]]
            told = [{"seq": one.seq, "state": one.state(now), "attempt": one.attempt} for one in items]
            return {"queue": "q", "items": told, "next": seqs[limit - 1] if len(seqs) > limit else None}

    # -- the journal

    def write(self, line):
        if self.journal is None:
            return
        self.unwritten.append(json.dumps(line) + "\n")
        if len(self.unwritten) >= (25 if self.forget else 1):
            with self.journal.open("a") as file:
                file.write("".join(self.unwritten))
            self.unwritten = []

    def recover(self, journal):
        """Do it all again, with the clock of then, restarts too: no outage ends a lease early."""
        for line in base.journal_lines(journal):
            if "restart" in line:
                self.restart(line["restart"])
            else:
                self.keys[line["key"]] = self.apply(line["path"], line["body"], line["now"])

    def restart(self, now, killed=None):
        """What was live when the server was killed is live; so far as that is known."""
        for item in self.items.values():
            if item.token and (killed or now) < item.due:
                item.due = max(item.due, now + item.ttl)


def handler_of(queue):
    class Handler(base.handler_of(None)):
        def do_GET(self):
            parts, query = self.path_parts()
            if parts[0] == "readyz":
                self.reply(200, {"status": "ok"})
            elif parts[0] == "stats":
                self.reply(200, {"uptime": time.monotonic() - queue.began})
            elif parts[-1] == "audit":
                self.reply(200, queue.audit())
            elif parts[-1] == "items":
                self.reply(200, queue.page(int(query["after"][0]), int(query["limit"][0])))

        def do_PUT(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert body["source"] is None
            queue.settings = body["settings"]
            self.reply(201, queue.audit())

        def do_DELETE(self):
            queue.deleted.append(self.path_parts()[0][1])
            self.reply(200, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            url = urlsplit(self.path)
            assert not parse_qs(url.query)
            try:
                answer = queue.answer(url.path.rpartition("/")[2], body, self.headers["idempotency-key"])
            except Fault as fault:
                if fault.status == 0:
                    self.close_connection = True
                else:
                    self.reply(fault.status, fault.body, fault.headers)
                return
            status, told, replay = answer
            told = told and told | {"queue": self.path_parts()[0][1]}
            if status == 204:
                time.sleep(min(body["wait"], 0.01))  # what comes meanwhile is for the next request
            self.reply(status, told, [("Idempotent-Replayed", "true")] if replay else [])

    return Handler


def serving(queue):
    """Serve a queue of work in a thread; gives the URL."""
    return base.serving(queue, handler_of(queue))


if __name__ == "__main__":
    port, journal, *rest = sys.argv[1:]
    fake = FakeWork(journal=Path(journal), forget=bool(rest))
    with Server(("127.0.0.1", int(port)), handler_of(fake)) as it:
        it.serve_forever()

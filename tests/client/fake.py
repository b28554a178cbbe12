"""A server in memory, faithful to what the API says of work: tokens, strict expiry, keys, endings.

Its clock is given. ``handle`` answers one request, or gives ``Parked`` where a server would wait; faults are
put in by the transport around it (see ``conftest.py``).
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote


class Refuse(Exception):
    def __init__(self, status, name, detail="", *, retry_after=None, handed_out="no", **members):
        super().__init__(name)
        self.status = status
        self.members = {
            "type": f"urn:dibs:problem:{name}",
            "title": name,
            "status": status,
            "detail": detail or f"it is {name}",
            "handed_out": handed_out,
            "retryable": retry_after is not None or handed_out == "maybe",
            **members,
        }
        if retry_after is not None:
            self.members["retry_after"] = retry_after

    @property
    def answer(self):
        return Answer(self.status, self.members)


@dataclass
class Answer:
    status: int
    body: object = None
    headers: dict = field(default_factory=dict)


@dataclass
class Parked:
    """Nothing yet: ask ``again`` when something changed, and give up at ``until``."""

    until: float


@dataclass
class Entry:
    """An item inside a queue."""

    seq: int
    value: object
    due: float = 0.0
    attempt: int = 0
    token: str = ""
    dead: bool = False
    priority: int = 0
    worker: str = ""
    history: list = field(default_factory=list)


class FakeQueue:
    def __init__(self, name, source=None, *, max_attempts=10, backoff=1.0, max_ready=None, fails_at=None):
        self.name = name
        self.source = None if source is None else list(source)
        self.fails_at = fails_at
        self.settings = {
            "max_attempts": max_attempts,
            "backoff": backoff,
            "backoff_max": 3600.0,
            "jitter": 0.0,
            "max_ready": max_ready,
        }
        self.cursor = self.taken = self.acked = self.purged = self.jumped = 0
        self.inside = {}
        self.known = {}
        self.closed = self.paused = False
        self.streams = {}
        self.done = []  # (seq, value) in the order of acks

    @property
    def state(self):
        if self.closed:
            return "closed"
        if self.source is not None and self.cursor >= len(self.source):
            return "exhausted"
        if self.fails_at is not None and self.cursor + 1 >= self.fails_at:
            return "failed"
        return "paused" if self.paused else "open"

    def counted(self, now):
        leased = [entry for entry in self.inside.values() if entry.token and now < entry.due]
        dead = [entry for entry in self.inside.values() if entry.dead]
        waiting = len(self.inside) - len(leased) - len(dead)
        return {"waiting": waiting, "leased": len(leased), "dead": len(dead)}

    def info(self, now):
        counters = {name: getattr(self, name) for name in ("cursor", "taken", "acked", "purged", "jumped")}
        return {
            "queue": self.name,
            "source": None if self.source is None else "range",
            "args": {},
            "state": self.state,
            "paused": self.paused,
            "generation": 1,
            **counters,
            **self.counted(now),
            "created_at": "2026-01-31T12:00:00.000Z",
            "failure": None,
            "settings": self.settings,
            "a-later-member": 1,
        }


class FakeServer:
    """All queues; one request at a time. ``wake`` is called when something changed."""

    def __init__(self, clock):
        self.clock = clock
        self.queues = {}
        self.lock = threading.RLock()
        self.keys = {}
        self.counts = True  # whether it knows Idempotency-Sequence
        self.requests = []
        self.tokens = 0
        self.wake = lambda: None
        self.owners = {}  # (queue, seq) -> (token, until): two live owners at once are a failure
        self.violations = []
        self.most = 10_000  # items of a hand-out

    def add(self, name, source=None, **how):
        self.queues[name] = FakeQueue(name, source, **how)
        return self.queues[name]

    # -- one request

    def handle(self, method, target, body=b"", key=None, kind="", waited=False, n=0):
        """The answer, or ``Parked``. ``waited``: the wait is over. ``n``: the number in the key's session."""
        path, _, query = target.partition("?")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(query).items()}
        stream = key if "ndjson" in kind else None  # each of its lines is kept under a key of its own
        with self.lock:
            asked = self._identity(method, target, body)
            try:
                n = n if self.counts else 0
                filed = (parts[1:2], key)
                if key is not None and (replay := self._replay(filed, n, asked)):
                    return self._signed(replay, parts, key, n)
                answer = self._answer(method, parts, query, body, stream, waited)
            except Refuse as refuse:
                answer = refuse.answer
                if refuse.members.get("retry_after"):
                    answer.headers["retry-after"] = str(refuse.members["retry_after"])
            if key is not None and isinstance(answer, Answer) and answer.status in (200, 201):
                kept = Answer(answer.status, json.loads(json.dumps(answer.body)))
                self.keys[str(filed)] = (n, asked, kept)
            return self._signed(answer, parts, key, n)

    def _signed(self, answer, parts, key, n):
        """The answer with the names of its queue and its key, as the server signs each."""
        if isinstance(answer, Answer):
            queue = parts[1] if len(parts) > 1 and re.fullmatch(r"[a-z0-9._-]{1,64}", parts[1]) else None
            signed = {"dibs-queue": queue, "idempotency-key": key}
            signed["idempotency-sequence"] = str(n) if n else None
            answer.headers |= {name: value for name, value in signed.items() if value is not None}
        return answer

    def _replay(self, filed, n, asked):
        last, first, answer = self.keys.get(str(filed), (n - 1, None, None))
        if n < last:
            raise Refuse(
                409, "key-superseded", field="Idempotency-Sequence", handed_out="maybe", retryable=False
            )
        if first is None or n > last > 0:
            return None
        if first != asked or n != last:
            raise Refuse(422, "key-reused", field="Idempotency-Key")
        return Answer(answer.status, answer.body, {"idempotent-replayed": "true"})

    def _identity(self, method, target, body):
        if target.endswith("/lease"):
            ask = json.loads(body)
            ask.pop("wait", None)
            return (method, target, json.dumps(ask))
        return (method, target, body)

    def _answer(self, method, parts, query, body, key, waited):
        if parts == ["queues"]:
            return Answer(200, {"queues": [q.info(self.clock()) for q in self.queues.values()], "next": None})
        if parts == ["stats"]:
            return Answer(200, {"queues": len(self.queues)})
        if parts == ["backup"]:
            return Answer(200, {"path": "/data/backups/a.db", "bytes": 4096})
        if method == "PUT":
            return self._define(parts[1], json.loads(body), query)
        return self._on_queue(method, parts, query, body, key, waited)

    def _on_queue(self, method, parts, query, body, key, waited):
        queue = self.queues.get(parts[1])
        verb = parts[2] if len(parts) > 2 else ""
        if queue is None:
            raise Refuse(404, "queue-unknown", field="queue")
        self.requests.append((method, verb, body))
        if method == "DELETE":
            self._confirmed(queue, query)
            del self.queues[queue.name]
            return Answer(200, queue.info(self.clock()))
        if verb == "items" and method == "POST":
            return self._push(queue, query, body, key)
        if verb == "items" and len(parts) == 4:
            return self._item(queue, int(parts[3]))
        fields = json.loads(body) if body else {}
        return getattr(self, f"_{verb or 'info'}")(queue, fields, query, waited)

    # -- managing

    def _confirmed(self, queue, query):
        if queue.info(self.clock())["waiting"] and query != {"confirm": queue.name}:
            raise Refuse(409, "not-empty", field="confirm")

    def _define(self, name, fields, query):
        if fields.get("reset") and name in self.queues:
            self._confirmed(self.queues[name], query)
            del self.queues[name]
        source = {"range": range(fields.get("args", {}).get("stop", 0))}.get(fields.get("source"))
        queue = self.queues.get(name) or self.add(name, source)
        queue.settings |= fields.get("settings", {})
        return Answer(201, queue.info(self.clock()))

    def _info(self, queue, *_):
        return Answer(200, queue.info(self.clock()))

    def _stats(self, queue, *_):
        return Answer(200, {"queue": queue.name, **queue.counted(self.clock())})

    def _operate(self, queue, **changes):
        for name, value in changes.items():
            setattr(queue, name, value)
        self.wake()
        return Answer(200, queue.info(self.clock()))

    def _advance(self, queue, fields, *_):
        return Answer(
            200, queue.info(self.clock()) | {"cursor": fields["to_seq"], "jumped": fields["to_seq"]}
        )

    def _pause(self, queue, *_):
        return self._operate(queue, paused=True)

    def _resume(self, queue, *_):
        return self._operate(queue, paused=False)

    def _close(self, queue, *_):
        return self._operate(queue, closed=True)

    def _retry(self, queue, *_):
        return self._operate(queue, fails_at=None)

    def _audit(self, queue, *_):
        counts = queue.counted(self.clock())
        counters = {name: getattr(queue, name) for name in ("cursor", "taken", "acked", "purged", "jumped")}
        balanced = sum(counts.values()) + sum(counters.values()) - queue.cursor == queue.cursor
        more = {"queue": queue.name, "generation": 1, "delayed": 0, "overlaps": 0, "balanced": balanced}
        return Answer(200, {**counts, **counters, **more})

    def _items(self, queue, _fields, query, _waited):
        after, limit = int(query.get("after", 0)), int(query.get("limit", 100))
        wanted = query.get("state")
        found = [self._told(entry) for entry in queue.inside.values() if entry.seq > after]
        found = [item for item in found if wanted in (None, item["state"])]
        page = found[:limit]
        return Answer(200, {"items": page, "next": page[-1]["seq"] if len(found) > limit else None})

    def _item(self, queue, seq):
        if seq not in queue.inside:
            raise Refuse(404, "item-unknown", field="seq")
        entry = queue.inside[seq]
        return Answer(200, {**self._told(entry), "history": entry.history})

    def _told(self, entry):
        live = entry.token and self.clock() < entry.due
        return {
            "seq": entry.seq,
            "value": entry.value,
            "state": "dead" if entry.dead else "leased" if live else "waiting",
            "attempt": entry.attempt,
            "priority": entry.priority,
            "due_at": "2026-01-31T12:00:00.000Z",
            "worker": entry.worker,
            "error": entry.history[-1]["error"] if entry.history else None,
        }

    def _redrive(self, queue, fields, *_):
        dead = [entry for entry in queue.inside.values() if entry.dead][: fields.get("limit")]
        if "seqs" in fields:
            dead = [entry for entry in dead if any(a <= entry.seq <= b for a, b in fields["seqs"])]
        for entry in dead:
            entry.dead, entry.attempt, entry.due = False, 0, self.clock()
        self.wake()
        return Answer(200, {"queue": queue.name, "redriven": len(dead)})

    def _purge(self, queue, fields, *_):
        if fields.get("confirm") != queue.name:
            raise Refuse(422, "invalid", field="confirm")
        states = fields.get("states", ["waiting", "dead"])
        gone = [entry.seq for entry in queue.inside.values() if self._told(entry)["state"] in states]
        for seq in gone:
            del queue.inside[seq]
        queue.purged += len(gone)
        return Answer(200, {"queue": queue.name, "purged": len(gone)})

    # -- handing out

    def _claimable(self, queue):
        now = self.clock()
        for entry in queue.inside.values():
            if entry.token and now >= entry.due:
                entry.history.append(_failure(entry, "expired"))
                entry.token = ""
                entry.dead = entry.attempt >= (queue.settings["max_attempts"] or 1 << 30)
        free = [entry for entry in queue.inside.values() if not entry.dead and not entry.token]
        return sorted(
            (entry for entry in free if entry.due <= now), key=lambda entry: (entry.priority, entry.due)
        )

    def _hand_out(self, queue, most):
        """Entries that can be handed out now; raises what /lease would answer where there are none."""
        if queue.paused:
            raise Refuse(503, "paused", retry_after=1)
        waiting = self._claimable(queue)[:most]
        if waiting:
            return waiting
        fresh = []
        if queue.source is not None and not queue.closed:
            while len(fresh) < most and queue.cursor < len(queue.source) and queue.state != "failed":
                queue.cursor += 1
                fresh.append(Entry(queue.cursor, queue.source[queue.cursor - 1]))
        if fresh:
            return fresh
        if queue.state == "failed":
            cause = {"type": "RuntimeError", "message": "no more today"}
            raise Refuse(409, "source-failed", cause=cause, seq=queue.fails_at)
        if queue.state in ("exhausted", "closed") and not any(not e.dead for e in queue.inside.values()):
            raise Refuse(410, "exhausted")
        return []

    def _next(self, queue, _fields, query, waited):
        found = self._hand_out(queue, int(query["count"]))
        if not found:
            wait = float(query.get("wait", 0))
            return Parked(self.clock() + wait) if wait and not waited else Answer(204)
        for entry in found:
            queue.inside.pop(entry.seq, None)
        queue.taken += len(found)
        items = [{"seq": entry.seq, "value": entry.value} for entry in found]
        return Answer(200, {"queue": queue.name, "state": queue.state, "items": items})

    def _lease(self, queue, fields, _query, waited):
        lease = self._leased(queue, fields)
        if lease is None:
            wait = fields.get("wait", 0)
            return Parked(self.clock() + wait) if wait and not waited else Answer(204)
        return Answer(200, lease)

    def _leased(self, queue, ask, where=""):
        self._check_ask(ask, where)
        found = self._hand_out(queue, ask.get("max", 1))
        if not found:
            return None
        self.tokens += 1
        token, due = f"token-{self.tokens}", self.clock() + ask.get("ttl", 30)
        for entry in found:
            entry.attempt += 1
            entry.token, entry.due, entry.worker = token, due, ask.get("worker", "")
            queue.inside[entry.seq] = entry
            self._own(queue, entry)
        items = [{"seq": e.seq, "value": e.value, "attempt": e.attempt} for e in found]
        return {
            "queue": queue.name,
            "state": queue.state,
            "token": token,
            "expires_at": "2026-01-31T12:00:00.000Z",
            "expires_in": float(ask.get("ttl", 30)),
            "items": items,
        }

    def _check_ask(self, ask, where):
        for name, least, most in (("max", 1, self.most), ("ttl", 0.001, 43_200), ("wait", 0, 30)):
            if not least <= ask.get(name, 1) <= most:
                raise Refuse(422, "limit-exceeded", field=f"{where}{name}", limit=f"{least}..{most}")

    def _own(self, queue, entry):
        _, until = self.owners.get((queue.name, entry.seq), ("", 0.0))
        if self.clock() < until:
            self.violations.append(f"two owners of {queue.name} {entry.seq}")
        self.owners[queue.name, entry.seq] = (entry.token, entry.due)

    # -- settling

    def _settle(self, queue, fields, _query, _waited):
        named = set()
        answer = {"queue": queue.name, "acks": [], "nacks": [], "extends": [], "releases": [], "lease": None}
        if "lease" in fields:
            self._check_ask(fields["lease"], "lease.")
        for kind in ("acks", "nacks", "extends", "releases"):
            for entry in fields.get(kind, ()):
                self._check_entry(queue, kind, entry, named)
        for kind in ("acks", "nacks", "extends", "releases"):
            for entry in fields.get(kind, ()):
                answer[kind].append(self._settle_one(queue, kind, entry))
        self.wake()
        if "lease" in fields:
            answer["lease_problem"] = None
            try:
                answer["lease"] = self._leased(queue, fields["lease"], "lease.")
            except Refuse as refuse:
                if refuse.status == 422:
                    raise
                answer["lease_problem"] = refuse.members
        answer["state"] = queue.state
        return Answer(200, answer)

    def _check_entry(self, queue, kind, entry, named):
        for first, last in entry.get("seqs") or [(None, None)]:
            names = (
                {(entry["token"], None)}
                if first is None
                else {(entry["token"], s) for s in range(first, last + 1)}
            )
            if names & named:
                raise Refuse(422, "invalid", "named twice", field=f"{kind}.0.seqs")
            named |= names
        if len(entry.get("error", "").encode()) > 8192:
            raise Refuse(422, "limit-exceeded", field=f"{kind}.0.error", limit=8192)
        if (entry.get("delay") or 0) > 2_592_000:
            raise Refuse(422, "limit-exceeded", field=f"{kind}.0.delay", limit=2_592_000)
        for result in entry.get("push", ()):
            if not result["queue"].islower():
                raise Refuse(422, "invalid", field=f"{kind}.0.push.0.queue")
            if len(json.dumps(result["value"])) > 262144:
                raise Refuse(422, "limit-exceeded", field=f"{kind}.0.push.0.value", limit=262144)
        if entry.get("delay", 0) > 2_592_000:
            raise Refuse(422, "limit-exceeded", field=f"{kind}.0.delay", limit=2_592_000)
        if entry.get("ttl", 1) > 43200:
            raise Refuse(422, "limit-exceeded", field=f"{kind}.0.ttl", limit=43200)

    def _settle_one(self, queue, kind, entry):
        token, now = entry["token"], self.clock()
        live = {e.seq: e for e in queue.inside.values() if e.token == token and now < e.due}
        if entry.get("seqs") is None:
            if not live:
                return [{"seqs": None, "outcome": "stale"}]
            asked = sorted(live)
        else:
            asked = [seq for first, last in entry["seqs"] for seq in range(first, last + 1)]
        if entry.get("push"):
            refused = self._refused(entry["push"])
            if refused:
                return [{"seqs": [asked[0], asked[-1]], "outcome": "refused", **refused}]
            if any(seq not in live for seq in asked):
                return [{"seqs": [asked[0], asked[-1]], "outcome": "stale"}]
            for result in entry["push"]:
                self._put(self.queues[result["queue"]], result)
        return _joined([(seq, self._apply(queue, kind, entry, live.get(seq))) for seq in asked])

    def _refused(self, push):
        for result in push:
            target = self.queues.get(result["queue"])
            if target is None or target.closed or target.source is not None:
                reason = "unknown" if target is None else "closed" if target.closed else "source-fed"
                return {"reason": reason, "queue": result["queue"]}
        return None

    def _apply(self, queue, kind, entry, item):
        if item is None:
            return {"outcome": "stale"}
        now = self.clock()
        if kind == "extends":
            item.due = now + entry["ttl"]
            self.owners[queue.name, item.seq] = (item.token, item.due)
            return {
                "outcome": "extended",
                "expires_in": entry["ttl"],
                "expires_at": "2026-01-31T12:00:00.000Z",
            }
        self.owners.pop((queue.name, item.seq), None)
        item.token = ""
        if kind == "acks":
            del queue.inside[item.seq]
            queue.acked += 1
            queue.done.append((item.seq, item.value))
            return {"outcome": "acked"}
        if kind == "releases":
            item.attempt -= 1
            item.due = now
            return {"outcome": "released"}
        item.history.append(_failure(item, entry.get("error", "")))
        if entry.get("dead") or item.attempt >= (queue.settings["max_attempts"] or 1 << 30):
            item.dead = True
            return {"outcome": "dead"}
        delay = entry.get("delay")
        item.due = now + (queue.settings["backoff"] if delay is None else delay)
        return {"outcome": "nacked", "due_at": "2026-01-31T12:00:00.000Z"}

    # -- pushing

    def _push(self, queue, query, body, key):
        if queue.source is not None:
            raise Refuse(409, "source-fed")
        if queue.closed:
            raise Refuse(409, "closed")
        if key is not None:
            return self._stream(queue, body, key)
        items = json.loads(body)["items"]
        self._check_room(queue, len(items))
        answer = Answer(201, {"queue": queue.name, "items": [self._put(queue, item) for item in items]})
        self.wake()
        return answer

    def _check_room(self, queue, count):
        most = queue.settings["max_ready"]
        if most is not None and queue.counted(self.clock())["waiting"] + count > most:
            raise Refuse(429, "queue-full", retry_after=1, field="items", limit=most)

    def _put(self, queue, item):
        known = queue.known.get(item.get("key"))
        if known is not None:
            return {"seq": known, "duplicate": True}
        queue.cursor += 1
        due = self.clock() + item.get("delay", 0)
        queue.inside[queue.cursor] = Entry(queue.cursor, item["value"], due, priority=item.get("priority", 0))
        if item.get("key") is not None:
            queue.known[item["key"]] = queue.cursor
        return {"seq": queue.cursor}

    def _stream(self, queue, body, key):
        """Each line is one commit here, filed under its place in the stream."""
        sums = {"lines": 0, "bytes": 0, "accepted": 0, "duplicates": 0}
        for line in body.splitlines(keepends=True):
            place = key, sums["lines"]
            try:
                if place not in queue.streams:
                    self._check_room(queue, 1)
                    queue.streams[place] = self._put(queue, json.loads(line))
            except Refuse as refuse:
                refuse.members |= sums | {"line": sums["lines"] + 1}
                raise
            except ValueError:
                raise Refuse(422, "value-refused", line=sums["lines"] + 1) from None
            sums["bytes"] += len(line)
            sums["lines"] += 1
            sums["duplicates" if queue.streams[place].get("duplicate") else "accepted"] += 1
        self.wake()
        return Answer(201, {"queue": queue.name, **sums, "ranges": []})


def _failure(entry, error):
    at = "2026-01-31T12:00:00.000Z"
    return {"attempt": entry.attempt, "at": at, "worker": entry.worker, "error": error}


def _joined(told):
    """Neighbours with the same outcome as one range."""
    ranges = []
    for seq, outcome in told:
        if ranges and ranges[-1][1] == seq - 1 and ranges[-1][2] == outcome:
            ranges[-1][1] = seq
        else:
            ranges.append([seq, seq, outcome])
    return [{"seqs": [first, last], **outcome} for first, last, outcome in ranges]

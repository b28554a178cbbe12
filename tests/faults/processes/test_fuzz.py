"""Requests of all kinds over all routes, by callers of all kinds, at a real server.

Whatever is asked: no 5xx but those that the manual names, nothing handed out without a 2xx, and no answer has
what belongs to somebody else. ``DIBS_TEST_REQUESTS`` says how many (100,000 before a release),
``DIBS_TEST_SEED`` which ones; ``pytest -s`` shows how they were answered.
"""

import itertools
import json
import os
import random
import re
import threading
from collections import Counter, defaultdict

import httpx
import pytest
from dibs.api.plain import matrix
from dibs.config import Settings
from dibs.main import create_app

REQUESTS = int(os.environ.get("DIBS_TEST_REQUESTS", "4000"))
SEED = int(os.environ.get("DIBS_TEST_SEED", "0"))
THREADS = 8
TEAMS = ("lynx", "otter")
KEYS = [f"key-{number}" for number in range(6)]  # callers use the same ones: each caller's are its own
DOCUMENTED = {503, 507}
QUEUES = [f"{team}-{kind}" for team in TEAMS for kind in ("numbers", "jobs")]
FREE = ["free", "spare"]
HOSTILE = ["%00", "..", "%2e%2e%2f", "a" * 300, "ü", "%F0%9F%92%A9", "q;drop", "*", "lynx*", "-", "0"]
WORDS = ["", "0", "1", "-1", "2", "3.5", "1e400", "true", "all", "dead", "NaN", "%", "\u202e", "9" * 30]
VIEWS = ["overview", "queue&queue=lynx-jobs", "queue&queue=otter-numbers", "proof&queue=lynx-numbers", "x"]
EVENT_LINES = 6
"""Of a stream of events: hello, and the first view."""
PARAMETERS = ["count", "wait", "size", "limit", "state", "after", "x"]
NUMBERS = [0, 1, 2, 3, -1, 0.5, 1e308, 2**53, 2**70, True, None, "1", [], {}]
TEXTS = ["", "x", "lynx", "<script>", "\u0000", "é" * 300, "a" * 5000]
BODIES = {  # what an operation may be sent; fields are left out, changed and added
    "items": lambda r, own: {"items": [{"value": own(r), "key": r.choice(KEYS), "delay": 0, "priority": 1}]},
    "lease": lambda r, own: {"max": r.choice([1, 2, 5]), "ttl": 600, "worker": r.choice(TEXTS)},
    "settle": lambda r, own: {"acks": [{"token": own(r)}], "lease": {"max": 1, "ttl": 600}},
    "ack": lambda r, own: {"token": own(r)},
    "nack": lambda r, own: {"token": own(r), "error": "it failed", "delay": 0},
    "extend": lambda r, own: {"token": own(r), "ttl": 600},
    "release": lambda r, own: {"token": own(r)},
    "free": lambda r, own: {"source": "count", "args": {"start": r.choice(NUMBERS)}},
    "purge": lambda r, own: {"confirm": r.choice(FREE)},
    "advance": lambda r, own: {"to_seq": r.choice(NUMBERS)},
    "redrive": lambda r, own: {"limit": r.choice(NUMBERS)},
    "login": lambda r, own: {"token": own(r)},
    "tokens": lambda r, own: {"roles": ["read:nothing-such"], "name": r.choice(TEXTS)},
}


class Caller:
    """Who asks of which ``queues``, most often of those that it may; who may do everything, of its own alone.

    ``sees`` are the teams whose values it may be told, ``takes`` those whose items are handed out to it.
    """

    def __init__(self, token, *, sees=(), takes=(), queues=QUEUES):
        self.queues = [name for name in queues if not sees or name.startswith(tuple(sees))] or queues
        self.headers = (
            {}
            if token is None
            else {"Authorization": b"Bearer " + (token if isinstance(token, bytes) else token.encode())}
        )
        self.others = queues if set(TEAMS) <= set(sees) else [*QUEUES, *FREE]
        self.sees = sees
        self.takes = takes


@pytest.fixture
def field(serve):
    """A server with two teams' queues, and all kinds of callers."""
    server = serve()
    with httpx.Client(base_url=server.url, timeout=60) as anybody:
        made = anybody.post("/tokens", json={"roles": ["admin"], "name": "ann"}).json()["token"]
        admin = {"Authorization": f"Bearer {made}"}

        def token(*roles, name):
            body = {"roles": list(roles), "name": name}
            return anybody.post("/tokens", json=body, headers=admin).raise_for_status().json()

        callers = [Caller(None), Caller("dibs_wrong"), Caller("\xe4\xe4".encode())]
        for team in TEAMS:
            numbers = {"source": "count", "args": {"format": f"{team}-{{}}"}}
            anybody.put(f"/queues/{team}-numbers", json=numbers, headers=admin).raise_for_status()
            anybody.put(f"/queues/{team}-jobs", json={"settings": {"max_attempts": 2}}, headers=admin)
            of = f"{team}*"
            roles = [f"consume:{of}", f"produce:{of}", f"read:{of}"]
            one, other = token(*roles, name=team)["token"], token(*roles, name=team)["token"]
            callers += [Caller(each, sees=(team,), takes=(team,)) for each in (one, other)]
            callers.append(Caller(token(f"read:{of}", name="reader")["token"], sees=(team,)))
            callers.append(Caller(token(f"produce:{of}", name="feeder")["token"], sees=(team,)))
        gone = token("admin", name="gone")
        anybody.delete(f"/tokens/{gone['id']}", headers=admin).raise_for_status()
        callers.append(Caller(gone["token"]))
        free = [f"{role}:{name}" for name in FREE for role in ("operate", "consume", "produce")]
        operator = token(*free, name="operator")["token"]
        # What these change is their own: nothing of a team's is dropped or closed.
        callers += [Caller(made, sees=TEAMS, queues=FREE), Caller(operator, sees=("free",), queues=FREE)] * 2
    paths = sorted(matrix(create_app(Settings(data=":memory:"))))
    often = [(method, path) for method, path in paths if method == "POST" and path.endswith(OFTEN)]
    admitted = [caller for caller in callers if caller.sees]
    return server, [*callers, *admitted * 3], Caller(made, sees=TEAMS), [*paths, *often * 6]


OFTEN = ("/next", "/lease", "/settle", "/items")


def mangled(r, body):
    """A body with something wrong, now and then."""
    if r.random() < 0.6 or not isinstance(body, dict):
        return json.dumps(body).encode()
    body = dict(body)
    name = r.choice([*body, r.choice(TEXTS)])
    if r.random() < 0.3:
        body.pop(name, None)
    else:
        body[name] = r.choice([*NUMBERS, *TEXTS])
    text = json.dumps(body).encode()
    if r.random() < 0.1:
        text = text[: r.randrange(len(text) + 1)] + r.randbytes(3)
    return text


class Fuzz:
    """One thread of requests, from a seed."""

    def __init__(self, url, routes, callers, seed, tokens):
        self.r = random.Random(seed)
        self.client = httpx.Client(base_url=url, timeout=60)
        self.routes, self.callers, self.tokens = routes, callers, tokens
        self.statuses = Counter()
        self.routes_told = defaultdict(Counter)
        self.handed = defaultdict(list)
        self.wrong = []

    def run(self, many):
        with self.client:
            for _ in range(many):
                self.one()

    def one(self):
        r, caller = self.r, self.r.choice(self.callers)
        method, route = r.choice(self.routes)
        queue = r.choice(r.choices([caller.queues, caller.others, HOSTILE], [14, 3, 3])[0])
        path = route.replace("{queue}", queue).replace("{seq}", r.choice(["1", "2", "x", "9" * 20]))
        path = path.replace("{token}", r.choice(["0", "ffff"]))
        path = path.replace("{name}", r.choice(["app.js", "x.js"]))
        headers = dict(caller.headers)
        if r.random() < 0.3:
            headers["Idempotency-Key"] = r.choice(KEYS) if r.random() < 0.5 else f"{r.random()}"
            if r.random() < 0.3:
                headers["Idempotency-Sequence"] = r.choice(["1", "2", "x", "-1"])
        if r.random() < 0.1:
            headers[r.choice(["X-Request-Id", "Accept", "Origin", "X-Forwarded-User", "Range"])] = r.choice(
                ["ann", "lynx", "text/plain", "null", "http://example.org", "bytes=0-1"]
            )
        content = None
        if method in {"POST", "PUT"} and r.random() < 0.9:
            make = BODIES.get(path.rpartition("/")[2].partition("?")[0], lambda _r, _own: {})
            content = mangled(r, make(r, lambda _: self.own(caller)))
            headers["Content-Type"] = r.choice(["application/json"] * 9 + ["text/plain"])
        if r.random() < 0.15:
            path += f"?{r.choice(PARAMETERS)}={r.choice(WORDS)}"
        elif method == "DELETE":
            path += f"?confirm={queue}"
        elif route == "/events":
            path += f"?view={r.choice(VIEWS)}"
        with self.client.stream(method, path.replace(" ", ""), headers=headers, content=content) as answer:
            self.statuses[answer.status_code] += 1
            self.routes_told[method, route].update([answer.status_code])
            if route == "/events" and answer.is_success:  # it has no end
                text = "".join(itertools.islice(answer.iter_lines(), EVENT_LINES))
            else:
                answer.read()
                text = answer.text
        self.judge(caller, f"{method} {path}", answer, text)
        if answer.is_success:
            self.count(path.partition("?")[0].rpartition("/")[2], path, answer)

    def own(self, caller):
        """A value that says whose it is, or a token of somebody's lease."""
        if self.tokens and self.r.random() < 0.5:
            return self.r.choice(self.tokens)
        return f"{caller.takes[0]}-value" if caller.takes else "a value"

    def judge(self, caller, asked, answer, text):
        """An answer tells nobody what is another's, and has no status that is not documented."""
        told = f"{asked} {answer.status_code} {text[:300]}"
        if answer.status_code >= 500 and answer.status_code not in DOCUMENTED:
            self.wrong.append(f"undocumented: {told}")
        for team in TEAMS:
            if team not in caller.sees and re.search(rf"{team}-(value|\d)", text):
                self.wrong.append(f"somebody else's: {told}")

    def count(self, what, path, answer):
        """Note what was handed out, and the tokens of leases."""
        hands_out = what in {"next", "lease", "settle"}
        if hands_out and answer.headers.get("Content-Type", "").startswith("text/plain"):
            for value in answer.text.split():
                team, _, number = value.rpartition("-")
                self.handed[f"{team}-numbers"].append(int(number))
        elif answer.headers.get("Content-Type") == "application/json" and answer.content:
            body = answer.json()
            if isinstance(body, dict) and isinstance(body.get("token"), str) and "/tokens" not in path:
                self.tokens.append(body["token"])
            if hands_out:
                self.note(body)

    def note(self, body):
        leased = body.get("lease") or body
        queue = body.get("queue") or leased.get("queue")
        if queue:
            for item in leased.get("items", [leased]):
                if "seq" in item:
                    self.handed[queue].append(item["seq"])


def show(threads, statuses):
    """Print how requests were answered, of all and by route."""
    print("\n", sum(statuses.values()), "requests:", dict(sorted(statuses.items())))
    told = defaultdict(Counter)
    for each in threads:
        for route, its in each.routes_told.items():
            told[route] += its
    for (method, path), its in sorted(told.items()):
        print(f"{method:6} {path:32}", dict(sorted(its.items())))


def test_requests_of_all_kinds_by_callers_of_all_kinds(field):
    server, callers, admin, routes = field
    tokens = []
    threads = [Fuzz(server.url, routes, callers, seed, tokens) for seed in range(SEED, SEED + THREADS)]
    running = [threading.Thread(target=each.run, args=(REQUESTS // THREADS,)) for each in threads]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert [wrong for each in threads for wrong in each.wrong] == []
    statuses = sum((each.statuses for each in threads), Counter())
    assert statuses.total() == REQUESTS // THREADS * THREADS
    show(threads, statuses)
    assert {200, 201, 204, 401, 403, 404, 409, 422} <= set(statuses), statuses
    with httpx.Client(base_url=server.url, headers=admin.headers, timeout=60) as client:
        for team in TEAMS:
            audit = client.get(f"/queues/{team}-numbers/audit").raise_for_status().json()
            handed = {seq for each in threads for seq in each.handed[f"{team}-numbers"]}
            assert audit["cursor"] > 0, statuses
            assert handed == set(range(1, audit["cursor"] + 1)), "handed out without a 2xx"
            assert audit["balanced"]

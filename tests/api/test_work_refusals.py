"""Bad input of work: a clear 4xx that names the field and the limit, and nothing changed.

None of these changes anything (``refused`` looks), so they share one application.
"""

import json

import pytest

JSON = {"Content-Type": "application/json"}
MAX = 2**53 - 1


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        house.pushed("jobs", *range(10))
        house.token = house.lease("jobs", max=5)["token"]
        yield house


def raw(body):
    return {"content": body, "headers": JSON}


LEASES = [
    ({"max": 0}, "limit-exceeded", "max", "1..10000"),
    ({"max": 10_001}, "limit-exceeded", "max", "1..10000"),
    ({"max": 10**30}, "limit-exceeded", "max", "1..10000"),
    ({"max": 1.5}, "invalid", "max", "1..10000"),
    ({"max": "1"}, "invalid", "max", "1..10000"),
    ({"max": True}, "invalid", "max", "1..10000"),
    ({"max": None}, "invalid", "max", "1..10000"),
    ({"ttl": 0}, "limit-exceeded", "ttl", "0.001..43200"),
    ({"ttl": -1}, "limit-exceeded", "ttl", "0.001..43200"),
    ({"ttl": 0.0009}, "limit-exceeded", "ttl", "0.001..43200"),
    ({"ttl": 43_200.001}, "limit-exceeded", "ttl", "0.001..43200"),
    ({"ttl": "30"}, "invalid", "ttl", "0.001..43200"),
    ({"ttl": False}, "invalid", "ttl", "0.001..43200"),
    ({"ttl": [30]}, "invalid", "ttl", "0.001..43200"),
    ({"wait": -0.1}, "limit-exceeded", "wait", "0..30"),
    ({"wait": 30.1}, "limit-exceeded", "wait", "0..30"),
    ({"wait": "0"}, "invalid", "wait", "0..30"),
    ({"worker": "w" * 256}, "limit-exceeded", "worker", 255),
    ({"worker": "ü" * 128}, "limit-exceeded", "worker", 255),
    ({"worker": 7}, "invalid", "worker", None),
    ({"worker": None}, "invalid", "worker", None),
    ({"tll": 1}, "invalid", "tll", None),
    ({"Max": 1}, "invalid", "Max", None),
    ({"token": "t"}, "invalid", "token", None),
]


@pytest.mark.parametrize(("body", "name", "field", "limit"), LEASES)
def test_lease(refused, body, name, field, limit):
    problem = refused("POST", "/queues/jobs/lease", 422, name, json=body).json()
    assert (problem["field"], problem.get("limit")) == (field, limit)
    assert problem["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(("body", "name", "field", "limit"), LEASES)
def test_the_lease_of_a_settle_and_nothing_is_settled(refused, house, body, name, field, limit):
    whole = {"acks": [{"token": house.token}], "lease": body}
    problem = refused("POST", "/queues/jobs/settle", 422, name, json=whole).json()
    assert (problem["field"], problem.get("limit")) == (f"lease.{field}", limit)


@pytest.mark.parametrize(
    ("body", "name", "field"),
    [
        (b'{"worker": "\\ud800"}', "invalid", "worker"),
        (b'{"\\ud800": 1}', "invalid", "\\ud800"),
        (b'{"ttl": 1e999}', "limit-exceeded", "ttl"),
    ],
)
def test_what_json_lets_through(refused, body, name, field):
    assert refused("POST", "/queues/jobs/lease", 422, name, **raw(body)).json()["field"] == field


@pytest.mark.parametrize(
    ("body", "status", "name", "field"),
    [
        (b'{"a": NaN}', 400, "malformed", "body"),
        (b'{"a": 1} x', 400, "malformed", "body"),
        (b'{"a": 1', 400, "malformed", "body"),
        (b"\xff", 400, "malformed", "body"),
        (b'{"a": 1, "a": 2}', 422, "invalid", "a"),
        (b'{"a": ' + b"9" * 5000 + b"}", 422, "invalid", "body"),
        (b"[" * 100_000, 422, "invalid", "body"),
        (b"[]", 422, "invalid", "body"),
        (b"null", 422, "invalid", "body"),
        (b'"x"', 422, "invalid", "body"),
    ],
    ids=lambda value: ascii(value)[:20] if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("path", ["lease", "settle", "ack", "redrive", "purge", "items"])
def test_bodies(refused, path, body, status, name, field):
    assert refused("POST", f"/queues/jobs/{path}", status, name, **raw(body)).json()["field"] == field


def entry(**more):
    return {"token": "t", **more}


SEQS = [
    ([], "invalid", "seqs"),
    ({}, "invalid", "seqs"),
    (None, "invalid", "seqs"),
    ("1-2", "invalid", "seqs"),
    ([1, 2], "invalid", "seqs.0"),
    ([[1]], "invalid", "seqs.0"),
    ([[1, 2, 3]], "invalid", "seqs.0"),
    ([[1, 2], [4, 3]], "invalid", "seqs.1"),
    ([[1, "2"]], "invalid", "seqs.0.1"),
    ([[1.5, 2]], "invalid", "seqs.0.0"),
    ([[True, 2]], "invalid", "seqs.0.0"),
    ([[None, 2]], "invalid", "seqs.0.0"),
    ([[0, 2]], "limit-exceeded", "seqs.0.0"),
    ([[-1, 2]], "limit-exceeded", "seqs.0.0"),
    ([[1, MAX + 1]], "limit-exceeded", "seqs.0.1"),
    ([[1, 2], [2, 3]], "invalid", "seqs"),
    ([[5, 5], [1, 9]], "invalid", "seqs"),
    ([[3, 3], [3, 3]], "invalid", "seqs"),
]
CALLS = [
    ("ack", "acks", {}),
    ("nack", "nacks", {}),
    ("extend", "extends", {"ttl": 1}),
    ("release", "releases", {}),
]


@pytest.mark.parametrize(("call", "kind", "more"), CALLS)
class TestEntries:
    def both(self, refused, call, kind, body, name, field):
        """As a short call, and as an entry of a settle, where the field has its place before it."""
        problem = refused("POST", f"/queues/jobs/{call}", 422, name, json=body).json()
        assert problem["field"] == field
        whole = {kind: [entry(token="other", **({"ttl": 1} if call == "extend" else {})), body]}
        problem = refused("POST", "/queues/jobs/settle", 422, name, json=whole).json()
        assert problem["field"] == f"{kind}.1.{field}"
        return problem

    @pytest.mark.parametrize(("seqs", "name", "field"), SEQS)
    def test_seqs(self, refused, call, kind, more, seqs, name, field):
        self.both(refused, call, kind, entry(seqs=seqs, **more), name, field)

    @pytest.mark.parametrize(
        ("token", "name"),
        [
            ("", "limit-exceeded"),
            ("t" * 256, "limit-exceeded"),
            (7, "invalid"),
            (None, "invalid"),
            (["t"], "invalid"),
        ],
    )
    def test_tokens(self, refused, call, kind, more, token, name):
        self.both(refused, call, kind, {"token": token, **more}, name, "token")

    def test_no_token(self, refused, call, kind, more):
        self.both(refused, call, kind, {"seqs": [[1, 1]], **more}, "invalid", "token")

    @pytest.mark.parametrize("name", ["seq", "tokens", "Token", "lease"])
    def test_unknown_fields(self, refused, call, kind, more, name):
        self.both(refused, call, kind, entry(**{name: 1}, **more), "invalid", name)

    def test_fields_of_another_kind(self, refused, call, kind, more):
        for name, value in (("push", []), ("delay", 1), ("error", "x"), ("ttl", 1)):
            owners = {"push": "ack", "delay": "nack", "error": "nack", "ttl": "extend"}
            if owners[name] != call:
                self.both(refused, call, kind, entry(**{**more, name: value}), "invalid", name)

    def test_too_many_ranges(self, refused, call, kind, more):
        body = entry(seqs=[[2 * n, 2 * n] for n in range(1, 100_002)], **more)
        problem = refused("POST", "/queues/jobs/settle", 422, "limit-exceeded", json={kind: [body]}).json()
        assert (problem["field"], problem["limit"]) == ("seqs", 100_000)

    def test_too_many_entries(self, refused, call, kind, more):
        body = {kind: [entry(token=str(n), **more) for n in range(10_001)]}
        problem = refused("POST", "/queues/jobs/settle", 422, "limit-exceeded", json=body).json()
        assert (problem["field"], problem["limit"]) == (kind, 10_000)

    @pytest.mark.parametrize("entries", [{}, "x", None, 1])
    def test_no_list(self, refused, call, kind, more, entries):
        problem = refused("POST", "/queues/jobs/settle", 422, "invalid", json={kind: entries}).json()
        assert problem["field"] == kind

    @pytest.mark.parametrize("one", [[], "t", None, 1])
    def test_no_object(self, refused, call, kind, more, one):
        problem = refused("POST", "/queues/jobs/settle", 422, "invalid", json={kind: [one]}).json()
        assert problem["field"] == f"{kind}.0"


@pytest.mark.parametrize(
    ("call", "body", "name", "field", "limit"),
    [
        ("extend", {}, "invalid", "ttl", None),
        ("extend", {"ttl": 0}, "limit-exceeded", "ttl", "0.001..43200"),
        ("extend", {"ttl": -5}, "limit-exceeded", "ttl", "0.001..43200"),
        ("extend", {"ttl": 43_201}, "limit-exceeded", "ttl", "0.001..43200"),
        ("extend", {"ttl": None}, "invalid", "ttl", "0.001..43200"),
        ("nack", {"delay": -1}, "limit-exceeded", "delay", "0..2592000"),
        ("nack", {"delay": 2_592_001}, "limit-exceeded", "delay", "0..2592000"),
        ("nack", {"delay": "5"}, "invalid", "delay", "0..2592000"),
        ("nack", {"delay": None}, "invalid", "delay", "0..2592000"),
        ("nack", {"error": "x" * 8193}, "limit-exceeded", "error", 8192),
        ("nack", {"error": "ü" * 4097}, "limit-exceeded", "error", 8192),
        ("nack", {"error": 1}, "invalid", "error", None),
        ("ack", {"push": {}}, "invalid", "push", None),
        ("ack", {"push": [1]}, "invalid", "push.0", None),
        ("ack", {"push": [{"value": 1}]}, "invalid", "push.0.queue", None),
        ("ack", {"push": [{"queue": "done"}]}, "invalid", "push.0.value", None),
        ("ack", {"push": [{"queue": 1, "value": 1}]}, "invalid", "push.0.queue", None),
        (
            "ack",
            {"push": [{"queue": "Done", "value": 1}]},
            "limit-exceeded",
            "push.0.queue",
            "[a-z0-9._-]{1,64}",
        ),
        (
            "ack",
            {"push": [{"queue": "..", "value": 1}]},
            "limit-exceeded",
            "push.0.queue",
            "[a-z0-9._-]{1,64}",
        ),
        ("ack", {"push": [{"queue": "d", "value": 1, "x": 1}]}, "invalid", "push.0.x", None),
        ("ack", {"push": [{"queue": "d", "value": 2**53}]}, "value-refused", "push.0.value", None),
        ("ack", {"push": [{"queue": "d", "value": "x" * 262_143}]}, "value-refused", "push.0.value", 262_144),
        (
            "ack",
            {"push": [{"queue": "d", "value": 1, "priority": 10}]},
            "limit-exceeded",
            "push.0.priority",
            "0..9",
        ),
        ("ack", {"push": [{"queue": "d", "value": 1, "key": ""}]}, "limit-exceeded", "push.0.key", 255),
        (
            "ack",
            {"push": [{"queue": "d", "value": 1, "delay": -1}]},
            "limit-exceeded",
            "push.0.delay",
            "0..2592000",
        ),
        ("ack", {"push": [{"queue": "d", "value": 1}] * 10_001}, "limit-exceeded", "push", 10_000),
    ],
)
def test_fields_of_one_kind(refused, call, body, name, field, limit):
    problem = refused("POST", f"/queues/jobs/{call}", 422, name, json=entry(**body)).json()
    assert (problem["field"], problem.get("limit")) == (field, limit)
    assert problem["detail"].startswith(field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"acks": [entry(), entry()]}, "token"),
        ({"acks": [entry()], "nacks": [entry()]}, "token"),
        ({"acks": [entry()], "releases": [entry(seqs=[[1, 1]])]}, "token"),
        ({"acks": [entry(seqs=[[1, 5]])], "nacks": [entry(seqs=[[5, 5]])]}, "seqs"),
        ({"extends": [entry(seqs=[[1, 1]], ttl=1), entry(seqs=[[1, 1]], ttl=2)]}, "seqs"),
        ({"acks": [entry(seqs=[[7, 9], [1, 2]])], "releases": [entry(seqs=[[3, 7]])]}, "seqs"),
    ],
)
def test_an_item_is_named_once_in_a_request(refused, body, field):
    problem = refused("POST", "/queues/jobs/settle", 422, "invalid", json=body).json()
    assert problem["field"] == field
    assert "twice" in problem["detail"] or "as a whole and by seqs" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"ack": []}, "ack"), ({"lease": None}, "lease"), ({"lease": []}, "lease"), ({"token": "t"}, "token")],
)
def test_settle(refused, body, field):
    assert refused("POST", "/queues/jobs/settle", 422, "invalid", json=body).json()["field"] == field


VALUES = [
    (b"9007199254740992", "value-refused"),
    (b"-9007199254740992", "value-refused"),
    (b'[{"n": 9007199254740992}]', "value-refused"),
    (b"1e999", "value-refused"),
    (b'{"a": -1e999}', "value-refused"),
    (b'"\\ud800"', "value-refused"),
    (b'["\\udc00\\ud800"]', "value-refused"),
    (b'{"\\ud800": 1}', "value-refused"),
    (b"[" * 101 + b"]" * 101, "value-refused"),
    (b'"' + b"x" * 262_143 + b'"', "value-refused"),
    ('"' + "ü" * 131_072 + '"', "value-refused"),
    (b'["' + b"x" * 262_143 + b'"]', "value-refused"),
    (b'{"a": 1, "a": 2}', "invalid"),
    (b"[" * 100_000 + b"]" * 100_000, "invalid"),
    (b"9" * 5000, "invalid"),
]


@pytest.mark.parametrize(("value", "name"), VALUES, ids=lambda value: ascii(value)[:30])
def test_values(refused, value, name):
    text = value if isinstance(value, bytes) else value.encode()
    body = b'{"items": [{"value": 1}, {"value": ' + text + b"}]}"
    problem = refused("POST", "/queues/jobs/items", 422, name, **raw(body)).json()
    if name == "value-refused":
        assert problem["field"] == "items.1.value"
        assert "source" not in problem["detail"]


@pytest.mark.parametrize(
    ("items", "name", "field", "limit"),
    [
        ([], "limit-exceeded", "items", "1..10000"),
        ({}, "invalid", "items", None),
        (None, "invalid", "items", None),
        ([1], "invalid", "items.0", None),
        ([{}], "invalid", "items.0.value", None),
        ([{"value": 1}, {"valeu": 1}], "invalid", "items.1.valeu", None),
        ([{"value": 1, "seq": 1}], "invalid", "items.0.seq", None),
        ([{"value": 1, "queue": "x"}], "invalid", "items.0.queue", None),
        ([{"value": 1, "key": ""}], "limit-exceeded", "items.0.key", 255),
        ([{"value": 1, "key": "k" * 256}], "limit-exceeded", "items.0.key", 255),
        ([{"value": 1, "key": "ü" * 128}], "limit-exceeded", "items.0.key", 255),
        ([{"value": 1, "key": 1}], "invalid", "items.0.key", None),
        ([{"value": 1, "key": None}], "invalid", "items.0.key", None),
        ([{"value": 1, "delay": -0.5}], "limit-exceeded", "items.0.delay", "0..2592000"),
        ([{"value": 1, "delay": 2_592_000.5}], "limit-exceeded", "items.0.delay", "0..2592000"),
        ([{"value": 1, "delay": "1"}], "invalid", "items.0.delay", "0..2592000"),
        ([{"value": 1, "priority": -1}], "limit-exceeded", "items.0.priority", "0..9"),
        ([{"value": 1, "priority": 10}], "limit-exceeded", "items.0.priority", "0..9"),
        ([{"value": 1, "priority": 0.5}], "invalid", "items.0.priority", "0..9"),
        ([{"value": 1, "priority": True}], "invalid", "items.0.priority", "0..9"),
    ],
)
def test_items(refused, items, name, field, limit):
    problem = refused("POST", "/queues/jobs/items", 422, name, json={"items": items}).json()
    assert (problem["field"], problem.get("limit")) == (field, limit)


def test_items_alone(refused):
    assert refused("POST", "/queues/jobs/items", 422, "invalid", json={}).json()["field"] == "items"
    body = {"items": [{"value": 1}], "item": 1}
    assert refused("POST", "/queues/jobs/items", 422, "invalid", json=body).json()["field"] == "item"


@pytest.mark.parametrize(
    "path", ["lease", "settle", "ack", "nack", "extend", "release", "items", "redrive", "purge"]
)
class TestEverywhere:
    def test_no_parameters(self, refused, path):
        answer = refused("POST", f"/queues/jobs/{path}?max=1", 422, "invalid", json={"token": "t"})
        assert answer.json()["field"] == "max"

    def test_names(self, refused, path):
        answer = refused("POST", f"/queues/Jobs/{path}", 422, "limit-exceeded", json={})
        assert answer.json()["field"] == "queue"

    def test_unknown_queues(self, refused, path):
        refused("POST", f"/queues/nope/{path}", 404, "queue-unknown", json={})

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
    def test_other_types(self, refused, path, kind):
        options = {"content": json.dumps({"x": 1}), "headers": {"Content-Type": kind}}
        refused("POST", f"/queues/jobs/{path}", 415, "unsupported-media-type", **options)

    def test_what_cannot_be_answered(self, refused, path):
        refused(
            "POST", f"/queues/jobs/{path}", 406, "not-acceptable", json={}, headers={"Accept": "text/plain"}
        )

    @pytest.mark.parametrize("key", ["", '"', "k" * 256])
    def test_keys(self, refused, path, key):
        name = "limit-exceeded" if len(key) > 9 else "invalid"
        answer = refused("POST", f"/queues/jobs/{path}", 422, name, json={}, headers={"Idempotency-Key": key})
        assert answer.json()["field"] == "Idempotency-Key"

"""Bad input of work: a clear 4xx that names the field and the limit, and nothing changed.

None of these changes anything (``refused`` looks), so they share one application.
"""

import json

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        house.pushed("jobs", *range(10))
        house.token = house.lease("jobs", max=5, ttl=43_200)["token"]
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
    ({"worker": "w\x1b]0;owned\x07"}, "invalid", "worker", None),
    ({"worker": "w\x9b2J"}, "invalid", "worker", None),
    ({"worker": "w\u202e1"}, "invalid", "worker", None),
    ({"worker": "w\n1"}, "invalid", "worker", None),
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

    @pytest.mark.parametrize("number", ["", "0", "-1", "+1", "1.0", "x", "9007199254740992", "1" * 99])
    def test_numbers_of_a_session(self, refused, path, number):
        headers = {"Idempotency-Key": "k", "Idempotency-Sequence": number}
        problem = refused("POST", f"/queues/jobs/{path}", 422, "invalid", json={}, headers=headers).json()
        assert (problem["field"], problem["limit"]) == ("Idempotency-Sequence", "1..9007199254740991")

    def test_a_number_without_a_key(self, refused, path):
        headers = {"Idempotency-Sequence": "1"}
        problem = refused("POST", f"/queues/jobs/{path}", 422, "invalid", json={}, headers=headers).json()
        assert problem["field"] == "Idempotency-Sequence"

    @pytest.mark.parametrize("key", ["", '"', "k" * 256])
    def test_keys(self, refused, path, key):
        name = "limit-exceeded" if len(key) > 9 else "invalid"
        answer = refused("POST", f"/queues/jobs/{path}", 422, name, json={}, headers={"Idempotency-Key": key})
        assert answer.json()["field"] == "Idempotency-Key"

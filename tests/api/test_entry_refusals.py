"""Bad entries of a settle and of the short calls: a 422 that names the field by its place, nothing changed.

None of these changes anything (``refused`` looks), so they share one application.
"""

import pytest

MAX = 2**53 - 1


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        house.pushed("jobs", *range(10))
        house.lease("jobs", max=5, ttl=43_200)
        yield house


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
        body = entry(seqs=[[2 * n, 2 * n] for n in range(1, 20_002)], **more)
        problem = refused("POST", "/queues/jobs/settle", 422, "limit-exceeded", json={kind: [body]}).json()
        assert (problem["field"], problem["limit"]) == ("seqs", 20_000)

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
        ({"acks": [entry(), entry()]}, "acks.1.token"),
        ({"acks": [entry()], "nacks": [entry()]}, "nacks.0.token"),
        ({"acks": [entry()], "releases": [entry(seqs=[[1, 1]])]}, "releases.0.token"),
        ({"acks": [entry(seqs=[[1, 5]])], "nacks": [entry(seqs=[[5, 5]])]}, "nacks.0.seqs"),
        ({"extends": [entry(seqs=[[1, 1]], ttl=1), entry(seqs=[[1, 1]], ttl=2)]}, "extends.1.seqs"),
        ({"acks": [entry(seqs=[[7, 9], [1, 2]])], "releases": [entry(seqs=[[3, 7]])]}, "releases.0.seqs"),
    ],
)
def test_an_item_is_named_once_in_a_request(refused, body, field):
    problem = refused("POST", "/queues/jobs/settle", 422, "invalid", json=body).json()
    assert problem["field"] == field
    assert "twice" in problem["detail"] or "already" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"ack": []}, "ack"), ({"lease": None}, "lease"), ({"lease": []}, "lease"), ({"token": "t"}, "token")],
)
def test_settle(refused, body, field):
    assert refused("POST", "/queues/jobs/settle", 422, "invalid", json=body).json()["field"] == field

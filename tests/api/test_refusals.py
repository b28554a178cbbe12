"""Bad input: a clear 4xx that names the field and the limit, and nothing handed out.

None of these changes anything (``refused`` looks), so they share one application.
"""

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        yield house


@pytest.mark.parametrize(
    ("count", "name"),
    [
        ("0", "limit-exceeded"),
        ("-1", "limit-exceeded"),
        ("10001", "limit-exceeded"),
        (str(2**63), "limit-exceeded"),
        ("9" * 5000, "limit-exceeded"),
        ("1.5", "invalid"),
        ("1.0", "invalid"),
        ("1_000", "invalid"),
        ("%2B1", "invalid"),
        ("+1", "invalid"),
        ("%201", "invalid"),
        ("1%00", "invalid"),
        ("01", "invalid"),
        ("0x10", "invalid"),
        ("1e3", "invalid"),
        ("\u0661", "invalid"),
        ("many", "invalid"),
        ("", "invalid"),
        ("1&count=1", "invalid"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_count(refused, method, count, name):
    problem = refused(method, f"/next?count={count}", 422, name).json()
    assert problem["field"] == "count"
    assert "1..10000" in problem.get("limit", "1..10000")
    assert "count" in problem["detail"]


@pytest.mark.parametrize(
    "wait", ["-1", "31", "30.001", "1e3", "nan", "NaN", "inf", "Infinity", "1e999", "", "x", "1s"]
)
def test_wait(refused, wait):
    name = "limit-exceeded" if wait in {"-1", "31", "30.001", "1e3"} else "invalid"
    problem = refused("POST", f"/next?wait={wait}", 422, name).json()
    assert (problem["field"], problem["limit"]) == ("wait", "0..30")


@pytest.mark.parametrize("query", ["cuont=1", "Count=1", "count=1&x=", "=", "x"])
def test_unknown_parameters_are_refused(refused, query):
    refused("POST", f"/next?{query}", 422, "invalid")


def test_a_query_that_is_not_utf8(refused):
    refused("POST", "/next?count=%ff", 400, "malformed")


def test_a_query_with_very_many_parameters(refused):
    assert refused("POST", "/next?" + "a&" * 100, 422, "invalid").json()["field"] == "query"


@pytest.mark.parametrize(
    "path", ["/queues/default/pause", "/queues/default/audit", "/stats", "/healthz", "/backup"]
)
def test_parameters_where_there_are_none(refused, house, path):
    method = "GET" if path in {"/queues/default/audit", "/stats", "/healthz"} else "POST"
    refused(method, f"{path}?x=1", 422, "invalid")


NAMES = [
    "A",
    "a" * 65,
    "ü",
    "a%00b",
    "a%20b",
    "a%2Fb",
    "a%2fnext",
    "%2e%2e%2f",
    "*",
    "a:b",
    "%F0%9F%92%A9",
    "%ff",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("method", "rest"), [("POST", "/next"), ("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/audit")]
)
def test_names(refused, method, rest, name):
    options = {"json": {"source": "count"}} if method == "PUT" else {}
    problem = refused(method, f"/queues/{name}{rest}", 422, "limit-exceeded", **options).json()
    assert (problem["field"], problem["limit"]) == ("queue", "[a-z0-9._-]{1,64}")


@pytest.mark.parametrize(
    "path", ["/queues/nope/next", "/queues/nope", "/queues/nope/audit", "/queues/nope/stats"]
)
def test_unknown_queues(refused, path):
    method = "POST" if path.endswith("next") else "GET"
    assert refused(method, path, 404, "queue-unknown").json()["field"] == "queue"


class TestNoBody:
    @pytest.mark.parametrize("body", [b"", b"{}", b" {} \n"])
    def test_nothing_and_an_empty_object_are_taken(self, ask, body):
        assert ask("POST", "/next", content=body).status_code == 200
        assert ask("POST", "/next", content=body, headers=JSON).status_code == 200

    @pytest.mark.parametrize("body", [b"count=3", b'{"count": 3}', b"[]", b"null", b"x" * 1000])
    @pytest.mark.parametrize("path", ["/next", "/queues/default/pause", "/backup"])
    def test_anything_else_is_refused(self, refused, path, body):
        assert refused("POST", path, 422, "invalid", content=body).json()["field"] == "body"

    def test_get_and_delete_too(self, refused):
        refused("GET", "/next", 422, "invalid", content=b"x")
        refused("DELETE", "/queues/default", 422, "invalid", content=b"x")


class TestBody:
    def put(self, refused, body, status, name, headers=JSON):
        return refused("PUT", "/queues/new", status, name, content=body, headers=headers).json()

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b'{"source": count}',
            b"{'source': 'count'}",
            b'{"source": "count",}',
            b'{"source": "count"} x',
            b'{"source": "count", "args": {"start": NaN}}',
            b'{"source": "count", "args": {"start": -Infinity}}',
            b'\xef\xbb\xbf{"source": "count"}',
            b'{"source": "c\xff"}',
            '{"source": "count"}'.encode("utf-16"),
        ],
    )
    def test_malformed(self, refused, body):
        assert self.put(refused, body, 400, "malformed")["field"] == "body"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"[]", "body"),
            (b'"count"', "body"),
            (b"null", "body"),
            (b'{"source": 1}', "source"),
            (b'{"settings": []}', "settings"),
            (b'{"settings": {"backof": 1}}', "settings.backof"),
            (b'{"settings": {"backoff": "1"}}', "settings.backoff"),
            (b'{"settings": {"backoff": null}}', "settings.backoff"),
            (b'{"settings": {"backoff": 10, "backoff_max": 5}}', "settings"),
            (b'{"settings": {"max_attempts": 1.5}}', "settings.max_attempts"),
            (b'{"settings": {"max_attempts": true}}', "settings.max_attempts"),
            (b'{"settings": {"max_ready": "9"}}', "settings.max_ready"),
            (b'{"args": {"start": 1}}', "args"),
            (b'{"source": null, "args": {"start": 1}}', "args"),
            (b'{"source": "count", "args": []}', "args"),
            (b'{"source": "count", "args": null}', "args"),
            (b'{"source": "count", "reset": 1}', "reset"),
            (b'{"source": "count", "reset": "true"}', "reset"),
            (b'{"source": "count", "sorce": 1}', "sorce"),
            (b'{"source": "count", "source": "range"}', "source"),
            (b'{"source": "count", "args": {"start": 1, "start": 2}}', "start"),
            (b'{"source": "count", "args": {"format": "\\ud800"}}', "args"),
            (b'{"source": "count", "args": {"\\udfff": 1}}', "args"),
            (b'{"source": "count", "args": {"start": 1e999}}', "args"),
            (b'{"source": "count", "args": {"start": ' + b"9" * 5000 + b"}}", "body"),
            (b'{"source": "count", "args": {"start": ' + b"[" * 101 + b"]" * 101 + b"}}", "args"),
            (b"[" * 100_000, "body"),
            (b'{"a":' * 100_000, "body"),
        ],
    )
    def test_invalid(self, refused, body, field):
        assert self.put(refused, body, 422, "invalid")["field"] == field

    @pytest.mark.parametrize(
        ("body", "field", "limit"),
        [
            (b'{"settings": {"backoff": -1}}', "settings.backoff", "0..86400"),
            (b'{"settings": {"backoff": 86401}}', "settings.backoff", "0..86400"),
            (b'{"settings": {"jitter": 1.1}}', "settings.jitter", "0..1"),
            (b'{"settings": {"max_attempts": -1}}', "settings.max_attempts", "0..1000000"),
        ],
    )
    def test_over_or_under_a_limit(self, refused, body, field, limit):
        problem = self.put(refused, body, 422, "limit-exceeded")
        assert (problem["field"], problem["limit"]) == (field, limit)

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=latin-1",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/problem+json",
        ],
    )
    def test_another_type(self, refused, content_type):
        headers = {"Content-Type": content_type} if content_type else {}
        problem = self.put(refused, b'{"source": "count"}', 415, "unsupported-media-type", headers)
        assert problem["field"] == "Content-Type"

    @pytest.mark.parametrize(
        ("to_seq", "kind"),
        [
            *[(number, "limit-exceeded") for number in ("0", "-1", "9007199254740992")],
            *[(other, "invalid") for other in ("1.5", '"5"', "true", "null", "[5]")],
        ],
    )
    def test_where_to_advance(self, house, refused, to_seq, kind):
        body = f'{{"to_seq": {to_seq}}}'.encode()
        problem = refused("POST", "/queues/default/advance", 422, kind, content=body, headers=JSON).json()
        assert problem["field"] == "to_seq"

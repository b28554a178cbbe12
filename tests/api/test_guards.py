"""What a browser may be made to send, and heads that are refused before anybody reads them.

Most of these change nothing, or count only what they take themselves: they share one application.
"""

import pytest

CROSS = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        yield house


@pytest.fixture(scope="module")
def open_to_get(open_house):
    with open_house(allow_get="all") as house:
        yield house


@pytest.fixture
def spent(house):
    """How many were handed out since the test began."""
    before = house.cursor()
    return lambda: house.cursor() - before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("Purpose", "Prefetch"),
        ("X-Moz", "prefetch"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
    ],
)
@pytest.mark.parametrize("path", ["/next", "/queues/default/next"])
def test_get_refuses_what_nobody_asked_for(open_to_get, refused, path, name, value):
    asked = {"house": open_to_get, "headers": {name: value}}
    assert refused("GET", path, 403, "forbidden", **asked).json()["field"] == name


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_get_serves_who_typed_the_address(ask, site):
    assert ask("GET", "/next", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_head_hands_out_nothing(spent, ask):
    answer = ask("HEAD", "/next")
    assert (answer.status_code, answer.headers["allow"], spent()) == (405, "GET, POST", 0)


@pytest.mark.parametrize("path", ["lease", "settle", "ack", "items", "items/1", "purge"])
def test_head_is_not_taken_by_work(ask, spent, path):
    answer = ask("HEAD", f"/queues/default/{path}")
    assert (answer.status_code, spent()) == (405, 0)


@pytest.mark.parametrize("path", ["/next", "/queues/default/next"])
def test_get_can_be_turned_off(make, path):
    house = make(allow_get=False)
    answer = house.ask("GET", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "allow_get" in answer.json()["detail"]
    assert house.ask("POST", path).json()["seq"] == 1


def test_get_spends_nothing_of_a_named_queue_unless_all_may(make):
    """A link preview must not spend an invoice's number."""
    house = make()
    answer = house.ask("GET", "/queues/default/next")
    assert (answer.status_code, answer.headers["allow"], house.cursor()) == (405, "POST", 0)
    assert "allow_get" in answer.json()["detail"]
    assert house.ask("GET", "/next").json()["seq"] == 1
    house = make(allow_get="all")
    assert [house.ask("GET", path).json()["seq"] for path in ("/queues/default/next", "/next")] == [1, 2]


CHANGES = [
    ("POST", "/next", {}),
    ("POST", "/queues/default/next", {}),
    ("POST", "/queues/default/pause", {}),
    ("POST", "/backup", {}),
    ("PUT", "/queues/new", {"json": {"source": "count"}}),
    ("DELETE", "/queues/default", {}),
    ("POST", "/queues/default/lease", {}),
    *(("POST", f"/queues/default/{act}", {"json": {"token": "t"}}) for act in ("ack", "nack", "release")),
    ("POST", "/queues/default/extend", {"json": {"token": "t", "ttl": 1}}),
    ("POST", "/queues/default/settle", {"json": {"lease": {}}}),
    ("POST", "/queues/default/items", {"json": {"items": [{"value": 1}]}}),
    (
        "POST",
        "/queues/default/items",
        {"content": b"{}", "headers": {"Content-Type": "application/x-ndjson"}},
    ),
    ("POST", "/queues/default/redrive", {}),
    ("POST", "/queues/default/purge", {"json": {"confirm": "default"}}),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(change[:2]))
@pytest.mark.parametrize(
    "headers",
    [
        CROSS,
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://[broken"},
    ],
    ids=str,
)
def test_another_sites_page_changes_nothing(refused, house, change, headers):
    method, path, options = change
    options = {**options, "headers": {**options.get("headers", {}), **headers}}
    refused(method, path, 403, "forbidden", **options)
    assert [queue.name for queue in house.queues.list()] == ["default"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8000"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "https://LOCALHOST:8000"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_the_own_page_and_programs_may(ask, headers):
    assert ask("POST", "/next", headers=headers).status_code == 200


def test_reading_is_open_to_links_from_elsewhere(ask):
    assert ask("GET", "/docs", headers=CROSS).status_code == 200


class TestHost:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "localhost:8000",
            "LocalHost:1",
            "127.0.0.1:8000",
            "127.1.2.3",
            "[::1]:8000",
            "a.localhost",
        ],
    )
    def test_loopbacks_own_names(self, ask, host):
        assert ask("POST", "/next", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "[::2]"],
    )
    @pytest.mark.parametrize(("method", "path"), [("POST", "/next"), ("GET", "/next"), ("GET", "/stats")])
    def test_a_name_that_was_pointed_here(self, refused, method, path, host):
        problem = refused(method, path, 403, "forbidden", headers={"Host": host}).json()
        assert problem["field"] == "Host"
        assert "allowed_hosts" in problem["detail"]

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "127.0.0.1:8000@evil",
            "user@localhost",
            "[::1]evil.com",
            "[::1",
            "[]",
            "[127.0.0.1]",
            "[::1]:",
            "::1",
            "localhost:",
            "localhost:65536",
            "localhost:8000:1",
            "localhost:-1",
            "local host",
            "localhost/next",
            "localhost?x",
            "localhost#x",
            "localhost,evil",
            "lo%63alhost",
        ],
    )
    @pytest.mark.parametrize("path", ["/next", "/healthz", "/readyz"])
    def test_what_names_no_host(self, ask, spent, path, host):
        answer = ask("GET", path, headers={"Host": host})
        assert (answer.status_code, answer.json()["field"], spent()) == (400, "Host", 0)

    def test_health_answers_to_any_name(self, ask):
        assert ask("GET", "/healthz", headers={"Host": "10.0.0.1"}).status_code == 200
        assert ask("GET", "/readyz", headers={"Host": "10.0.0.1"}).status_code == 200

    def test_names_that_are_set(self, make):
        house = make(allowed_hosts=("dibs.example", "Dibs"))
        assert house.ask("POST", "/next", headers={"Host": "DIBS.example:80"}).status_code == 200
        assert house.ask("POST", "/next", headers={"Host": "dibs"}).status_code == 200
        assert house.ask("POST", "/next", headers={"Host": "other.example"}).status_code == 403

    def test_beyond_loopback_any_name_unless_some_are_set(self, make):
        everywhere = {"host": "0.0.0.0", "allow_anonymous": True}
        assert make(**everywhere).ask("POST", "/next", headers={"Host": "dibs:8000"}).status_code == 200
        house = make(**everywhere, allowed_hosts=("dibs",))
        assert house.ask("POST", "/next", headers={"Host": "dibs:8000"}).status_code == 200
        assert house.ask("POST", "/next", headers={"Host": "evil.example"}).status_code == 403

    def test_many_names_are_not_remembered_without_end(self, house):
        from dibs.api.guards import _REMEMBERED, Hosts

        hosts = Hosts((), "127.0.0.1")
        for number in range(10 * _REMEMBERED):
            hosts.check(b"localhost:%d" % number)
        assert len(hosts._good) == _REMEMBERED

    def test_no_host_at_all_is_no_browser(self, house):
        async def old():
            sent = []

            async def receive():
                return {"type": "http.request", "body": b""}

            async def send(message):
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/next", "query_string": b"", "headers": []}
            await house.app({**scope, "root_path": ""}, receive, send)
            return sent

        assert house.run(old())[0]["status"] == 200


@pytest.mark.parametrize("name", ["Origin", "Authorization", "Content-Type", "Idempotency-Key"])
def test_a_header_that_decides_stands_there_once(refused, name):
    headers = [(name, "localhost"), (name, "evil.example")]
    assert refused("POST", "/next", 400, "malformed", headers=headers).json()["field"] == name


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity", "x"])
@pytest.mark.parametrize("path", ["/next", "/queues/default/lease", "/nowhere"])
def test_a_body_that_is_encoded_is_refused_by_name(refused, path, coding):
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    answer = refused("POST", path, 415, "unsupported-media-type", content=b"{}", headers=headers)
    assert answer.json()["field"] == "Content-Encoding"
    assert answer.headers["accept-encoding"] == "identity"


def test_a_body_may_be_said_to_be_as_it_is(ask):
    headers = {"Content-Encoding": "identity", "Content-Type": "application/json"}
    assert ask("POST", "/queues/default/lease", content=b"{}", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/next", "/healthz", "/nowhere"])
def test_more_than_100_headers(refused, path):
    more = [(f"x-{number}", "") for number in range(100)]
    assert refused("POST", path, 431, "headers-too-large", headers=more).json()["limit"] == 100


@pytest.mark.parametrize("types", ["a/b," * 100 + "*/*", "a/b," * 10_000])
def test_more_types_than_anybody_asks_for(refused, types):
    assert (
        refused("POST", "/next", 431, "headers-too-large", headers={"Accept": types}).json()["limit"] == 100
    )


def test_lines_of_accept_are_one_list(house):
    types = [("Accept", "a/b")] * 50 + [("Accept", "text/plain")]
    assert house.ask("POST", "/next", headers=types).text == f"{house.cursor()}\n"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_of_a_health_check(ask, path):
    answer, full = ask("HEAD", path), ask("GET", path)
    assert (answer.status_code, answer.content) == (200, b"")
    names = {"content-type", "content-length", "cache-control", "dibs-version"}
    assert {name: answer.headers[name] for name in names} == {name: full.headers[name] for name in names}

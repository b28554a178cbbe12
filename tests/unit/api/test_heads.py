"""What is known of a head by its bytes: only good ones, a bounded number, and nothing of a key."""

import pytest
from dibs.api.admission import Admission, no_app
from dibs.api.lane import heads as module
from dibs.api.lane.heads import Heads, Route, without_key
from dibs.api.requests import Reader
from dibs.config import Settings
from dibs.ledger.serve import Ask, HandOut
from dibs.queue.limits import Limits

HOST = b"\r\nHost: localhost:8000"


@pytest.fixture
def heads():
    admission = Admission(no_app, settings=Settings(data=":memory:"), version="1")
    reader = Reader(Limits(count=9), lambda: "token")
    routes = {
        "next": Route(reader.take_query, fixed=reader.take, text=True),
        "settle": Route(reader.no_query, limit=100),
        "lease": Route(reader.no_query, read=reader.leasing, limit=100, optional=True),
    }
    return Heads(admission, routes)


def head(path=b"/next", *lines, method=b"POST", version=b"HTTP/1.1"):
    return method + b" " + path + b" " + version + HOST + b"".join([b"\r\n" + line for line in lines])


def test_what_a_head_says(heads):
    found = heads.read(head(b"/queues/a.b/next?count=3", b"Accept: text/plain"))
    request = found.request
    assert (found.queue, found.length, request.how, request.digest) == ("a.b", 0, "lines", "take 3")
    assert request.ask == Ask(HandOut(3, Limits().handout_bytes))
    assert heads.read(head()).queue == "default"
    json = (b"Content-Type: application/json", b"Content-Length: 100")
    assert heads.read(head(b"/queues/q/settle", *json)).length == 100
    assert heads.read(head(b"/queues/q/lease", b"Connection: keep-alive")).length == 0


def test_it_is_read_once(heads, monkeypatch):
    found = heads.read(head())
    monkeypatch.setattr(heads, "_read", None)
    assert heads.read(head()) is found


def test_what_is_not_for_the_fast_lane_is_remembered_too(heads, monkeypatch):
    assert heads.read(head(b"/nowhere")) is None
    monkeypatch.setattr(heads, "_read", None)
    assert heads.read(head(b"/nowhere")) is None


@pytest.mark.parametrize(
    "other",
    [
        head(method=b"GET"),
        head(version=b"HTTP/1.0"),
        head(b"/next?count=0"),
        head(b"/next?other=1"),
        head(b"/queues/A/next"),
        head(b"/queues/a%2Fb/next"),
        head(b"/queues/q/next/more"),
        head(b"/stats"),
        head(b"/next", b"Connection: close"),
        head(b"/next", b"Transfer-Encoding: chunked"),
        head(b"/next", b"Expect: 100-continue"),
        head(b"/next", b"Upgrade: h2c", b"Connection: upgrade"),
        head(b"/next", b"Content-Length: 1"),
        head(b"/next", b"Content-Length: x"),
        head(b"/next", b"Accept: image/png"),
        head(b"/next", b"Origin: http://evil.example"),
        head(b"/next", b"Host: localhost:8000"),
        head(b"/queues/q/settle"),
        head(b"/queues/q/settle", b"Content-Length: 5"),
        head(b"/queues/q/settle", b"Content-Type: application/json", b"Content-Length: 101"),
        b"POST /next HTTP/1.1\r\nHost: evil.example",
        b"POST /next HTTP/1.1\nHost: localhost\n\nPOST /next HTTP/1.1",
        b"POST /next HTTP/1.1\r\nno colon",
        b"\r\n\r\n",
        b"",
    ],
)
def test_what_goes_the_ordinary_way(heads, other):
    assert heads.read(other) is None


def test_they_are_bounded(heads, monkeypatch):
    monkeypatch.setattr(module, "MOST_HEADS", 10)
    for number in range(100):
        heads.read(head(b"/next", b"X-Number: %d" % number))
        assert len(heads.known) <= 10
    assert heads.read(head(b"/next", b"X-Long: " + b"x" * module.HEAD_BYTES)) is None
    assert len(heads.known) <= 10


def test_a_head_with_a_key_in_it_is_not_remembered(heads):
    assert heads.read(head(b"/next", b"IDEMPOTENCY-KEY: a")) is None
    assert not heads.known


class TestKey:
    @pytest.mark.parametrize("name", [b"Idempotency-Key", b"idempotency-key", b"Idempotency-KEY"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_its_line_is_cut_out_wherever_it_stands(self, name, place):
        lines = [b"A: 1", b"B: 2"]
        plain = head(b"/next", *lines)
        lines.insert(place, name + b": k 1")
        assert without_key(head(b"/next", *lines)) == (plain, b" k 1", None)

    def test_none_is_none(self):
        assert without_key(head()) == (head(), None, None)

    @pytest.mark.parametrize(
        "line",
        [
            b"X-Idempotency-Key: k",
            b"X: idempotency-key: k",
            b"IDEMPOTENCY-KEY: k",
            b"Idempotency-Keys: k",
            b"Idempotency-Key : k",
            b"Idempotency-Key: k\r\n goes on",
            b"Idempotency-Key: k\r\n\tgoes on",
        ],
    )
    def test_what_is_not_plainly_one_stays_for_the_parser(self, line):
        whole = head(b"/next", line, b"B: 2")
        assert without_key(whole) == (whole, None, None)

    @pytest.mark.parametrize("places", [(0, 1), (1, 0), (0, 3), (2, 2)])
    def test_its_number_is_cut_out_too(self, places):
        lines = [b"A: 1", b"B: 2"]
        plain = head(b"/next", *lines)
        lines.insert(places[0], b"Idempotency-Key: k")
        lines.insert(places[1], b"idempotency-sequence: 17")
        assert without_key(head(b"/next", *lines)) == (plain, b" k", b" 17")

    @pytest.mark.parametrize("name", [b"Idempotency-Key", b"Idempotency-Sequence"])
    def test_of_two_none_is_cut(self, heads, name):
        whole = head(b"/next", name + b": 1", name + b": 2")
        assert without_key(whole) == (whole, None, None)
        assert heads.read(whole) is None

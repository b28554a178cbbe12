"""What is known of a head by its bytes: only good ones, a bounded number, and nothing of a key."""

import pytest
from dibs.api.lane import heads as module
from dibs.api.lane.keyed import INSIDE, KeyedHeads
from dibs.api.lane.lane import Lane
from dibs.config import Settings
from dibs.ledger.serve import Ask, HandOut, Key
from dibs.main import create_app
from dibs.queue.limits import Limits

HOST = b"\r\nHost: localhost:8000"


@pytest.fixture
def heads():
    settings = Settings(data=":memory:", limits={"count": 9, "body_bytes": 1024, "items_bytes": 1024})
    return Lane(create_app(settings)).heads


def head(path=b"/next", *lines, method=b"POST", version=b"HTTP/1.1"):
    return method + b" " + path + b" " + version + HOST + b"".join([b"\r\n" + line for line in lines])


def test_what_a_head_says(heads):
    found, _, _ = heads.read(head(b"/queues/a.b/next?count=3", b"Accept: text/plain"))
    request = found.request
    assert (found.queue, found.length, request.how, request.digest) == ("a.b", 0, "lines", "take 3")
    assert request.ask == Ask(HandOut(3, Limits().handout_bytes))
    assert heads.read(head())[0].queue == "default"
    json = (b"Content-Type: application/json", b"Content-Length: 1024")
    assert heads.read(head(b"/queues/q/settle", *json))[0].length == 1024
    assert heads.read(head(b"/queues/q/lease", b"Connection: keep-alive"))[0].length == 0


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
        head(b"/queues/q/settle", b"Content-Type: application/json", b"Content-Length: 1025"),
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
    """A key and its number are cut out of a head; what is not plainly one goes the ordinary way."""

    SIGNED = b"dibs-queue: default\r\n"

    @pytest.fixture
    def keyed(self, heads):
        return KeyedHeads(heads, Limits(key_bytes=36))

    @pytest.mark.parametrize("name", [b"Idempotency-Key", b"idempotency-key", b"Idempotency-KEY"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_its_line_may_stand_anywhere(self, heads, keyed, name, place):
        lines = [b"A: 1", b"B: 2"]
        plain, _, _ = heads.read(head(b"/next", *lines))
        for key in (b"a-1", b" b.2\t", b'"c\\"3"'):
            whole = head(b"/next", *lines[:place], name + b":" + key, *lines[place:])
            found, read, signed = keyed.read(whole)
            assert found is plain
            text = key.strip(b" \t")
            assert read == Key(text.strip(b'"').replace(b"\\", b"").decode(), "")
            assert signed == self.SIGNED + b"idempotency-key: " + text + b"\r\n"

    @pytest.mark.parametrize("places", [(0, 1), (1, 0), (0, 3), (2, 2)])
    def test_its_number_too(self, heads, keyed, places):
        plain, _, _ = heads.read(head(b"/next", b"A: 1", b"B: 2"))
        for number in (b"17", b"18", b"018", b" 19 ", b"9007199254740991", b"1"):
            lines = [b"A: 1", b"B: 2"]
            lines.insert(places[0], b"Idempotency-Key: k")
            lines.insert(places[1], b"idempotency-sequence:" + number)
            found, read, signed = keyed.read(head(b"/next", *lines))
            assert (found, read) == (plain, Key("k", "", int(number)))
            assert signed.endswith(b"-key: k\r\nidempotency-sequence: %b\r\n" % number.strip())

    def test_a_key_then_a_session_then_another_one(self, keyed):
        def read(*lines):
            _, key, _ = keyed.read(head(b"/next", *lines))
            return key.text, key.n

        session = b"Idempotency-Key: s"
        assert read(b"Idempotency-Key: k") == ("k", 0)
        assert [read(session, b"Idempotency-Sequence: %d" % n) for n in (1, 2)] == [("s", 1), ("s", 2)]
        assert read(b"Idempotency-Key: t", b"Idempotency-Sequence: 3") == ("t", 3)
        assert read(session) == ("s", 0)

    @pytest.mark.parametrize(
        "lines",
        [
            [b"X-Idempotency-Key: k"],
            [b"X: idempotency-key: k"],
            [b"Idempotency-Keys: k"],
            [b"Idempotency-Key : k"],
            [b"Idempotency-Key: k\r\n goes on"],
            [b"Idempotency-Key: k\r\n\tgoes on"],
            [b"Idempotency-Key: k\n goes on"],
            [b"Idempotency-Key: k\nX: y"],
            [b"Idempotency-Key: k\rX: y"],
            [b"Idempotency-Key: k\x00"],
            [b"Idempotency-Key:"],
            [b"Idempotency-Key: " + b"k" * 37],
            [b"Idempotency-Key: " + b" " * module.HEAD_BYTES + b"k"],
            [b"Idempotency-Key: 1", b"Idempotency-Key: 2"],
            [b"Idempotency-Key: 1", b"IDEMPOTENCY-KEY: 2"],
            [b"Idempotency-Sequence: 1"],
            [b"Idempotency-Key: s", b"Idempotency-Sequence: 1", b"Idempotency-Sequence: 2"],
            *(
                [b"Idempotency-Key: s", b"Idempotency-Sequence: " + number]
                for number in (b"0", b"", b"-1", b"1.0")
            ),
            *([b"Idempotency-Key: s", b"Idempotency-Sequence: " + number] for number in (b"x", b"9" * 16)),
        ],
    )
    @pytest.mark.parametrize(
        "before", [[], [b"Idempotency-Key: k"], [b"Idempotency-Key: s", b"Idempotency-Sequence: 1"]]
    )
    def test_what_is_not_plainly_one_goes_the_ordinary_way(self, keyed, before, lines):
        if before:
            assert keyed.read(head(b"/next", *before)) is not None
        whole = head(b"/next", *lines)
        assert INSIDE in whole
        assert keyed.read(whole) is None

    def test_one_that_the_parser_alone_sees(self, heads):
        whole = head(b"/next", b"IDEMPOTENCY-KEY: k")
        assert INSIDE not in whole
        assert heads.read(whole) is None

    def test_of_a_head_that_goes_the_ordinary_way_it_changes_nothing(self, keyed):
        assert keyed.read(head(b"/stats", b"Idempotency-Key: k")) is None

    def test_the_digest_of_a_request_with_a_body_is_not_known_yet(self, keyed):
        lines = [b"Content-Type: application/json", b"Content-Length: 2", b"Idempotency-Key: k"]
        for _ in range(2):
            assert keyed.read(head(b"/queues/q/lease", *lines))[1] == Key("k", "")

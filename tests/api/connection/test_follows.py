"""Each request has its own answer, whatever follows it and however it is cut."""

import pytest
from dibs.api.lane.content import TRAILER_BYTES

from .conftest import CLOSE, GET, HEALTH, LEASE, NEXT, PUSH, chunked, problem, request, statuses

SETTLE = request(b"POST /queues/default/settle", body=b'{"lease":{}}')


GARBAGE = [
    b"\0\r\n\r\n",
    b"\0",
    b"\xff\xff",
    b"hello\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"GET /\nHost: a\n\n",
]
SPENDS = {"GET": GET, "POST": NEXT, "lease": LEASE, "settle": SETTLE, "push": PUSH}


class TestWhatFollows:
    """A request is answered by its own answer; what follows it is refused by its own."""

    @pytest.mark.parametrize("garbage", GARBAGE)
    @pytest.mark.parametrize("name", SPENDS)
    @pytest.mark.parametrize("later", [False, True])
    def test_garbage(self, door, name, garbage, later):
        before = door.spent
        asked = SPENDS[name]
        first, second = door.send(asked, garbage) if later else door.send(asked + garbage)
        assert first[0] == (201 if name == "push" else 200)
        assert problem(second) == (400, "malformed", "no")
        assert door.spent == before + 1

    def test_garbage_behind_a_queue_that_is_deleted(self, door):
        door.house.pushed("once")
        found = door.send(request(b"DELETE /queues/once") + b"\0\r\n\r\n")
        assert statuses(found) == [200, 400]
        assert door.house.ask("GET", "/queues/once").status_code == 404

    def test_garbage_behind_a_pipeline(self, door):
        before = door.spent
        found = door.send(NEXT + GET + LEASE + HEALTH + PUSH + NEXT + b"\0" + NEXT)
        assert statuses(found) == [200, 200, 200, 200, 201, 200, 400]
        assert door.spent == before + 5

    @pytest.mark.parametrize("asked", [NEXT, GET, LEASE, PUSH, NEXT + GET + HEALTH + PUSH])
    def test_a_sender_that_has_sent_all_gets_its_answers(self, door, asked):
        assert statuses(door.send(asked, end=True)) == statuses(door.send(asked + CLOSE))[:-1]
        assert not door.connections

    @pytest.mark.parametrize("queue", ["jobs", "default"])
    @pytest.mark.parametrize(
        "asked",
        [
            request(b"POST /queues/%b/next?wait=30"),
            request(b"GET /queues/%b/next?wait=30"),
            request(b"POST /queues/%b/lease", body=b'{"wait":30}'),
            request(b"POST /queues/%b/settle", body=b'{"acks":[{"token":"x"}],"lease":{"wait":30}}'),
        ],
    )
    def test_nor_does_it_wait_for_what_nobody_may_hear(self, door, asked, queue):
        status = "pause" if queue == "default" else "resume"
        door.house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"})
        door.house.ask("POST", f"/queues/{queue}/{status}")
        asked = asked.replace(b"%b", queue.encode())
        found = door.send(HEALTH + asked + HEALTH, end=True)
        door.house.ask("POST", f"/queues/{queue}/resume")
        expected = 200 if b"settle" in asked else (503 if queue == "default" else 204)
        assert statuses(found) == [200, expected, 200]

    @pytest.mark.parametrize("part", [b"GET /ne", NEXT[:-1], NEXT + b"POST /next HTTP/1.1\r\nHost: loc"])
    def test_a_head_that_ends_in_the_middle(self, door, part):
        before = door.spent
        assert problem(door.send(part, end=True)[-1]) == (400, "malformed", "no")
        assert door.spent == before + part.count(NEXT)

    @pytest.mark.parametrize("asked", [PUSH, chunked(b"POST /next", b"{}")])
    def test_a_body_that_ends_in_the_middle(self, door, asked):
        assert door.send(asked[:-1], end=True) == []
        assert door.unfinished.total == 0


class TestTrailers:
    """They are read and dropped, in whatever packets they come."""

    CUTS = (1_000_000, 0, 1)

    def send(self, door, data, cut):
        if cut == 1:
            pieces = [data[at : at + 1] for at in range(len(data))]
            return door.send(*pieces, CLOSE, wait=0)
        at = data.find(b"\r\n\r\n") + 4 if cut == 0 else len(data)
        return door.send(*[piece for piece in (data[:at], data[at:] + CLOSE) if piece])

    @pytest.mark.parametrize("cut", CUTS)
    @pytest.mark.parametrize(
        "trailer",
        [
            b"Idempotency-Key: k",
            b'Idempotency-Key: "',
            b"Sec-Fetch-Site: cross-site",
            b"Origin: https://evil.example",
            b"Host: evil.example",
            b"Authorization: Bearer x",
            b"Content-Type: text/plain",
            b"Content-Length: 5",
            b"Transfer-Encoding: gzip",
            b"Content-Encoding: gzip",
            b"Accept: image/png",
            b"Connection: close",
            b"Upgrade: websocket",
            b"Expect: 100-continue",
            b"Sec-Purpose: prefetch",
        ],
    )
    def test_none_is_a_header(self, door, trailer, cut):
        before = door.spent
        asked = chunked(b"POST /next", trailers=trailer + b"\r\n")
        found = self.send(door, asked * 2, cut)
        assert statuses(found) == [200, 200, 200]
        assert door.spent == before + 2

    @pytest.mark.parametrize("cut", CUTS)
    def test_a_key_in_the_head_counts_and_not_the_one_behind_the_body(self, door, cut):
        key = b"Idempotency-Key: %d" % cut
        asked = chunked(b"POST /next", trailers=b"Idempotency-Key: other\r\n", headers=(key,))
        first, second, _ = self.send(door, asked * 2, cut)
        assert first == second

    @pytest.mark.parametrize("path", [b"/next", b"/queues/jobs/items", b"/queues/default/lease"])
    def test_without_end(self, door, path):
        before = door.spent
        endless = chunked(b"POST " + path, b"{}")[:-2] + b"A: b\r\n" * TRAILER_BYTES
        assert problem(door.send(endless)[0])[:2] == (
            (431, "headers-too-large") if b"items" not in path else (415, "unsupported-media-type")
        )
        assert door.spent == before

    @pytest.mark.parametrize(
        "body", [b"zz\r\n", b"2\r\n{}xx", b"1;" + b"x" * 2000, b"2\r\n{}\r\n0\r\n: b\r\n\r\n"]
    )
    def test_what_is_no_body_spends_nothing(self, door, body):
        before = door.spent
        for path in (b"/next", b"/queues/default/lease", b"/queues/default/settle"):
            head = chunked(b"POST " + path, headers=(b"Content-Type: application/json",)).partition(
                b"\r\n\r\n"
            )
            found = door.send(head[0] + head[1] + body)
            assert problem(found[0]) == (400, "malformed", "no")
            assert len(found) == 1
        assert door.spent == before


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"TLS/1.0", b"x"])
@pytest.mark.parametrize("first", [HEALTH, GET, NEXT, LEASE])
def test_an_upgrade_that_nobody_takes_is_a_request_like_all(door, upgrade, first):
    before = door.spent
    head, _, body = first.partition(b"\r\n\r\n")
    upgrading = head + b"\r\nUpgrade: " + upgrade + b"\r\nConnection: Upgrade\r\n\r\n" + body
    found = door.send(upgrading + NEXT, LEASE + CLOSE)
    assert statuses(found) == [200, 200, 200, 200]
    assert (b'"seq"' in found[0][1], b'"seq"' in found[1][1]) == (first is not HEALTH, True)
    assert b'"token"' in found[2][1]
    assert door.spent == before + 2 + (first is not HEALTH)


def test_a_tunnel_is_refused_and_nothing_that_would_go_through_it_is_read(door):
    before = door.spent
    found = door.send(request(b"CONNECT localhost:8000") + NEXT)
    assert [problem(answer) for answer in found] == [(501, "not-implemented", "no")]
    assert door.spent == before

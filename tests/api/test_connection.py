"""One connection, byte by byte: each request has its own answer, whatever follows it and however it is cut.

On both ways: before the framework alone, and with the fast lane.
"""

import asyncio
import json
import re
import threading
from contextlib import asynccontextmanager

import pytest
from dibs.api import bodies
from dibs.api.lane.content import TRAILER_BYTES
from dibs.api.lane.intake import READ_AHEAD
from dibs.config import Settings
from dibs.main import create_app

HOST = b"Host: localhost\r\n"
READ = 256_000
"""Bytes that the loop reads at once, at most."""


def request(line, *headers, body=b""):
    lines = [HOST, *(header + b"\r\n" for header in headers)]
    if body:
        lines += [b"Content-Type: application/json\r\n", b"Content-Length: %d\r\n" % len(body)]
    return line + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + body


def chunked(line, *chunks, trailers=b"", headers=()):
    lines = b"".join([HOST, b"Transfer-Encoding: chunked\r\n", *(header + b"\r\n" for header in headers)])
    body = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks])
    return line + b" HTTP/1.1\r\n" + lines + b"\r\n" + body + b"0\r\n" + trailers + b"\r\n"


GET, NEXT = request(b"GET /next"), request(b"POST /next")
HEALTH = request(b"GET /healthz")
CLOSE = request(b"GET /healthz", b"Connection: close")
LEASE = request(b"POST /queues/default/lease", body=b"{}")
SETTLE = request(b"POST /queues/default/settle", body=b'{"lease":{}}')
PUSH = request(b"POST /queues/jobs/items", body=b'{"items":[{"value":1}]}')


class Door:
    """An application on a socket of its own. ``send`` gives the answers of one connection."""

    def __init__(self, house):
        self.house = house

    @property
    def spent(self):
        """How many items were handed out or pushed."""
        return self.house.cursor() + self.house.cursor("jobs")

    @property
    def unfinished(self):
        return self.house.wire.lane.budget

    @property
    def connections(self):
        return self.house.wire.server.server_state.connections

    @asynccontextmanager
    async def talk(self):
        """A connection: what reads, and what writes."""
        reader, writer = await asyncio.open_unix_connection(self.house.wire.path, limit=2**24)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def connection(self):
        """One of the connections, as the server has it."""
        await self.house.until(lambda: self.connections)
        return next(iter(self.connections))

    def send(self, *pieces, end=False, wait=0.002):
        """Send pieces, a write each; the answers until the server closes. ``end``: no more comes."""
        return self.house.run(self._send(pieces, end, wait))

    async def _send(self, pieces, end, wait):
        async with self.talk() as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(wait if len(pieces) > 1 else 0)
            if end:
                writer.write_eof()
            return answers(await reader.read())


def answers(data):
    """Status and body of each answer."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        found.append((int(head[9:12]), data[:size]))
        data = data[size:]
    return found


def statuses(found):
    return [status for status, _ in found]


def problem(answer):
    fields = json.loads(answer[1])
    return answer[0], fields["type"].rpartition(":")[2], fields["handed_out"]


@pytest.fixture(scope="module", params=["ordinary", "fast"])
def open_door(request, house_class, wire_module):
    """A function that gives a door with these limits; each is opened once."""
    opened = {}

    def open_door(**limits):
        key = tuple(limits.items())
        if key not in opened:
            queues = {"default": "count", "jobs": "", "few": "range(0, 3)"}
            settings = Settings(data=":memory:", queues=queues, limits=limits, allow_get="all")
            app = create_app(settings)
            house = house_class(app, "framework")
            house.__enter__()
            house.wire = wire_module.Wire(app, hot=request.param == "fast")
            house.run(house.wire.start())
            opened[key] = Door(house)
        return opened[key]

    yield open_door
    for door in opened.values():
        door.house.__exit__(None, None, None)


@pytest.fixture
def door(open_door):
    return open_door()


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


class TestMemory:
    """Whatever a client sends, only so much of it is kept."""

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_a_client_that_asks_and_never_reads(self, door, method):
        async def flood():
            async with door.talk() as (_, writer):
                connection = await door.connection()
                while not (connection.flow.write_paused and connection.flow.read_paused):
                    if not writer.transport.get_write_buffer_size():
                        writer.write(request(method + b" /next?count=2000") * 500)
                    await asyncio.sleep(0)
                kept = connection.intake.size
                assert READ_AHEAD < kept <= READ_AHEAD + READ
                assert door.unfinished.total == kept
                await asyncio.sleep(0.01)
                assert connection.intake.size == kept
            await door.house.until(lambda: not door.connections)
            assert door.unfinished.total == 0

        door.house.run(flood())

    def test_a_pipeline_is_not_copied_for_each_of_its_requests(self, door):
        found = door.send(HEALTH * 500 + CLOSE)
        assert statuses(found) == [200] * 501

    def test_small_chunks_with_large_extensions(self, door):
        body = b"".join([b"1;%b\r\n%c\r\n" % (b"x" * 1000, byte) for byte in b'{"max":1}'])
        head = b"POST /queues/default/lease HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
        found = door.send(head + b"Content-Type: application/json\r\n\r\n" + body + b"0\r\n\r\n" + CLOSE)
        assert statuses(found) == [200, 200]

    def test_a_body_of_single_bytes(self, door):
        items = json.dumps({"items": [{"value": "x" * 20_000}]}).encode()
        asked = chunked(b"POST /queues/jobs/items", *[b"%c" % byte for byte in items])
        asked = asked.replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1)
        assert statuses(door.send(asked + CLOSE)) == [201, 200]

    def test_the_newest_is_refused_where_all_keep_too_much(self, open_door):
        door = open_door(unfinished_bytes=1024 * 1024)
        items = json.dumps({"items": [{"value": "x" * 200_000}, {"value": "x" * 200_000}]}).encode()
        whole = request(b"POST /queues/jobs/items", body=items)

        async def crowd():
            async with door.talk() as old, door.talk() as middle, door.talk() as new:
                unfinished = door.unfinished
                for (_, writer), kept in ((old, 1), (middle, 2)):
                    writer.write(whole[:-1])
                    await door.house.until(lambda kept=kept: unfinished.total >= kept * (len(items) - 1))
                new[1].write(whole[:-1])
                refused = answers(await new[0].read())
                found = []
                for reader, writer in (old, middle):
                    writer.write(whole[-1:] + CLOSE)
                    found.append(statuses(answers(await reader.read())))
                return [problem(answer) for answer in refused], found, unfinished.total

        assert door.house.run(crowd()) == ([(503, "overloaded", "no")], [[201, 200], [201, 200]], 0)

    def test_a_whole_body_counts_until_its_request_is_done(self, open_door):
        door = open_door(unfinished_bytes=1024 * 1024)
        items = json.dumps({"items": [{"value": "x" * 200_000}, {"value": "x" * 200_000}]}).encode()
        whole = request(b"POST /queues/jobs/items", body=items)
        before, go_on = door.house.cursor("jobs"), threading.Event()

        async def crowd():
            busy = asyncio.get_running_loop().run_in_executor(bodies._apart, go_on.wait, 10)
            try:
                async with door.talk() as gone, door.talk() as old, door.talk() as new:
                    for (_, writer), kept in ((gone, 1), (old, 2)):
                        writer.write(whole)
                        await door.house.until(lambda kept=kept: door.unfinished.total == kept * len(items))
                    gone[1].transport.abort()  # its body is there until the request is done
                    new[1].write(whole)
                    refused = answers(await new[0].read())
                    assert door.unfinished.total == 2 * len(items)
                    go_on.set()
                    old[1].write(CLOSE)
                    found = statuses(answers(await old[0].read()))
                    await door.house.until(lambda: door.unfinished.total == 0)
                    return [problem(answer) for answer in refused], found
            finally:
                go_on.set()
                await busy

        assert door.house.run(crowd()) == ([(503, "overloaded", "no")], [201, 200])
        assert door.house.cursor("jobs") == before + 4


class TestTime:
    """What does not come in time is given up."""

    @pytest.fixture
    def door(self, open_door):
        return open_door(head_patience=0.05, body_patience=0.05)

    def test_nothing_at_all(self, door):
        assert door.send(b"") == []

    @pytest.mark.parametrize("head", [b"G", b"POST /next HTTP/1.1\r\n", NEXT[:-2], HEALTH + NEXT[:-1]])
    def test_a_head(self, door, head):
        assert problem(door.send(head)[-1]) == (408, "head-timeout", "no")

    def test_a_head_that_comes_byte_by_byte(self, door):
        found = door.send(*[NEXT[at : at + 1] for at in range(len(NEXT))], wait=0.005)
        assert problem(found[0]) == (408, "head-timeout", "no")

    @pytest.mark.parametrize(
        "part", [LEASE[:-1], PUSH[:-5], chunked(b"POST /next")[:-2], chunked(b"POST /next")[:-4]]
    )
    def test_a_body(self, door, part):
        before = door.spent
        assert problem(door.send(part)[-1]) == (408, "body-timeout", "no")
        assert door.spent == before

    def test_a_body_that_goes_on(self, open_door):
        door = open_door(body_patience=30)
        loop, ahead = door.house.loop, 0
        time = loop.time
        loop.time = lambda: time() + ahead

        async def slow():
            nonlocal ahead
            async with door.talk() as (reader, writer):
                connection = await door.connection()
                for piece in (PUSH[:-4], *(PUSH[at : at + 1] for at in range(-4, -1))):
                    began = loop.time()
                    writer.write(piece)
                    await door.house.until(lambda began=began: connection.intake.since > began)
                    ahead += 20
                writer.write(PUSH[-1:] + CLOSE)
                return statuses(answers(await reader.read()))

        assert door.house.run(slow()) == [201, 200]

    def test_a_stream_tells_what_is_in(self, door):
        body = b'{"value":1}\n{"value":2}\n{"val'
        head = request(
            b"POST /queues/jobs/items", b"Content-Type: application/x-ndjson", b"Content-Length: 99"
        )
        [(status, told)] = door.send(head + body)
        assert (status, json.loads(told)["accepted"], json.loads(told)["line"]) == (408, 2, 3)

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_a_client_that_does_not_read(self, door, method):
        async def deaf():
            async with door.talk() as (_, writer):
                connection = await door.connection()
                while door.connections:
                    if not connection.flow.write_paused:
                        writer.write(request(method + b" /next?count=10000"))
                    await asyncio.sleep(0)

        door.house.run(deaf())

    def test_one_that_was_served_is_kept_for_longer(self, door):
        async def served():
            async with door.talk() as (reader, writer):
                writer.write(HEALTH)
                await reader.readuntil(b'{"status":"ok"}\n')
                await asyncio.sleep(0.12)
                writer.write(NEXT + CLOSE)
                return statuses(answers(await reader.read()))

        assert door.house.run(served()) == [200, 200]


def test_an_answer_that_comes_before_its_body_ends_the_connection_if_much_is_missing(door):
    path = b"POST /nowhere"
    small = request(path, b"Content-Type: application/json", b"Content-Length: 5")
    assert statuses(door.send(small, b"12345" + CLOSE)) == [404, 200]
    for large in (
        b"Content-Length: 100000",
        b"Content-Length: 5\r\nExpect: 100-continue",
        b"Transfer-Encoding: chunked",
    ):
        assert statuses(door.send(request(path, b"Content-Type: application/json", large))) == [404]

"""An owner that is lost with a request: what is sent again, and what the caller is told.

The owner is scripted byte by byte, so that it is lost at the very moment that a test is about.
"""

import asyncio
import contextlib

import pytest
from dibs.ledger.terms import Owner

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\nx-answer: 1\r\n\r\n{}\n"
KEY = {"Idempotency-Key": "k"}


class Scripted:
    """An owner that does with each request what the next word of its script says."""

    def __init__(self, shared, *script):
        self.script = list(script)
        self.heads, self.bodies = [], []
        self.came = asyncio.Event()
        self.go = asyncio.Event()
        self.left = asyncio.Event()
        self._shared = shared

    async def start(self):
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.own()

    def own(self):
        self._shared.term += 1
        url = f"http://127.0.0.1:{self.port}"
        self._shared.tell(Owner(self._shared.term, f"scripted-{self._shared.term}", url))

    async def _talk(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.script:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /internal/v1 "):
                    break  # it has no frames: requests are passed on one by one
                self.heads.append(head)
                word = self.script.pop(0)
                if word == "lost":
                    break
                if word == "head":
                    writer.write(OK[:-3])
                    await writer.drain()
                    await self.go.wait()
                    break
                self.bodies.append(await self._body(head, reader))
                self.came.set()
                if word == "read":
                    break
                if word == "silent":
                    await reader.read()
                    self.left.set()
                    break
                writer.write(OK if word == "ok" else word)
                await writer.drain()
        writer.transport.abort()

    async def _body(self, head, reader):
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return await reader.readexactly(int(line.split(b":")[1]))
            if line == b"transfer-encoding: chunked":
                found = b""
                while size := int(await reader.readline(), 16):
                    found += (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
                return found
        return b""

    async def close(self):
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
def front(cluster):
    """Run a test with a front whose owner does what a script says."""

    def front(test, *script, **settings):
        async def running(made):
            owner = Scripted(made.shared, *script)
            await owner.start()
            try:
                await test(await made.add("front", **settings), owner)
            finally:
                await owner.close()

        cluster(running)

    return front


def test_with_a_key_it_is_sent_again_with_its_body(front):
    async def test(server, owner):
        items = {"items": [{"value": "x" * 100_000}]}
        answer = await server.ask("POST", "/queues/jobs/items", json=items, headers=KEY)
        assert answer.status_code == 200
        assert len(owner.heads) == 2
        assert owner.bodies[0] == owner.bodies[1]
        assert len(owner.bodies[0]) > 100_000

    front(test, "read", "ok")


@pytest.mark.parametrize("lost", ["lost", "read"])
@pytest.mark.parametrize(
    ("method", "path", "headers", "again"),
    [
        ("POST", "/next", KEY, True),
        ("POST", "/queues/jobs/lease", KEY, True),
        ("GET", "/queues", {}, True),
        ("GET", "/stats", KEY, True),
        ("POST", "/next", {}, False),
        ("GET", "/next", {}, False),
        ("GET", "/queues/jobs/next", {}, False),
        ("POST", "/queues/jobs/pause", {}, False),
        ("POST", "/tokens", KEY, False),  # it takes none: it would make two
        ("POST", "/accept", KEY, False),
        ("POST", "/nothing", KEY, False),
    ],
)
def test_what_may_be_sent_twice(front, lost, method, path, headers, again):
    async def test(server, owner):
        answer = await server.ask(method, path, headers=headers)
        assert len(owner.heads) == 1 + again
        if again:
            assert answer.status_code == 200
            return
        problem = answer.json()
        assert (answer.status_code, problem["handed_out"]) == (503, "maybe")
        assert problem["type"] == "urn:dibs:problem:outcome-unknown"
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-request-id"] == problem["request_id"]

    front(test, lost, "ok")


def test_what_is_lost_each_time_is_not_sent_for_ever(front):
    async def test(server, owner):
        answer = await server.ask("POST", "/next", headers=KEY)
        assert answer.json()["handed_out"] == "maybe"
        assert len(owner.heads) == 3

    front(test, *["lost"] * 9)


def test_a_body_over_its_limit_is_not_kept_and_not_sent_again(front):
    async def test(server, owner):
        async def lines():
            for _ in range(40):
                yield b'{"value":"%b"}\n' % (b"x" * 1_000)

        kind = {"Content-Type": "application/x-ndjson"}
        answer = await server.ask("POST", "/queues/jobs/items", content=lines(), headers=KEY | kind)
        assert (len(owner.heads), answer.json()["handed_out"]) == (1, "maybe")
        assert len(owner.bodies[0]) > 40_000

    front(test, "read", "ok", limits={"items_bytes": 20_000, "body_bytes": 20_000})


def test_an_answer_that_breaks_off_is_not_made_whole(front):
    async def test(server, owner):
        owner.go.set()
        head, _, body = (await server.raw(b"POST /next HTTP/1.1\r\nHost: localhost\r\n\r\n")).partition(
            b"\r\n\r\n"
        )
        assert b"content-length: 3" in head
        assert body == b""

    front(test, "head")


def test_a_stream_of_events_ends_in_order_when_its_owner_is_lost(front):
    events = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    events += b"transfer-encoding: chunked\r\n\r\n5\r\na: b\n\r\n"

    async def test(server, owner):
        answer = await server.ask("GET", "/events")
        assert answer.text == "a: b\n"

    front(test, events)


def test_an_owner_that_is_silent_is_given_up_when_another_one_owns(front, until, monkeypatch):
    monkeypatch.setattr("dibs.cluster.office.GRACE", 0.01)

    async def test(server, owner):
        asking = [
            asyncio.ensure_future(server.ask("POST", "/next", headers=headers)) for headers in (KEY, {})
        ]
        await until(lambda: len(owner.heads) == 2)
        owner.own()
        keyed, other = await asyncio.gather(*asking)
        assert (keyed.status_code, other.status_code) == (200, 503)
        assert other.json()["handed_out"] == "maybe"

    front(test, "silent", "silent", "ok")


def test_a_client_that_leaves_takes_its_request_along(front):
    async def test(server, owner):
        leave = asyncio.Event()
        asking = asyncio.ensure_future(
            server.raw(b"POST /next?wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n", close=leave)
        )
        await owner.came.wait()
        leave.set()
        await owner.left.wait()
        assert await asking == b""

    front(test, "silent")


@pytest.mark.parametrize("headers", [{}, KEY])
def test_what_was_not_sent_waits_for_an_owner(front, headers):
    async def test(server, owner):
        server.shared.tell(None)
        asking = asyncio.ensure_future(server.ask("POST", "/next", headers=headers))
        ready = await server.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["type"]) == (503, "urn:dibs:problem:no-owner")
        assert (await server.ask("GET", "/healthz")).status_code == 200
        assert not owner.heads
        owner.own()
        assert (await asking).status_code == 200

    front(test, "ok")


def test_and_is_refused_when_none_comes_with_nothing_handed_out(front, monkeypatch):
    monkeypatch.setattr("dibs.cluster.passage.PATIENCE", 0.05)

    async def test(server, owner):
        server.shared.tell(None)
        nobody = await server.ask("POST", "/next", headers=KEY)
        await owner.close()
        owner.own()
        unreachable = await server.ask("POST", "/next")
        for answer in (nobody, unreachable):
            problem = answer.json()
            assert (answer.status_code, problem["handed_out"]) == (503, "no")
            assert problem["type"] == "urn:dibs:problem:no-owner"
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["dibs-queue"] == "default"
        ready = await server.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["type"]) == (503, "urn:dibs:problem:no-owner")

    front(test)


def test_what_was_sent_and_finds_no_owner_again_may_have_been_done(front, monkeypatch):
    monkeypatch.setattr("dibs.cluster.passage.PATIENCE", 0.05)

    async def test(server, owner):
        asking = asyncio.ensure_future(server.ask("POST", "/next", headers=KEY))
        await owner.came.wait()
        server.shared.tell(None)
        server.context.front._passages.copy().pop()._link.abort()
        assert (await asking).json()["handed_out"] == "maybe"

    front(test, "silent")


def test_readyz_of_a_front_asks_the_owner(front):
    async def test(server, owner):
        ready = await server.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
        assert owner.heads[0].startswith(b"GET /readyz HTTP/1.1\r\n")

    front(test, "ok")


def test_what_is_kept_for_another_try_counts_with_all_unfinished_requests(front):
    async def test(server, owner):
        body = b" " * 700_000
        head = b"POST /queues/jobs/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += b"Idempotency-Key: k\r\nContent-Length: 700000\r\nConnection: close\r\n\r\n"
        asking = [asyncio.ensure_future(server.raw(head + body)) for _ in range(2)]
        done, left = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [b"problem:overloaded" in each.result() for each in done] == [True]
        assert len(left) == 1
        left.pop().cancel()
        await asyncio.wait(asking)

    front(test, "silent", "silent", limits={"unfinished_bytes": 1024 * 1024})


@pytest.mark.parametrize("status", [503, 507, 429, 401, 403])
def test_a_refusal_of_the_second_owner_says_nothing_of_what_the_first_one_did(front, status):
    refused = b"HTTP/1.1 %d Refused\r\ncontent-length: 3\r\n\r\n{}\n" % status

    async def test(server, owner):
        problem = (await server.ask("POST", "/next", headers=KEY)).json()
        assert (problem["type"], problem["handed_out"]) == ("urn:dibs:problem:outcome-unknown", "maybe")
        again = await server.ask("POST", "/next", headers=KEY)
        assert (again.status_code, again.json()) == (status, {})

    front(test, "read", refused, refused)


def test_of_a_look_that_was_sent_twice_the_second_answer_is_told(front):
    async def test(server, _):
        answer = await server.ask("GET", "/queues")
        assert (answer.status_code, answer.json()) == (503, {})

    front(test, "read", b"HTTP/1.1 503 Refused\r\ncontent-length: 3\r\n\r\n{}\n")

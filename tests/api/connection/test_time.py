"""A client that is slow, or says nothing, and how a connection ends."""

import asyncio
import json

import pytest

from .conftest import CLOSE, HEALTH, LEASE, NEXT, PUSH, answers, chunked, problem, request, statuses


class Ahead:
    """The clock of an event loop, which a test sets ahead."""

    def __init__(self, loop):
        self._time, self.ahead = loop.time, 0
        loop.time = self.time

    def time(self):
        return self._time() + self.ahead


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
    def test_a_body(self, open_door, part):
        door = open_door(body_patience=0.05)
        before = door.spent
        assert problem(door.send(part)[-1]) == (408, "body-timeout", "no")
        assert door.spent == before

    def test_a_body_that_goes_on(self, open_door):
        door = open_door(body_patience=30)
        clock = Ahead(door.house.loop)

        async def slow():
            async with door.talk() as (reader, writer):
                connection = await door.connection()
                for piece in (PUSH[:-4], *(PUSH[at : at + 1] for at in range(-4, -1))):
                    began = clock.time()
                    writer.write(piece)
                    await door.house.until(lambda began=began: connection.intake.since > began)
                    clock.ahead += 20
                writer.write(PUSH[-1:] + CLOSE)
                return statuses(answers(await reader.read()))

        assert door.house.run(slow()) == [201, 200]

    def test_a_stream_tells_what_is_in(self, open_door):
        door = open_door(body_patience=0.05)
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

    def test_one_that_was_served_is_kept_for_longer(self, open_door):
        door = open_door(head_patience=2)
        clock = Ahead(door.house.loop)

        async def served():
            async with door.talk() as (reader, writer):
                writer.write(HEALTH)
                await reader.readuntil(b'{"status":"ok"}\n')
                clock.ahead += 3
                for _ in range(3):  # turns of the loop, in which what is due is done
                    await asyncio.sleep(0)
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

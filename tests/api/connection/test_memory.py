"""What a connection keeps is bounded, whatever its client sends or does not read."""

import asyncio
import json
import threading

import pytest
from dibs.api import bodies
from dibs.api.lane.intake import READ_AHEAD

from .conftest import CLOSE, HEALTH, HOST, answers, chunked, problem, request, statuses

READ = 256_000
"""Bytes that the loop reads at once, at most."""


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

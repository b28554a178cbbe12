"""Whatever a request and its answer are, they pass: large, endless, in pieces, expected, half closed."""

import asyncio
import contextlib
import json

import httpx
import pytest
from dibs.cluster.link import MUCH

HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
NDJSON = {"Content-Type": "application/x-ndjson"}


def test_a_body_as_large_as_may_be_and_one_that_is_too_large(cluster):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        items = json.dumps({"items": [{"value": "x" * 200_000}] * 82}).encode()
        full = items[:-1] + b" " * (16 * 1024 * 1024 - len(items)) + b"}"
        for headers in ({}, {"Idempotency-Key": "k"}):
            answer = await front.ask(
                "POST",
                "/queues/jobs/items",
                content=full,
                headers={"Content-Type": "application/json"} | headers,
            )
            assert answer.status_code == 201, answer.text
        assert owner.context.queues.get("jobs").browser.info().waiting == 164
        length = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % (len(full) + 1)
        answer = await front.raw(b"POST /queues/jobs/items HTTP/1.1\r\n" + HEAD + length)
        assert answer.startswith(b"HTTP/1.1 413 ")

    cluster(test)


def test_a_stream_of_lines_without_end_comes_in_as_it_is_sent(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        seen = asyncio.Event()

        async def lines():
            for number in range(3_000):
                yield b'{"value":%d}\n' % number
            await seen.wait()
            yield b'{"value":"last"}\n'

        pushing = asyncio.ensure_future(
            front.ask("POST", "/queues/jobs/items", content=lines(), headers=NDJSON)
        )
        info = owner.context.queues.get("jobs").browser.info
        await until(lambda: info().waiting >= 1_000)  # before it is whole
        seen.set()
        assert (await pushing).status_code == 201
        assert info().waiting == 3_001

    cluster(test)


def test_answers_in_lines_and_a_backup_are_the_owners(cluster):
    async def test(made):
        _owner, front = await made.pair()
        text = {"Accept": "text/plain"}
        lines = await front.ask("POST", "/next?count=10000", headers=text)
        assert lines.text.split() == [str(number) for number in range(1, 10_001)]
        copy = await front.ask("GET", "/backup")
        assert copy.content.startswith(b"SQLite format 3\0")
        assert len(copy.content) == int(copy.headers["content-length"])
        assert copy.headers["content-disposition"]

    cluster(test)


@pytest.mark.parametrize("framed", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_client_that_waits_to_be_told_to_go_on(cluster, framed):
    async def test(made):
        _, front = await made.pair()
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        expect = HEAD + framed + b"Expect: 100-continue\r\n\r\n"
        writer.write(b"POST /queues/none/lease HTTP/1.1\r\n" + expect)
        assert b"HTTP/1.1 404 " in await reader.readline()  # by its head alone: it is not told to go on
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /queues/default/lease HTTP/1.1\r\n" + expect)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}" if b"Length" in framed else b"2\r\n{}\r\n0\r\n\r\n")
        assert b"HTTP/1.1 200 " in await reader.readline()
        writer.close()

    cluster(test)


def test_a_client_that_closes_its_side_is_answered_without_waiting(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        body = b'{"wait":25}'
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"POST /queues/jobs/lease HTTP/1.1\r\n" + HEAD + b"Content-Length: 11\r\n\r\n" + body)
        await until(lambda: owner.context.queues.get("jobs").line.parked == 1)
        writer.write_eof()
        assert b"HTTP/1.1 204 " in await reader.readline()
        writer.close()

    cluster(test)


def test_a_client_that_leaves_is_handed_nothing(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        line = owner.context.queues.get("jobs").line
        leave = asyncio.Event()
        left = asyncio.ensure_future(
            front.raw(b"POST /queues/jobs/next?wait=25 HTTP/1.1\r\nHost: localhost\r\n\r\n", close=leave)
        )
        await until(lambda: line.parked == 1)
        leave.set()
        await left
        await until(lambda: line.parked == 0)
        await front.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
        assert (await front.ask("POST", "/queues/jobs/next")).json()["seq"] == 1

    cluster(test)


def test_a_client_that_leaves_in_its_body_has_pushed_nothing(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        at_once = asyncio.Event()
        at_once.set()
        await front.raw(
            b"POST /queues/jobs/items HTTP/1.1\r\n" + HEAD + b"Content-Length: 99\r\n\r\n{}", close=at_once
        )
        await until(lambda: not front.context.front._passages)
        assert owner.context.queues.get("jobs").browser.info().waiting == 0

    cluster(test)


async def _events(front, most):
    """The names of the first events of a stream, and what ends it."""
    found = []
    async with (
        httpx.AsyncClient(base_url=front.url, timeout=60) as client,
        client.stream("GET", "/events") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                found.append(line[7:])
                most(found)
    return found


def test_events_stream_through_a_front_and_end_with_the_term_and_with_the_front(cluster, until):
    async def test(made):
        _, front = await made.pair()
        came = asyncio.Event()
        watching = asyncio.ensure_future(_events(front, lambda found: len(found) > 1 and came.set()))
        await came.wait()
        await made.hand_over("b")
        assert (await watching)[:2] == ["hello", "overview"]
        came.clear()
        watching = asyncio.ensure_future(
            _events(made.servers["a"], lambda found: len(found) > 1 and came.set())
        )
        await came.wait()
        made.servers["a"].context.stop()
        assert (await watching)[:2] == ["hello", "overview"]

    cluster(test)


def test_a_front_that_goes_down_answers_those_who_wait_there(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        waiting = asyncio.ensure_future(front.ask("POST", "/queues/jobs/next?wait=25"))
        await until(lambda: owner.context.queues.get("jobs").line.parked == 1)
        front.context.stop()
        assert (await waiting).status_code == 204
        refused = await front.ask("POST", "/queues/jobs/next")
        assert refused.json()["type"] == "urn:dibs:problem:stopping"

    cluster(test)


def test_links_are_used_again_and_not_after_a_while(cluster, until, monkeypatch):
    async def test(made):
        _owner, front = await made.pair()
        idle = front.context.front.pool._idle
        for _ in range(5):
            await front.ask("GET", "/queues")
            await until(lambda: len(idle) == 1)
        (link,) = idle
        await front.ask("GET", "/queues")
        await until(lambda: idle == [link])
        monkeypatch.setattr("dibs.cluster.pool.IDLE_SECONDS", 0.0)
        await front.ask("GET", "/queues")
        await until(lambda: link.closed)

    cluster(test)


def test_a_front_passes_on_no_more_requests_than_it_may(cluster, until, monkeypatch):
    monkeypatch.setattr("dibs.cluster.office.MOST", 1)

    async def test(made):
        owner, front = await made.pair(allow_get="all")
        await owner.ask("PUT", "/queues/jobs", json={})
        waiting = asyncio.ensure_future(front.ask("GET", "/queues/jobs/next?wait=25"))
        await until(lambda: owner.context.queues.get("jobs").line.parked == 1)
        refused = await front.ask("GET", "/next")
        problem = refused.json()
        assert (refused.status_code, problem["type"]) == (503, "urn:dibs:problem:overloaded")
        assert (problem["handed_out"], problem["limit"]) == ("no", 1)
        await owner.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
        assert (await waiting).status_code == 200
        assert (await front.ask("GET", "/next")).status_code == 200

    cluster(test)


def test_the_slow_reader_of_a_long_answer_stops_the_owner(cluster, until):
    """A front keeps a bounded part of an answer that its client does not read."""

    async def test(made):
        _owner, front = await made.pair()
        await front.ask("PUT", "/queues/jobs", json={})
        for _ in range(4):
            items = {"items": [{"value": "x" * 200_000}] * 50}
            assert (await front.ask("POST", "/queues/jobs/items", json=items)).status_code == 201
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=65_536)
        writer.write(b"GET /backup HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        (passage,) = front.context.front._passages
        await until(lambda: passage._link._size > MUCH)
        assert passage._link._size < 3 * MUCH
        found = 0
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                found += len(piece)
        assert found > 40_000_000
        writer.close()

    cluster(test)

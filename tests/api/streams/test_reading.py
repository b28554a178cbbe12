"""A stream of items, one a line: in chunks, in constant memory."""

import asyncio
import json
import tracemalloc

import pytest
from dibs.api import ndjson
from dibs.queue.answers import PushAnswer
from dibs.queue.producer import Producer

NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(*values):
    return b"".join(b'{"value": %s}\n' % json.dumps(value).encode() for value in values)


class TestReading:
    def test_one_item_a_line(self, send, sums, values):
        body = lines("a", {"b": [1]}, None)
        answer = send(body)
        assert (answer.status_code, answer.json()) == (201, sums(body, accepted=3, ranges=[[1, 3]]))
        assert values() == ["a", {"b": [1]}, None]

    @pytest.mark.parametrize(
        "body",
        [
            b'{"value": 1}',
            b'{"value": 1}\r\n',
            b'\n \t\r\n{"value": 1}\n\n\n',
            b'  {"value": 1}  \n\t',
            b'{"key": "k", "value": 1}',
        ],
    )
    def test_blank_lines_and_the_last_line_break_are_free(self, send, body, sums, values):
        assert send(body).json() == sums(body, accepted=1, ranges=[[1, 1]])
        assert values() == [1]

    @pytest.mark.parametrize("body", [b"", b"\n", b"\n\n  \n"])
    def test_nothing_is_a_stream_too(self, send, body, sums):
        expected = sums(body, accepted=0, ranges=[])
        assert send(body).json() == {**expected, "lines": body.count(b"\n")}

    def test_keys_priorities_and_delays(self, house, send, sums):
        body = (
            b'{"value": 1, "key": "a", "delay": 3600}\n{"value": 2, "priority": 5}\n'
            b'{"value": 3}\n{"value": 4, "key": "a"}\n'
        )
        assert send(body).json() == sums(body, accepted=3, duplicates=1, ranges=[[1, 3]])
        leased = house.lease("jobs", max=10)["items"]
        assert [item["value"] for item in leased] == [3, 2]

    @pytest.mark.parametrize("size", [1, 2, 7, 64])
    def test_however_it_is_cut(self, house, size, sums, received, stream):
        body = lines(*(f"ü{number}" for number in range(30))) + b'\r\n{"value": "last"}'
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        _, answer = house.run(stream(received(*pieces)))
        assert answer == sums(body, accepted=31, ranges=[[1, 31]])

    def test_types_that_are_streams(self, house):
        for kind in ("Application/X-NDJSON", "application/x-ndjson; charset=utf-8"):
            answer = house.ask("POST", "/queues/jobs/items", content=lines(1), headers={"Content-Type": kind})
            assert answer.status_code == 201

    @pytest.mark.parametrize("path", ["settle", "lease", "ack", "redrive", "purge"])
    def test_elsewhere_nothing_is_a_stream(self, refused, path):
        options = {"content": b'{"max": 1}', "headers": NDJSON}
        refused("POST", f"/queues/jobs/{path}", 415, "unsupported-media-type", **options)

    def test_a_stream_may_be_longer_than_any_body(self, send, monkeypatch):
        monkeypatch.setattr(ndjson, "CHUNK_BYTES", 64 * 1024 * 1024)
        body = lines(*("x" * 250_000 for _ in range(70)))
        assert len(body) > 16 * 1024 * 1024
        assert send(body).json()["accepted"] == 70


class TestChunks:
    def test_a_thousand_items_are_a_chunk(self, send, commits):
        assert send(lines(*range(2500))).json()["ranges"] == [[1, 2500]]
        assert commits == [1000, 1000, 500]

    def test_and_so_is_a_mebibyte(self, send, commits):
        send(lines(*("x" * 200_000 for _ in range(13))))
        assert commits == [6, 6, 1]

    def test_what_trickles_in_is_committed_before_more_comes(
        self, house, commits, monkeypatch, received, stream
    ):
        monkeypatch.setattr(ndjson, "LINGER", 0.0)

        async def trickle():
            async def more():
                await house.until(lambda: commits)
                return {"type": "http.request", "body": b'ue": "b"}', "more_body": False}

            return await stream(received(lines("a") + b'{"val', then=more))

        assert house.run(trickle())[1]["accepted"] == 2
        assert commits == [1, 1]

    def test_with_a_key_a_pause_cuts_no_chunk(self, house, commits, monkeypatch, received, stream):
        """A stream that is sent again may pause elsewhere, and is cut into the same chunks."""
        monkeypatch.setattr(ndjson, "LINGER", 0.0)

        async def trickle():
            async def more():
                for _ in range(5):
                    await asyncio.sleep(0)
                return {"type": "http.request", "body": lines("b"), "more_body": False}

            return await stream(received(lines("a"), then=more), headers=[(b"idempotency-key", b"k")])

        assert house.run(trickle())[1]["accepted"] == 2
        assert commits == [2]

    def test_the_first_ranges_are_told_and_the_stream_goes_on(self, house, send, monkeypatch):
        monkeypatch.setattr(ndjson, "CHUNK_ITEMS", 1)
        monkeypatch.setattr(ndjson, "RANGES_KEPT", 2)
        push = Producer.push

        async def with_another(queue, parcels, **_):
            await push(queue, parcels)
            return await push(queue, parcels)

        monkeypatch.setattr(Producer, "push", with_another)
        answer = send(lines("a", "b", "c")).json()
        assert (answer["accepted"], answer["ranges"]) == (3, [[2, 2], [4, 4]])

    def test_nothing_is_read_while_a_chunk_is_on_its_way_to_disk(self, house, monkeypatch, stream):
        """The producer is held back: what is not asked for, the transport leaves where it is."""
        asked, asked_at_commits = [], []
        push = Producer.push

        async def watching(queue, parcels, **more):
            asked_at_commits.append(len(asked))
            for _ in range(10):
                await asyncio.sleep(0)
            assert asked_at_commits[-1] == len(asked)
            return await push(queue, parcels, **more)

        monkeypatch.setattr(Producer, "push", watching)
        pieces = [lines(*range(1000)) for _ in range(3)]

        async def receive():
            asked.append(1)
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        assert house.run(stream(receive))[0] == 201
        assert asked_at_commits == [1, 2, 3]

    def test_memory_stays_as_it_is(self, house, monkeypatch, stream):
        """Of a stream that is ten times as long no more is kept."""

        async def push(queue, parcels, **_):
            """Without the ledger, which is in memory here."""
            return PushAnswer("jobs", range(1, sum(len(parcel.texts) for parcel in parcels) + 1), ())

        monkeypatch.setattr(Producer, "push", push)
        piece = lines(*("x" * 500 for _ in range(120)))

        def peak(count):
            left = iter(range(count - 1, -1, -1))

            async def receive():
                return {"type": "http.request", "body": piece, "more_body": next(left) > 0}

            tracemalloc.start()
            _, answer = house.run(stream(receive))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert answer["accepted"] == 120 * count
            return most

        peak(3)
        assert peak(200) < peak(20) + 200_000


def test_blank_lines_hold_up_nobody(house):
    """They fill no chunk that could be committed, so others have their turn by lines."""
    turns = 0

    async def count(pushing):
        nonlocal turns
        while not pushing.done():
            await asyncio.sleep(0)
            turns += 1

    async def push():
        blank = [b"\n" * 50_000, b' \r\n{"value": 1}\n']
        headers = [(b"content-type", b"application/x-ndjson"), (b"transfer-encoding", b"chunked")]
        pushing = asyncio.ensure_future(
            house.call("POST", "/queues/jobs/items", headers=headers, chunks=blank)
        )
        await count(pushing)
        return pushing.result()

    sent, _ = house.run(push())
    assert sent[0]["status"] == 201
    assert turns > 50

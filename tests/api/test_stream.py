"""A stream of items, one a line: in parts, in constant memory, and on again after any interruption."""

import asyncio
import json
import tracemalloc
from zlib import crc32

import pytest

from app.api import early, ndjson
from app.queue.produce import Stream

NDJSON = {"Content-Type": "application/x-ndjson"}


def keyed(key):
    return {**NDJSON, "Idempotency-Key": key}


def lines(*values):
    return b"".join(b'{"value": %s}\n' % json.dumps(value).encode() for value in values)


@pytest.fixture
def house(house):
    house.pushed("jobs")
    return house


@pytest.fixture
def send(house):
    """Send one stream; its answer."""

    def send(body, headers=NDJSON, query="", name="jobs"):
        return house.ask("POST", f"/queues/{name}/items{query}", content=body, headers=headers)

    return send


@pytest.fixture
def commits(monkeypatch):
    """How many items each part had."""
    sizes = []
    push = Stream.push

    async def counting(sink, parcels, progress):
        state = await push(sink, parcels, progress)
        sizes.append(sum(len(parcel.texts) for parcel in parcels))
        return state

    monkeypatch.setattr(Stream, "push", counting)
    return sizes


def sums(body, *, accepted, ranges, duplicates=0):
    """What is said of a stream that is in."""
    return {
        "queue": "jobs",
        "lines": body.count(b"\n") + (not body.endswith(b"\n")),
        "bytes": len(body),
        "crc32": crc32(body),
        "accepted": accepted,
        "duplicates": duplicates,
        "ranges": ranges,
    }


def values(house):
    page = house.ask("GET", "/queues/jobs/items?limit=1000").json()
    return [item["value"] for item in page["items"]]


class TestReading:
    def test_one_item_a_line(self, house, send):
        body = lines("a", {"b": [1]}, None)
        answer = send(body)
        assert (answer.status_code, answer.json()) == (201, sums(body, accepted=3, ranges=[[1, 3]]))
        assert values(house) == ["a", {"b": [1]}, None]

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
    def test_blank_lines_and_the_last_line_break_are_free(self, house, send, body):
        assert send(body).json() == sums(body, accepted=1, ranges=[[1, 1]])
        assert values(house) == [1]

    @pytest.mark.parametrize("body", [b"", b"\n", b"\n\n  \n"])
    def test_nothing_is_a_stream_too(self, send, body):
        expected = sums(body, accepted=0, ranges=[])
        assert send(body).json() == {**expected, "lines": body.count(b"\n")}

    def test_keys_priorities_and_delays(self, house, send):
        body = (
            b'{"value": 1, "key": "a", "delay": 3600}\n{"value": 2, "priority": 5}\n'
            b'{"value": 3}\n{"value": 4, "key": "a"}\n'
        )
        assert send(body).json() == sums(body, accepted=3, duplicates=1, ranges=[[1, 3]])
        leased = house.lease("jobs", max=10)["items"]
        assert [item["value"] for item in leased] == [3, 2]

    @pytest.mark.parametrize("size", [1, 2, 7, 64])
    def test_however_it_is_cut(self, house, size):
        body = lines(*(f"ü{number}" for number in range(30))) + b'\r\n{"value": "last"}'
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        _, answer = house.run(stream(house, received(*pieces)))
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
        monkeypatch.setattr(ndjson, "PART_BYTES", 64 * 1024 * 1024)
        body = lines(*("x" * 250_000 for _ in range(70)))
        assert len(body) > 16 * 1024 * 1024
        assert send(body).json()["accepted"] == 70


def received(*pieces, then=None):
    """A receive that gives the pieces, and after them nothing, or what ``then`` gives."""
    waiting = list(pieces)

    async def receive():
        if waiting:
            more = bool(len(waiting) > 1 or then)
            return {"type": "http.request", "body": waiting.pop(0), "more_body": more}
        return await then()

    return receive


async def stream(house, receive, *, headers=(), query=b"", whole=False):
    """A stream below httpx: the status and the answer, None where there is none; ``whole``: all messages."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/queues/jobs/items",
        "query_string": query,
        "root_path": "",
        "headers": [
            (b"content-type", b"application/x-ndjson"),
            (b"transfer-encoding", b"chunked"),
            *headers,
        ],
    }
    await house.app(scope, receive, send)
    if whole:
        return sent
    return (sent[0]["status"], json.loads(sent[1]["body"])) if sent else None


class TestParts:
    def test_a_thousand_items_are_a_part(self, send, commits):
        assert send(lines(*range(2500))).json()["ranges"] == [[1, 2500]]
        assert commits == [1000, 1000, 500]

    def test_and_so_is_a_mebibyte(self, send, commits):
        send(lines(*("x" * 200_000 for _ in range(13))))
        assert commits == [6, 6, 1]

    def test_what_trickles_in_is_committed_before_more_comes(self, house, commits, monkeypatch):
        monkeypatch.setattr(ndjson, "LINGER", 0.0)

        async def trickle():
            async def more():
                await house.until(lambda: commits)
                return {"type": "http.request", "body": b'ue": "b"}', "more_body": False}

            return await stream(house, received(lines("a") + b'{"val', then=more))

        assert house.run(trickle())[1]["accepted"] == 2
        assert commits == [1, 1]

    def test_nothing_is_read_while_a_part_is_on_its_way_to_disk(self, house, monkeypatch):
        """The producer is held back: what is not asked for, the transport leaves where it is."""
        asked, asked_at_commits = [], []
        push = Stream.push

        async def watching(sink, parcels, progress):
            asked_at_commits.append(len(asked))
            for _ in range(10):
                await asyncio.sleep(0)
            assert asked_at_commits[-1] == len(asked)
            return await push(sink, parcels, progress)

        monkeypatch.setattr(Stream, "push", watching)
        pieces = [lines(*range(1000)) for _ in range(3)]

        async def receive():
            asked.append(1)
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        assert house.run(stream(house, receive))[0] == 201
        assert asked_at_commits == [1, 2, 3]

    def test_memory_stays_as_it_is(self, house, monkeypatch):
        """Of a stream that is ten times as long no more is kept."""

        async def push(sink, parcels, progress):
            """Without the ledger, which is in memory here."""
            new = sum(len(parcel.texts) for parcel in parcels)
            sink.state = sink.state._replace(
                bytes=progress.bytes,
                lines=progress.lines,
                crc=progress.crc,
                accepted=sink.state.accepted + new,
            )
            return sink.state

        monkeypatch.setattr(Stream, "push", push)
        piece = lines(*("x" * 500 for _ in range(120)))

        def peak(count):
            left = iter(range(count - 1, -1, -1))

            async def receive():
                return {"type": "http.request", "body": piece, "more_body": next(left) > 0}

            tracemalloc.start()
            _, answer = house.run(stream(house, receive))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert answer["accepted"] == 120 * count
            return most

        peak(3)
        assert peak(200) < peak(20) + 200_000


class TestRefusedLines:
    @pytest.mark.parametrize(
        ("line", "status", "name", "field"),
        [
            (b"{", 400, "malformed", "body"),
            (b'{"value": NaN}', 400, "malformed", "body"),
            (b'{"value": "\xff"}', 400, "malformed", "body"),
            (b'{"value": 1} {"value": 2}', 400, "malformed", "body"),
            (b'"text"', 422, "invalid", "item"),
            (b"[]", 422, "invalid", "item"),
            (b"{}", 422, "invalid", "value"),
            (b'{"valeu": 1}', 422, "invalid", "valeu"),
            (b'{"value": 1, "sqe": 1}', 422, "invalid", "sqe"),
            (b'{"value": 1, "value": 2}', 422, "invalid", "value"),
            (b'{"items": [{"value": 1}]}', 422, "invalid", "items"),
            (b'{"value": 1, "priority": 10}', 422, "limit-exceeded", "priority"),
            (b'{"value": 1, "delay": -1}', 422, "limit-exceeded", "delay"),
            (b'{"value": 1, "key": ""}', 422, "limit-exceeded", "key"),
            (b'{"value": 9007199254740992}', 422, "value-refused", "value"),
            (b'{"value": "\\ud800"}', 422, "value-refused", "value"),
            (b'{"value": "' + b"x" * 262_143 + b'"}', 422, "value-refused", "value"),
            (b'{"value": ' + b"[" * 101 + b"]" * 101 + b"}", 422, "value-refused", "value"),
            (b'{"value": ' + b"[" * 100_000 + b"}", 422, "invalid", "body"),
            (b" " * (4 * 262_144 + 4097), 422, "limit-exceeded", "line"),
            (b"x" * 5_000_000, 422, "limit-exceeded", "line"),
        ],
        ids=lambda value: ascii(value)[:40] if isinstance(value, bytes) else "",
    )
    def test_everything_before_it_is_in_and_nothing_behind(self, house, send, line, status, name, field):
        before = lines(*range(1, 1203)) + b"\n"
        answer = send(before + line + b"\n" + lines("behind"))
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (status, f"urn:dibs:problem:{name}")
        assert problem["field"] == field
        assert problem["line"] == 1204
        assert problem["detail"].startswith("line 1204: ")
        expected = sums(before, accepted=1202, ranges=[[1, 1202]])
        del expected["queue"]
        assert {member: problem[member] for member in expected} == expected
        assert house.cursor("jobs") == 1202

    def test_over_max_ready_the_part_is_not_in(self, house, send):
        house.pushed("jobs", max_ready=1400)
        body = lines(*range(2500))
        answer = send(body, keyed("k"))
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (429, "urn:dibs:problem:queue-full")
        assert int(answer.headers["retry-after"]) >= 1
        assert (problem["line"], problem["accepted"], problem["bytes"]) == (
            1001,
            1000,
            len(lines(*range(1000))),
        )
        house.ask("POST", "/queues/jobs/next?count=1000")
        again = send(body, keyed("k"))  # and what is left goes on when there is room
        assert (again.status_code, again.json()["accepted"]) == (429, 2000)
        house.ask("POST", "/queues/jobs/next?count=1000")
        assert send(body, keyed("k")).json() == sums(body, accepted=2500, ranges=[[1, 2500]])

    def test_where_a_bad_line_meets_a_full_queue(self, house, send):
        house.pushed("jobs", max_ready=1)
        problem = send(lines(1, 2) + b"bad\n").json()
        assert (problem["type"], problem["line"]) == ("urn:dibs:problem:queue-full", 1)

    @pytest.mark.parametrize(
        ("name", "status", "problem"),
        [("default", 409, "source-fed"), ("nope", 404, "queue-unknown"), ("shut", 409, "closed")],
    )
    def test_queues_that_take_nothing(self, house, send, name, status, problem):
        house.pushed("shut")
        house.ask("POST", "/queues/shut/close")
        answer = send(lines(1), name=name)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:dibs:problem:{problem}")

    @pytest.mark.parametrize(
        ("query", "field"), [("?offset=-1", "offset"), ("?offset=x", "offset"), ("?ofset=1", "ofset")]
    )
    def test_parameters(self, house, send, query, field):
        answer = send(lines(1), query=query)
        assert (answer.status_code, answer.json()["field"], house.cursor("jobs")) == (422, field, 0)

    def test_an_offset_is_of_streams_with_a_key(self, house, send, refused):
        assert send(lines(1), query="?offset=5").json()["field"] == "offset"
        body = {"json": {"items": [{"value": 1}]}, "headers": {"Idempotency-Key": "k"}}
        problem = refused("POST", "/queues/jobs/items?offset=5", 422, "invalid", **body).json()
        assert problem["field"] == "offset"

    def test_the_answer_comes_before_the_rest_which_is_thrown_away(self, house):
        asked = []

        async def receive():
            asked.append(1)
            return {"type": "http.request", "body": b"bad\n" * 16_384, "more_body": True}

        sent = house.run(stream(house, receive, whole=True))
        assert sent[0]["status"] == 400
        assert dict(sent[0]["headers"])[b"connection"] == b"close"
        assert json.loads(sent[1]["body"])["line"] == 1
        assert len(asked) < 200  # 8 MiB of it, so that a client that still sends reads the answer


class TestResuming:
    BODY = lines(*range(2500))

    def test_sent_again_it_is_told_again(self, house, send):
        first, again = send(self.BODY, keyed("k")), send(self.BODY, keyed("k"))
        assert first.json() == again.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert house.cursor("jobs") == 2500

    @pytest.mark.parametrize("cut", [1, 1500, 20_000, len(BODY) - 1])
    def test_a_client_that_went_away_sends_it_again(self, house, send, cut):
        async def leave():
            async def gone():
                return {"type": "http.disconnect"}

            key = (b"idempotency-key", b"k")
            return await stream(house, received(self.BODY[:cut], then=gone), headers=[key])

        assert house.run(leave()) is None
        there = house.cursor("jobs")
        assert there == len(self.BODY[:cut].splitlines()) // 1000 * 1000  # whole parts, and nothing else
        assert send(self.BODY, keyed("k")).json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert values(house) == list(range(1000))

    def test_a_key_is_not_held_for_good_by_a_producer_that_fell_silent(self, house, send, monkeypatch):
        monkeypatch.setattr(ndjson, "IDLE", 0.01)
        monkeypatch.setattr(early, "DRAIN_SECONDS", 0.01)

        async def silence():
            await asyncio.Event().wait()

        key = (b"idempotency-key", b"k")
        receive = received(self.BODY[:15_000], then=silence)
        status, problem = house.run(stream(house, receive, headers=[key]))
        assert (status, problem["type"]) == (408, "urn:dibs:problem:body-timeout")
        assert problem["accepted"] == house.cursor("jobs") > 0
        assert send(self.BODY, keyed("k")).json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])

    def test_an_empty_body_tells_how_far_it_is(self, send):
        assert send(b"", keyed("k")).json() == {**sums(b"", accepted=0, ranges=[]), "lines": 0}
        send(self.BODY, keyed("k"))
        for query in ("", "?offset=0", "?offset=17"):
            answer = send(b"", keyed("k"), query=query)
            assert answer.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
            assert answer.headers["idempotent-replayed"] == "true"

    @pytest.mark.parametrize("offset", [0, 1, 10_000])
    def test_with_an_offset_the_body_begins_there(self, house, send, offset):
        known = len(lines(*range(1000)))
        send(self.BODY[:known], keyed("k"))
        answer = send(self.BODY[known - offset :], keyed("k"), query=f"?offset={known - offset}")
        assert answer.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert "idempotent-replayed" not in answer.headers

    def test_an_offset_behind_what_is_in(self, send):
        send(self.BODY, keyed("k"))
        size = len(self.BODY)
        problem = send(b"", keyed("k"), query=f"?offset={size + 1}").json()
        assert (problem["type"], problem["field"]) == ("urn:dibs:problem:conflict", "offset")
        assert problem["bytes"] == size
        assert str(size) in problem["detail"]

    @pytest.mark.parametrize("other", [lines(*range(1, 2501)), BODY[:-1], b"x", lines(*range(2000))])
    def test_another_stream_under_the_key(self, house, send, other):
        send(self.BODY, keyed("k"))
        answer = send(other, keyed("k"))
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:dibs:problem:key-reused")
        assert house.cursor("jobs") == 2500

    def test_a_stream_that_grew_goes_on(self, house, send):
        send(lines("a"), keyed("k"))
        body = lines("a", "b")
        assert send(body, keyed("k")).json() == sums(body, accepted=2, ranges=[[1, 2]])

    def test_a_mended_line_goes_on(self, house, send):
        send(lines("a") + b"bad\n" + lines("c"), keyed("k"))
        body = lines("a", "b", "c")
        assert send(body, keyed("k")).json() == sums(body, accepted=3, ranges=[[1, 3]])
        assert values(house) == ["a", "b", "c"]

    def test_blank_lines_at_the_end_are_known_too(self, send):
        body = lines("a") + b"\n\n"
        send(body, keyed("k"))
        assert send(b"", keyed("k")).json() == sums(body, accepted=1, ranges=[[1, 1]])

    def test_the_key_of_a_plain_push_is_no_streams(self, house, send):
        body = {"json": {"items": [{"value": 1}]}, "headers": {"Idempotency-Key": "k"}}
        house.ask("POST", "/queues/jobs/items", **body)
        assert send(lines(1), keyed("k")).json()["type"] == "urn:dibs:problem:key-reused"

    def test_without_a_key_it_is_pushed_again(self, send):
        send(lines("a"))
        assert send(lines("a")).json()["ranges"] == [[2, 2]]

    def test_over_a_restart(self, open_house, tmp_path):
        def push(house, body):
            return house.ask("POST", "/queues/jobs/items", content=body, headers=keyed("k")).json()

        with open_house(data=tmp_path) as house:
            house.pushed("jobs")
            push(house, self.BODY[:15_000] + b"\n")
        with open_house(data=tmp_path) as house:
            known = push(house, b"")["bytes"]
            assert known <= 15_000
            assert push(house, self.BODY) == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])

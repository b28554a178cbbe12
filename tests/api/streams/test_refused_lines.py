"""What ends a stream: everything before it is in, nothing behind."""

import json

import pytest


def lines(*values):
    return b"".join(b'{"value": %s}\n' % json.dumps(value).encode() for value in values)


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
    def test_everything_before_it_is_in_and_nothing_behind(
        self, house, send, line, status, name, field, sums
    ):
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

    def test_over_max_ready_the_chunk_is_not_in(self, house, send, sums):
        house.pushed("jobs", max_ready=1400)
        body = lines(*range(2500))
        answer = send(body, key="k")
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (429, "urn:dibs:problem:queue-full")
        assert int(answer.headers["retry-after"]) >= 1
        told = (problem["line"], problem["accepted"], problem["bytes"])
        assert told == (1401, 1400, len(lines(*range(1400))))  # chunks are half of max_ready
        house.ask("POST", "/queues/jobs/next?count=700")
        again = send(body, key="k")  # and what is left goes on when there is room
        assert (again.status_code, again.json()["accepted"]) == (429, 2100)
        house.ask("POST", "/queues/jobs/next?count=700")
        assert send(body, key="k").json() == sums(body, accepted=2500, ranges=[[1, 2500]])

    def test_where_a_bad_line_meets_a_full_queue(self, house, send):
        house.pushed("jobs", max_ready=1)
        problem = send(lines(1, 2) + b"bad\n").json()
        assert (problem["type"], problem["line"]) == ("urn:dibs:problem:queue-full", 2)

    @pytest.mark.parametrize(
        ("name", "status", "problem"),
        [("default", 409, "source-fed"), ("nope", 404, "queue-unknown"), ("shut", 409, "closed")],
    )
    def test_queues_that_take_nothing(self, house, send, name, status, problem):
        house.pushed("shut")
        house.ask("POST", "/queues/shut/close")
        answer = send(lines(1), name=name)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:dibs:problem:{problem}")

    @pytest.mark.parametrize("query", ["?offset=1", "?ofset=1"])
    def test_there_are_no_parameters(self, house, refused, query):
        field = query[1:].partition("=")[0]
        options = {"content": lines(1), "headers": {"Content-Type": "application/x-ndjson"}}
        problem = refused("POST", f"/queues/jobs/items{query}", 422, "invalid", **options).json()
        assert (problem["field"], house.cursor("jobs")) == (field, 0)

    def test_the_answer_comes_before_the_rest_and_ends_the_connection(self, house, stream):
        asked = []

        async def receive():
            asked.append(1)
            return {"type": "http.request", "body": b"bad\n" * 16_384, "more_body": True}

        sent = house.run(stream(receive, whole=True))
        assert sent[0]["status"] == 400
        assert dict(sent[0]["headers"])[b"connection"] == b"close"
        assert json.loads(sent[1]["body"])["line"] == 1
        assert len(asked) == 1

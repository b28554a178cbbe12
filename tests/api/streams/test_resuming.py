"""A stream goes on where it was, after any interruption."""

import asyncio
import json

import pytest


def lines(*values):
    return b"".join(b'{"value": %s}\n' % json.dumps(value).encode() for value in values)


class TestResuming:
    BODY = lines(*range(2500))

    def test_sent_again_it_is_told_again(self, house, send, sums):
        first, again = send(self.BODY, key="k"), send(self.BODY, key="k")
        assert first.json() == again.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert house.cursor("jobs") == 2500

    @pytest.mark.parametrize("cut", [1, 1500, 20_000, len(BODY) - 1])
    def test_a_client_that_went_away_sends_it_again(self, house, send, cut, sums, values, received, stream):
        async def leave():
            async def gone():
                return {"type": "http.disconnect"}

            key = (b"idempotency-key", b"k")
            return await stream(received(self.BODY[:cut], then=gone), headers=[key])

        assert house.run(leave()) is None
        there = house.cursor("jobs")
        assert there == len(self.BODY[:cut].splitlines()) // 1000 * 1000  # whole parts, and nothing else
        assert send(self.BODY, key="k").json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert values() == list(range(1000))

    def test_a_key_is_not_held_for_good_by_a_producer_that_fell_silent(
        self, house, send, monkeypatch, sums, received, stream
    ):
        ours = house.app.state.house
        monkeypatch.setattr(ours, "limits", ours.limits.model_copy(update={"body_patience": 0.01}))

        async def silence():
            await asyncio.Event().wait()

        key = (b"idempotency-key", b"k")
        receive = received(self.BODY[:15_000], then=silence)
        status, problem = house.run(stream(receive, headers=[key]))
        assert (status, problem["type"]) == (408, "urn:dibs:problem:body-timeout")
        assert problem["accepted"] == house.cursor("jobs") > 0
        assert send(self.BODY, key="k").json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])

    def test_an_empty_body_tells_how_far_it_is(self, send, sums):
        assert send(b"", key="k").json() == {**sums(b"", accepted=0, ranges=[]), "lines": 0}
        send(self.BODY, key="k")
        for query in ("", "?offset=0", "?offset=17"):
            answer = send(b"", key="k", query=query)
            assert answer.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
            assert answer.headers["idempotent-replayed"] == "true"

    @pytest.mark.parametrize("offset", [0, 1, 10_000])
    def test_with_an_offset_the_body_begins_there(self, send, offset, sums):
        known = len(lines(*range(1000)))
        send(self.BODY[:known], key="k")
        answer = send(self.BODY[known - offset :], key="k", query=f"?offset={known - offset}")
        assert answer.json() == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])
        assert "idempotent-replayed" not in answer.headers

    def test_an_offset_behind_what_is_in(self, send):
        send(self.BODY, key="k")
        size = len(self.BODY)
        problem = send(b"", key="k", query=f"?offset={size + 1}").json()
        assert (problem["type"], problem["field"]) == ("urn:dibs:problem:conflict", "offset")
        assert problem["bytes"] == size
        assert str(size) in problem["detail"]

    @pytest.mark.parametrize("other", [lines(*range(1, 2501)), BODY[:-1], b"x", lines(*range(2000))])
    def test_another_stream_under_the_key(self, house, send, other):
        send(self.BODY, key="k")
        answer = send(other, key="k")
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:dibs:problem:key-reused")
        assert house.cursor("jobs") == 2500

    def test_a_stream_that_grew_goes_on(self, send, sums):
        send(lines("a"), key="k")
        body = lines("a", "b")
        assert send(body, key="k").json() == sums(body, accepted=2, ranges=[[1, 2]])

    def test_a_mended_line_goes_on(self, send, sums, values):
        send(lines("a") + b"bad\n" + lines("c"), key="k")
        body = lines("a", "b", "c")
        assert send(body, key="k").json() == sums(body, accepted=3, ranges=[[1, 3]])
        assert values() == ["a", "b", "c"]

    def test_blank_lines_at_the_end_are_known_too(self, send, sums):
        body = lines("a") + b"\n\n"
        send(body, key="k")
        assert send(b"", key="k").json() == sums(body, accepted=1, ranges=[[1, 1]])

    def test_the_key_of_a_plain_push_is_no_streams(self, house, send):
        body = {"json": {"items": [{"value": 1}]}, "headers": {"Idempotency-Key": "k"}}
        house.ask("POST", "/queues/jobs/items", **body)
        assert send(lines(1), key="k").json()["type"] == "urn:dibs:problem:key-reused"

    def test_without_a_key_it_is_pushed_again(self, send):
        send(lines("a"))
        assert send(lines("a")).json()["ranges"] == [[2, 2]]

    def test_over_a_restart(self, open_house, tmp_path, sums):
        def push(house, body):
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}
            return house.ask("POST", "/queues/jobs/items", content=body, headers=headers).json()

        with open_house(data=tmp_path) as house:
            house.pushed("jobs")
            push(house, self.BODY[:15_000] + b"\n")
        with open_house(data=tmp_path) as house:
            known = push(house, b"")["bytes"]
            assert known <= 15_000
            assert push(house, self.BODY) == sums(self.BODY, accepted=2500, ranges=[[1, 2500]])


class TestListing:
    def test_by_how_their_keys_begin(self, house, send, sums):
        body = lines("a", "b")
        for key in ("upload--b", "upload--a", "uplode-cc"):
            send(body, key=key)
        known = {name: value for name, value in sums(body, accepted=2, ranges=[]).items() if name != "queue"}
        path = "/queues/jobs/streams?key=%s"
        assert house.ask("GET", path % "upload--").json() == {
            "queue": "jobs",
            "streams": [{"key": "upload--a", **known}, {"key": "upload--b", **known}],
            "next": None,
        }
        first = house.ask("GET", path % "upload--&limit=1").json()
        assert ([each["key"] for each in first["streams"]], first["next"]) == (["upload--a"], "upload--a")
        rest = house.ask("GET", path % "upload--&after=upload--a").json()
        assert ([each["key"] for each in rest["streams"]], rest["next"]) == (["upload--b"], None)
        assert house.ask("GET", path % "upload--c").json()["streams"] == []

    @pytest.mark.parametrize(
        ("query", "name", "field"),
        [
            ("", "invalid", "key"),
            ("?key=short", "limit-exceeded", "key"),
            (f"?key={'x' * 256}", "limit-exceeded", "key"),
            ("?key=12345678%0a", "invalid", "key"),
            ("?key=12345678%C3%BC", "invalid", "key"),
            ("?key=12345678&limit=0", "limit-exceeded", "limit"),
            ("?key=12345678&x=1", "invalid", "x"),
        ],
    )
    def test_what_is_refused(self, house, query, name, field):
        answer = house.ask("GET", f"/queues/jobs/streams{query}")
        assert (answer.status_code, answer.json()["type"], answer.json()["field"]) == (
            422,
            f"urn:dibs:problem:{name}",
            field,
        )

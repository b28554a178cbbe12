"""A stream with an idempotency key is sent again after any interruption, and each of its items is in once."""

import asyncio
import json

import pytest


def lines(*values):
    return b"".join(b'{"value": %s}\n' % json.dumps(value).encode() for value in values)


BODY = lines(*range(2500))
KEY = (b"idempotency-key", b"k")


def test_sent_again_it_is_told_again(house, send, sums):
    first, again = send(BODY, key="k"), send(BODY, key="k")
    assert first.json() == again.json() == sums(BODY, accepted=2500, ranges=[[1, 2500]])
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert house.cursor("jobs") == 2500


@pytest.mark.parametrize("cut", [1, 1500, 20_000, len(BODY) - 1])
def test_a_client_that_went_away_sends_it_again(house, send, cut, sums, values, received, stream):
    async def leave():
        async def gone():
            return {"type": "http.disconnect"}

        return await stream(received(BODY[:cut], then=gone), headers=[KEY])

    assert house.run(leave()) is None
    assert house.cursor("jobs") == len(BODY[:cut].splitlines()) // 1000 * 1000  # whole chunks, nothing else
    answer = send(BODY, key="k")
    assert answer.json() == sums(BODY, accepted=2500, ranges=[[1, 2500]])
    assert "idempotent-replayed" not in answer.headers
    assert values() == list(range(1000))


def test_a_producer_that_fell_silent_leaves_whole_chunks(house, send, monkeypatch, sums, received, stream):
    ours = house.app.state.context
    monkeypatch.setattr(ours, "limits", ours.limits.model_copy(update={"body_patience": 0.01}))

    async def silence():
        await asyncio.Event().wait()

    receive = received(BODY[:20_000], then=silence)
    status, problem = house.run(stream(receive, headers=[KEY]))
    assert (status, problem["type"]) == (408, "urn:dibs:problem:body-timeout")
    assert (problem["line"], problem["accepted"], house.cursor("jobs")) == (1001, 1000, 1000)
    assert send(BODY, key="k").json() == sums(BODY, accepted=2500, ranges=[[1, 2500]])


def test_a_refused_line_is_refused_again_and_nothing_is_pushed_twice(house, send):
    body = lines(*range(1200)) + b"bad\n" + lines("behind")
    first, again = send(body, key="k"), send(body, key="k")
    first, again = first.json(), again.json()
    assert first.pop("request_id") != again.pop("request_id")
    assert first == again
    assert (first["line"], first["accepted"], house.cursor("jobs")) == (1201, 1200, 1200)


@pytest.mark.parametrize(
    ("other", "line"),
    [(lines(*range(1, 2501)), 1), (lines(*range(2499)), 2001), (lines(*range(2501)), 2001)],
    ids=["another", "cut", "grown"],
)
def test_another_stream_under_the_key(house, send, other, line):
    send(BODY, key="k")
    answer = send(other, key="k")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:dibs:problem:key-reused")
    assert (answer.json()["line"], house.cursor("jobs")) == (line, 2500)


def test_items_with_keys_can_be_sent_again_in_any_stream(send, values):
    def keyed(*names):
        return b"".join(b'{"value": "%s", "key": "%s"}\n' % (name, name) for name in names)

    send(keyed(b"a", b"c"), key="k")
    again = send(keyed(b"a", b"b", b"c"), key="other").json()
    assert (again["accepted"], again["duplicates"], again["ranges"]) == (1, 2, [[3, 3]])
    assert values() == ["a", "c", "b"]


def test_a_push_and_a_stream_with_one_key_do_not_meet(house, send):
    body = {"json": {"items": [{"value": 1}]}, "headers": {"Idempotency-Key": "k"}}
    assert house.ask("POST", "/queues/jobs/items", **body).status_code == 201
    assert send(lines(1), key="k").json()["ranges"] == [[2, 2]]
    assert send(lines(1), key="x" * 255).json()["ranges"] == [[3, 3]]


def test_a_stream_may_have_more_lines_than_one_push_has_items(open_house):
    with open_house(limits={"count": 500}) as house:
        house.pushed("jobs")
        headers = {"Content-Type": "application/x-ndjson"}
        answer = house.ask("POST", "/queues/jobs/items", content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["ranges"]) == (201, [[1, 2500]])
        items = [{"value": n} for n in range(501)]
        refused = house.ask("POST", "/queues/jobs/items", json={"items": items})
        assert (refused.status_code, refused.json()["field"], refused.json()["limit"]) == (422, "items", 500)
        assert house.cursor("jobs") == 2500


def test_without_a_key_it_is_pushed_again(send):
    send(lines("a"))
    assert send(lines("a")).json()["ranges"] == [[2, 2]]


def test_over_a_restart(open_house, tmp_path, sums):
    def push(house, body):
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}
        return house.ask("POST", "/queues/jobs/items", content=body, headers=headers)

    for replayed in (None, "true"):
        with open_house(data=tmp_path) as house:
            house.pushed("jobs") if replayed is None else None
            answer = push(house, BODY)
            assert answer.json() == sums(BODY, accepted=2500, ranges=[[1, 2500]])
            assert answer.headers.get("idempotent-replayed") == replayed

"""Pushing any iterable: chunks, keys, back-pressure, faults."""

import asyncio
import json

import pytest
from dibs.client import (
    AsyncClient,
    Client,
    Conflict,
    NewItem,
    PushReport,
    QueueFull,
    Unreachable,
    ValueNotJson,
)
from dibs.client.push import CHUNK_BYTES


def pushed(wire):
    return [json.loads(request.content)["items"] for request in wire.sent]


def test_chunks(both):
    queue = both.wire.server.add("jobs")
    report = both.ask(lambda client: client.queue("jobs").push(range(25), chunk=10))
    assert report == PushReport(25, 0)
    assert [len(items) for items in pushed(both.wire)] == [10, 10, 5]
    assert [entry.value for entry in queue.inside.values()] == list(range(25))


def test_nothing_to_push(both):
    both.wire.server.add("jobs")
    assert both.ask(lambda client: client.queue("jobs").push([])) == PushReport(0, 0)
    assert both.wire.sent == []


def test_a_chunk_is_bounded_in_bytes(both):
    both.wire.server.add("jobs")
    both.ask(lambda client: client.queue("jobs").push("x" * 100_000 for _ in range(30)))
    sizes = [len(request.content) for request in both.wire.sent]
    assert len(sizes) == 3
    assert max(sizes) < CHUNK_BYTES + 110_000


def test_the_iterable_is_asked_for_one_chunk_at_a_time(both):
    both.wire.server.add("jobs")
    ahead = []

    def values():
        for number in range(50):
            ahead.append(number - 10 * len(both.wire.sent))
            yield number

    both.ask(lambda client: client.queue("jobs").push(values(), chunk=10))
    assert max(ahead) < 20


def test_keys_make_it_safe_to_run_again(both):
    both.wire.server.add("jobs")

    def push(client):
        return client.queue("jobs").push(range(5), key=str, delay=2.5, priority=3)

    assert both.ask(push) == PushReport(5, 0)
    assert both.ask(push) == PushReport(0, 5)
    assert pushed(both.wire)[0][4] == {"value": 4, "key": "4", "delay": 2.5, "priority": 3}


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_lost_reply_pushes_nothing_twice(both, lost):
    queue = both.wire.server.add("jobs")
    both.wire.faults = lambda number, request: lost if number % 2 else None
    assert both.ask(lambda client: client.queue("jobs").push(range(30), chunk=10)) == PushReport(30, 0)
    assert [entry.value for entry in queue.inside.values()] == list(range(30))


def test_back_pressure_is_waited_for(sim):
    """For as long as it takes: far longer than the patience. The same chunk comes again."""
    from dibs.client.flow import Sleep, Terms
    from dibs.client.push import Packer, push

    lab = sim.Sim()
    queue = lab.server.add("jobs", max_ready=15)
    task = lab.spawn(push("jobs", range(30), Packer(None, 0.0, 0, 10), Terms(lab.tempo, 5.0)))

    def drain():
        while queue.cursor < 30:
            yield Sleep(100.0)
            queue.inside.clear()

    lab.spawn(drain())
    assert lab.finish(task) == PushReport(30, 0)
    assert lab.now >= 200
    waits = [request for request in lab.log if json.loads(request.body)["items"][0]["value"] == 10]
    assert len(waits) > 50
    assert len({(request.key, request.body) for request in waits}) == 1


@pytest.mark.parametrize("room", [1, 2, 7])
def test_a_chunk_that_is_larger_than_the_queue_may_ever_be(sim, room):
    from dibs.client.flow import Sleep, Terms
    from dibs.client.push import Packer, push

    lab = sim.Sim()
    queue = lab.server.add("jobs", max_ready=room)
    task = lab.spawn(push("jobs", range(30), Packer(None, 0.0, 0, 20), Terms(lab.tempo, 5.0)))
    seen = []

    def drain():
        while queue.cursor < 30:
            yield Sleep(2.0)
            seen.extend(entry.value for entry in queue.inside.values())
            queue.inside.clear()

    lab.spawn(drain())
    assert lab.finish(task) == PushReport(30, 0)
    seen.extend(entry.value for entry in queue.inside.values())
    assert seen == list(range(30))


def test_put(both):
    queue = both.wire.server.add("jobs")
    assert both.ask(lambda client: client.queue("jobs").put({"n": 1})) == 1
    assert both.ask(lambda client: client.queue("jobs").put("ü", key="k")) == 2
    assert both.ask(lambda client: client.queue("jobs").put("other", key="k")) == 2
    assert [entry.value for entry in queue.inside.values()] == [{"n": 1}, "ü"]


def test_chunks_before_a_value_that_is_not_json_are_in(both):
    queue = both.wire.server.add("jobs")
    with pytest.raises(ValueNotJson, match=r"^item 3: an? object is not JSON") as caught:
        both.ask(lambda client: client.queue("jobs").push([1, 2, 3, object()], chunk=2))
    assert caught.value.pushed == PushReport(2, 0)
    assert len(queue.inside) == 2


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "item 0: nan is not JSON"),
        ({1}, "item 0: a set is not JSON"),
        ("a\ud800", r"item 0: 'a\ud800' is not JSON: it has half a surrogate pair"),
        ({"a": [1, {"b": float("-inf")}]}, "item 0: -inf is not JSON (at ['a'][1]['b'])"),
        ({(1, 2): 3}, "item 0: a tuple as a key is not JSON"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(both, value, why):
    both.wire.server.add("jobs")
    for push in (
        lambda client: client.queue("jobs").push([value]),
        lambda client: client.queue("jobs").push_items([NewItem(value)]),
    ):
        with pytest.raises(ValueNotJson) as caught:
            both.ask(push)
        assert str(caught.value) == why
    assert not both.wire.sent


@pytest.mark.parametrize("values", ["abc", b"abc"])
def test_one_text_is_not_an_iterable_of_values(both, values):
    with pytest.raises(TypeError, match=r"push\(\[x\]\) or put\(x\)"):
        both.ask(lambda client: client.queue("jobs").push(values))


def test_a_queue_has_a_name(both):
    with pytest.raises(ValueError, match="must not be empty"):
        both.ask(lambda client: client.queue(""))


def test_a_nested_value_is_refused_not_fatal(both):
    both.wire.server.add("jobs")
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueNotJson):
        both.ask(lambda client: client.queue("jobs").put(deep))


def test_an_iterable_that_raises(both):
    queue = both.wire.server.add("jobs")

    def values():
        yield from range(25)
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError, match="the file ends here"):
        both.ask(lambda client: client.queue("jobs").push(values(), chunk=10))
    assert len(queue.inside) == 20


def test_an_error_tells_what_was_in(both):
    both.wire.server.add("jobs")
    both.wire.faults = lambda number, request: "refused" if number > 2 else None
    with pytest.raises(Unreachable) as caught:
        both.ask(lambda client: client.queue("jobs").push(range(50), chunk=10), patience=0.05)
    assert caught.value.pushed == PushReport(20, 0)


@pytest.mark.parametrize("source", ["source-fed", "closed"])
def test_queues_that_take_nothing(both, source):
    queue = both.wire.server.add("jobs", range(3) if source == "source-fed" else None)
    queue.closed = source == "closed"
    with pytest.raises(Conflict) as caught:
        both.ask(lambda client: client.queue("jobs").push([1]))
    assert caught.value.problem.name == source


def test_async_iterables(wire):
    queue = wire.server.add("jobs")

    async def values():
        for number in range(25):
            await asyncio.sleep(0)
            yield number

    async def main():
        async with AsyncClient("http://dibs", transport=wire) as client:
            return await client.queue("jobs").push(values(), chunk=10)

    assert asyncio.run(main()) == PushReport(25, 0)
    assert [entry.value for entry in queue.inside.values()] == list(range(25))


def test_a_chunk_of_nothing(wire):
    with Client("http://dibs", transport=wire) as client, pytest.raises(ValueError, match="chunk 0"):
        client.queue("jobs").push([1], chunk=0)


def test_single_requests_that_never_fit(both):
    both.wire.server.add("jobs", max_ready=2)
    with pytest.raises(QueueFull):
        both.ask(lambda client: client.queue("jobs").push_items([NewItem(n) for n in range(3)]))
    with pytest.raises(QueueFull):
        both.ask(lambda client: client.queue("jobs").upload(b'{"value":1}\n' * 3, key="file-1"))


def test_uploading_a_stream(both):
    queue = both.wire.server.add("jobs")
    stream = b'{"value":1}\n{"value":2}\n'
    both.wire.faults = lambda number, request: "reply" if number == 1 else None
    first = both.ask(lambda client: client.queue("jobs").upload(stream, key="file-1"))
    assert (first.lines, first.bytes, first.accepted) == (2, len(stream), 2)
    assert [entry.value for entry in queue.inside.values()] == [1, 2]
    assert [request.headers["idempotency-key"] for request in both.wire.sent] == ["file-1"] * 2
    assert both.wire.sent[0].headers["content-type"] == "application/x-ndjson"


def test_a_line_that_is_refused_tells_what_is_in(both):
    both.wire.server.add("jobs")
    part = b'{"value":1}\nnonsense\n{"value":2}\n'
    from dibs.client import Invalid

    with pytest.raises(Invalid) as caught:
        both.ask(lambda client: client.queue("jobs").upload(part, key="file-1"))
    assert caught.value.problem.members["line"] == 2

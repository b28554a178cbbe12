"""The requests of a client are counted up in sessions, so that a server keeps one answer for each of them."""

import json
import os
import pickle
import threading

import pytest
from dibs.client import Client, KeySuperseded, NewItem, UnexpectedAnswer, Unreachable
from dibs.client.keys import Key, Sessions


def counted(wire):
    """Key and number of each request that was sent."""
    return [
        (sent.headers["idempotency-key"], int(sent.headers["idempotency-sequence"]))
        for sent in wire.sent
        if "idempotency-sequence" in sent.headers
    ]


@pytest.fixture
def sessions():
    numbers = iter(range(1, 100))
    made = Sessions(lambda: f"key-{next(numbers)}")
    made.counted = True
    return made


def test_one_caller_counts_up_under_one_key(both):
    both.wire.server.add("ids", range(100))
    both.wire.server.add("jobs")

    def threads(queue, jobs):
        return [
            queue.next().value,
            *(item.value for item in queue.take(2)),
            jobs.put("a"),
            queue.next().value,
        ]

    async def tasks(queue, jobs):
        first, two = (await queue.next()).value, await queue.take(2)
        return [first, *(item.value for item in two), await jobs.put("a"), (await queue.next()).value]

    use = lambda client: (threads if isinstance(client, Client) else tasks)(  # noqa: E731
        client.queue("ids"), client.queue("jobs")
    )
    assert both.ask(use) == [0, 1, 2, 1, 3]
    (key, _), *_ = sent = counted(both.wire)
    assert sent == [(key, n) for n in range(1, 5)]
    assert len(key) == 36
    assert len(both.wire.server.keys) == 2  # one answer a queue, however many calls


def test_a_repeat_has_the_number_of_its_request(both):
    queue = both.wire.server.add("ids", range(9))
    both.wire.faults = lambda number, request: "reply" if number in {2, 3} else None
    both.ask(lambda client: client.queue("ids").next())
    assert both.ask(lambda client: client.queue("ids").next()).value == 1
    assert [n for _, n in counted(both.wire)] == [1, 1, 1, 1]
    assert queue.taken == 2


def test_a_request_that_was_given_up_and_arrives_late_hands_out_nothing(wire):
    queue = wire.server.add("ids", range(9))
    with Client("http://dibs", transport=wire, patience=0.0) as client:
        ids = client.queue("ids")
        assert ids.next().value == 0
        wire.faults = lambda number, request: "request" if number == 2 else None
        with pytest.raises(Unreachable):
            ids.next()
        assert ids.next().value == 1
    late = wire.sent[1]
    key, n = counted(wire)[1]
    answer = wire.server.handle("POST", late.url.raw_path.decode(), late.content, key, n=n)
    assert (answer.status, answer.body["handed_out"]) == (409, "maybe")
    assert queue.taken == 2
    assert counted(wire) == [(key, 1), (key, 2), (key, 3)]


def test_a_copy_of_a_process_hears_that_it_was_superseded(wire):
    wire.server.add("ids", range(9))
    with Client("http://dibs", transport=wire) as client:
        ids = client.queue("ids")
        ids.next()
        (session,) = client.setup.terms.sessions._free
        ids.next()
        session._n = 0
        with pytest.raises(KeySuperseded):
            ids.next()


def test_keys_of_one_s_own_and_definitions_are_not_counted(wire):
    wire.server.add("ids", range(9))
    with Client("http://dibs", transport=wire) as client:
        client.queue("ids").next(key="order 1")
        client.define("jobs")
        client.queue("jobs").push_items([NewItem(1)], idempotency_key="file 1")
        client.queue("ids").info()
    assert counted(wire) == []


def test_a_server_that_does_not_count_gets_a_new_key_with_each_request(both):
    """It would answer the second request under a key with the first one's item."""
    both.wire.server.counts = False
    both.wire.server.add("ids", range(3))
    both.wire.faults = lambda number, request: "reply" if number % 2 else None

    def threads(client):
        return list(client.queue("ids"))

    async def tasks(client):
        return [value async for value in client.queue("ids")]

    assert both.ask(lambda client: (threads if isinstance(client, Client) else tasks)(client)) == [0, 1, 2]
    assert {n for _, n in counted(both.wire)} == {1}


def test_a_session_outlives_a_proxys_refusal_for_good(wire):
    wire.server.add("ids", range(9))
    wire.faults = lambda number, request: (403, b"forbidden") if number == 2 else None
    with Client("http://dibs", transport=wire) as client:
        ids = client.queue("ids")
        ids.next()
        with pytest.raises(UnexpectedAnswer):
            ids.next()
        ids.next()
    assert [n for _, n in counted(wire)] == [1, 2, 3]


def test_requests_at_once_have_sessions_of_their_own(sessions):
    with sessions.lent() as first, sessions.lent() as second:
        assert (first, second) == (Key("key-1", 1), Key("key-2", 1))
    with sessions.lent() as again:
        assert again == Key("key-1", 2)  # the one that came back last


def test_threads_never_share_a_session(sessions):
    inside, twice, start = set(), [], threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(500):
            with sessions.lent() as key:
                if key.text in inside:
                    twice.append(key)
                inside.add(key.text)
                inside.discard(key.text)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert twice == []
    assert len(sessions._free) <= 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_session_crosses_no_fork_and_no_pickle(sessions):
    with sessions.lent() as key:
        assert key == Key("key-1", 1)
    lent = sessions.lent()
    assert lent.__enter__() == Key("key-1", 2)
    with sessions.lent():
        pass
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        lent.__exit__(None, None, None)  # the parent's flow ends in the child
        with sessions.lent() as key:
            os.write(theirs, json.dumps([key.n, key.text, len(sessions._free)]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(ours, 1_000)) == [1, "key-3", 0]
    os.close(ours)
    os.close(theirs)
    lent.__exit__(None, None, None)
    client = pickle.loads(pickle.dumps(Client("http://dibs")))
    assert not client.setup.terms.sessions._free


def test_a_lease_iterator_has_one_session_for_each_of_its_flows(sim):
    lab = sim.Sim()
    lab.server.add("jobs", range(50))
    made = lab.consumer(batch=1, ttl=3.0)
    lab.finish(lab.spawn(sim.worker(made, 2.0)))
    lab.close(made)
    lab.run()
    keys = {request.key.text for request in lab.log}
    assert len(keys) <= 3  # one more before the server has said that it counts
    assert len(lab.log) > 50
    assert len(lab.server.keys) <= 3
    assert not lab.server.violations

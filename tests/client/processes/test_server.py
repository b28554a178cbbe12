"""Against a real server process: the whole way."""

import asyncio
import multiprocessing
import threading
import time

import pytest
from dibs.client import (
    Ack,
    AsyncClient,
    Client,
    Conflict,
    Exhausted,
    Invalid,
    LeaseAsk,
    Nack,
    NewItem,
    PushReport,
    QueueFull,
    QueueSettings,
    QueueUnknown,
    ResultRefused,
    ServerRefused,
    SourceFailed,
)
from dibs.client.threads import PollLine

from .conftest import ROOT, balanced

pytestmark = pytest.mark.slow


def test_asyncio_too(server):
    async def main():
        async with AsyncClient(server.url) as client:
            seen = []
            async with client.queue("hundred2").lease(batch=7) as leases:
                async for job in leases:
                    with job:
                        seen.append(job.value)
            return seen, await client.queue("hundred2").audit()

    seen, audit = asyncio.run(main())
    assert seen == list(range(100))
    assert (audit.acked, audit.balanced) == (100, True)


def take_many(queue, pipe):
    pipe.send([queue.next().seq for _ in range(50)])
    pipe.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12, of a fork
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_share_a_client_take_no_number_twice(client, method, monkeypatch):
    """Forked children once shared its connection, and took each other's answers."""
    monkeypatch.syspath_prepend(ROOT)  # where a spawned child finds this module
    queue, context = client.queue("shared"), multiprocessing.get_context(method)
    client.define("shared", "count")
    before = queue.next().seq
    pipes, children = [], []
    for _ in range(2):
        ours, theirs = context.Pipe(duplex=False)
        pipes.append(ours)
        children.append(context.Process(target=take_many, args=(queue, theirs)))
        children[-1].start()
        theirs.close()
    given = [queue.next().seq for _ in range(50)]
    for pipe, child in zip(pipes, children, strict=True):
        with pipe:
            given += pipe.recv()
        child.join()
    assert sorted(given) == list(range(before + 1, before + 151))


def test_a_source_that_fails(client):
    seen = []
    with pytest.raises(SourceFailed) as caught:
        client.work(seen.append, "breaks", batch=2)
    assert seen == [0, 1, 2]
    assert (caught.value.cause_type, caught.value.seq) == ("RuntimeError", 4)
    assert balanced(client.queue("breaks")).acked == 3


def test_taking(client):
    assert list(client.queue("few")) == [0, 1, 2]
    first = client.queue("ids").next()
    assert [item.seq for item in client.queue("ids").take(3)] == [first.seq + n for n in (1, 2, 3)]
    with pytest.raises(Exhausted):
        client.queue("few").next()
    with pytest.raises(QueueUnknown):
        client.queue("nowhere").next()


def test_push_lease_nack_dead_redrive_purge(client):
    settings = QueueSettings(max_attempts=2, backoff=0.01)
    info = client.define("story", settings=settings)
    assert (info.source, info.settings) == (None, settings)
    queue = client.queue("story")
    assert queue.push(range(10), key=str, chunk=4) == PushReport(10, 0)
    assert queue.push(range(12), key=str) == PushReport(2, 10)
    assert queue.put("urgent", priority=0) == 13
    lease = queue.claim(LeaseAsk(20, 30.0, worker="me"))
    assert [item.attempt for item in lease.items] == [1] * 13
    settled = queue.settle([Ack(lease.token, [(1, 1)])])
    assert [(one.seqs, one.outcome) for one in settled.outcomes[0]] == [((1, 1), "acked")]
    while lease is not None:
        queue.settle([Nack(lease.token, error="broke")])
        lease = queue.claim(LeaseAsk(20, 30.0, wait=1.0))
    assert (queue.info().dead, queue.info().waiting) == (12, 0)
    dead = list(queue.items("dead"))
    assert {item.error for item in dead} == {"broke"}
    assert [one.attempt for one in queue.item(dead[0].seq).history] == [1, 2]
    assert queue.redrive([(dead[0].seq, dead[0].seq)]) == 1
    assert queue.redrive(limit=1) == 1
    assert queue.redrive(error="other") == 0
    with pytest.raises(ServerRefused, match="10 dead items match by now, and 12 were expected"):
        queue.redrive(error="broke", expect=12)
    with pytest.raises(Invalid):
        queue.purge(confirm="wrong")
    with pytest.raises(ServerRefused, match="10 items match by now, and 9 were expected"):
        queue.purge(confirm="story", states=["dead"], expect=9)
    assert queue.purge(confirm="story", states=["dead"]) == 10
    balanced(queue)
    assert queue.stats()["queue"] == "story"
    assert "story" in [one.queue for one in client.queues()]
    assert client.stats()


def test_operating(client):
    client.define("switch")
    queue = client.queue("switch")
    assert queue.pause().paused
    assert not queue.resume().paused
    queue.put(1)
    with pytest.raises(Conflict, match="1 waiting, 0 leased and 0 dead"):
        queue.delete()
    assert queue.close().state == "closed"
    with pytest.raises(Conflict):
        queue.push([1])
    with pytest.raises(Conflict):
        client.queue("ids").push([1])
    queue.delete(confirm="switch")
    with pytest.raises(QueueUnknown):
        queue.info()


def test_back_pressure(client):
    client.define("narrow", settings=QueueSettings(max_ready=10))
    queue = client.queue("narrow")
    pushed = []
    producer = threading.Thread(target=lambda: pushed.append(queue.push(range(40), chunk=5)))
    producer.start()
    seen = []
    with queue.lease(batch=4) as leases:
        for job in leases:
            with job:
                seen.append(job.value)
            if len(seen) == 40:
                break
    producer.join(60)
    assert pushed == [PushReport(40, 0)]
    assert sorted(seen) == list(range(40))
    client.define("tiny", settings=QueueSettings(max_ready=2))
    producer = threading.Thread(target=lambda: pushed.append(client.queue("tiny").push(range(10))))
    producer.start()
    taken = [client.queue("tiny").next(wait=20).value for _ in range(10)]
    producer.join(60)
    assert (taken, pushed[1]) == (list(range(10)), PushReport(10, 0))
    with Client(client.url, patience=0.0) as hasty, pytest.raises(QueueFull):
        hasty.queue("narrow").push_items([NewItem(1)] * 11)


def test_a_server_that_counts_keeps_one_answer_for_all_requests_of_a_caller(client):
    client.define("counted")
    queue = client.queue("counted")
    queue.push(range(40), chunk=5)
    assert [queue.next().value for _ in range(20)] == list(range(20))
    assert [job.value for job in queue.lease(batch=4, until_empty=True) if not job.ack()] == list(
        range(20, 40)
    )
    numbers = [session.next().n for session in client.setup.terms.sessions._free]
    assert sum(numbers) > 28
    assert len(numbers) <= 4


def test_a_stream(client):
    client.define("stream")
    queue = client.queue("stream")
    stream = b"".join(b'{"value":%d}\n' % number for number in range(1500))
    first = queue.upload(stream, key="file")
    assert (first.bytes, first.lines, first.accepted, first.ranges) == (len(stream), 1500, 1500, ((1, 1500),))
    assert queue.upload(stream, key="file") == first
    with pytest.raises(Invalid) as caught:
        queue.upload(b'{"value":1}\n{"value":\n', key="other")
    assert caught.value.problem.members["line"] == 2
    assert queue.info().waiting == 1501


def test_work_and_a_result_that_is_refused(client):
    client.define("squares")
    client.work(lambda n: n * n, "twenty", "squares", batch=3)
    assert sorted(item.value for item in client.queue("squares").items()) == [n * n for n in range(20)]
    client.define("jobs2")
    client.queue("jobs2").push([1])
    with pytest.raises(ResultRefused, match="ids"):
        client.work(abs, "jobs2", "ids")
    assert "ids" in next(client.queue("jobs2").items()).error


def test_closing_does_not_wait_for_a_long_poll(client, caplog):
    client.define("empty")
    leases = client.queue("empty").lease(wait=30, grace=20)
    waiting = threading.Thread(target=list, args=(leases,))
    waiting.start()
    while not leases._consumer.jobs.demand.polling:
        time.sleep(0.001)
    time.sleep(0.05)  # let the poll get to the server; closing is as prompt if it has not
    leases.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert "did not answer in time" not in caplog.text


def test_who_waits_in_a_long_poll_hears_of_the_end(client, monkeypatch):
    """The last job is another's: when that is settled, it is exhausted for us too, in the same poll."""
    polls, send = [], PollLine.send
    monkeypatch.setattr(PollLine, "send", lambda line, request: polls.append(request) or send(line, request))
    client.define("ending")
    queue = client.queue("ending")
    queue.push([1])
    lease = queue.claim()
    queue.close()
    seen = []
    waiting = threading.Thread(target=lambda: seen.extend(queue.lease(wait=30)))
    waiting.start()
    time.sleep(0.3)  # so that it is waiting at the server; the result is the same if it is not
    queue.settle([Ack(lease.token)])
    waiting.join(60)
    assert not waiting.is_alive()
    assert (seen, len(polls)) == ([], 1)


def due(queue):
    """When the lease of its first item ends."""
    return next(iter(queue.items())).due_at


def test_a_lease_is_kept_alive_and_a_lost_one_is_told(client):
    client.define("slow")
    queue = client.queue("slow")
    queue.push([1, 2])
    lost = []
    with queue.lease(batch=2, ttl=4, on_lost=lost.append) as leases:
        with next(leases) as job:
            dues = {due(queue)}
            while len(dues) < 3:  # extended, and once more
                dues.add(due(queue))
                time.sleep(0.01)
        leases.flush(60)
        assert (job.outcome, job.attempt) == ("acked", 1)
        job = next(leases)
        assert job.attempt == 1
        queue.settle(
            [Nack(job.held.token)]
        )  # somebody with our token: the server calls ours stale from now on
        while not lost:
            time.sleep(0.01)
        assert lost == [job]


def test_who_took_and_acked_what_is_told(client):
    client.define("numbers", "count", settings=QueueSettings(history=None))
    queue = client.queue("numbers")
    assert queue.info().settings.history is None
    queue.take(2)
    with queue.lease(batch=1) as leases:
        next(leases).ack()
    told = [(entry.verb, entry.first, entry.last) for entry in queue.history()]
    assert told == [("taken", 1, 2), ("acked", 3, 3)]
    [entry] = queue.history(3)
    item = queue.item(3)
    assert (item.state, item.value, item.done) == ("acked", 3, entry)
    queue.delete()
    assert [entry.first for entry in queue.history()] == [1, 3]

"""A client on both sides of a fork: the child has connections of its own, and nothing that was leased."""

import asyncio
import copy
import gc
import os
import pickle
import threading
import warnings

import pytest
from dibs.client import AsyncClient, Client, ForkedClient, QueueUnknown, Unreachable
from dibs.client.errors import Problem
from dibs.client.flow import Tempo

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(function):
    """What a function returned in a forked child, or the error that it raised."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: threads run, which is the point
        pid = os.fork()
    if pid == 0:
        try:
            answer = repr(function())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def outcomes(*uses):
    """The error of each use; a lock that a dead thread holds would hang the first."""
    found = []
    for use in uses:
        try:
            found.append(use())
        except Exception as error:
            found.append(type(error).__name__)
    return found


@needs_fork
def test_parent_and_child_have_a_connection_each(numbering):
    with Client(numbering.url) as client:
        queue = client.queue("ids")
        assert queue.next().seq == 1
        assert in_child(lambda: [queue.next().seq, queue.next().seq]) == "[2, 3]"
        assert [queue.next().seq, queue.next().seq] == [4, 5]
    assert [connection for connection, *_ in numbering.seen] == [0, 1, 1, 0, 0]
    assert len({key for *_, key in numbering.seen}) == 5


@needs_fork
def test_a_child_s_copy_of_a_connection_is_closed_in_silence(numbering):
    """Closed it is, or the server would not see the parent go; and nothing is said on it."""
    with Client(numbering.url) as client:
        client.queue("ids").next()
        (sock,) = client._line._sockets
        number = sock.fileno()
        assert "Bad file descriptor" in in_child(lambda: os.fstat(number))

        def leave():
            client.close()
            gc.collect()

        assert in_child(leave) == "None"
        assert not numbering.ended[0].is_set()
        assert client.queue("ids").next().seq == 2
    assert numbering.connections == 1


@needs_fork
def test_a_fork_in_the_middle_of_another_thread_s_request(numbering):
    """The pool's lock, and the connection, belong to a thread that the child does not have."""
    with Client(numbering.url) as client:
        queue, given = client.queue("ids"), []
        numbering.gate.clear()
        thread = threading.Thread(target=lambda: given.append(queue.next().seq))
        thread.start()
        while not numbering.seen:
            thread.join(0.001)
        client._line._transport._pool._optional_thread_lock._lock.acquire()
        client._line._dialing.acquire()
        threading.Timer(0.05, numbering.gate.set).start()
        assert in_child(lambda: queue.next().seq) == "2"
        client._line._dialing.release()
        client._line._transport._pool._optional_thread_lock._lock.release()
        thread.join(60)
        assert given == [1]


@needs_fork
def test_an_iterator_of_values_goes_on_in_a_child_and_in_another_thread(numbering):
    """While a thread of the parent is in the middle of it, too."""
    with Client(numbering.url) as client:
        values, given = iter(client.queue("ids")), []
        assert next(values) == 1
        numbering.gate.clear()
        threads = [threading.Thread(target=lambda: given.append(next(values))) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(numbering.seen) < 3:
            threads[0].join(0.001)
        threading.Timer(0.02, numbering.gate.set).start()
        assert in_child(lambda: [next(values), next(values)]) == "[4, 5]"
        for thread in threads:
            thread.join(60)
        assert sorted(given) == [2, 3]


@needs_fork
def test_nothing_in_a_child_settles_extends_or_hands_out_what_its_parent_leased(numbering):
    with Client(numbering.url) as client:
        leases = client.queue("jobs").lease(batch=1, prefetch=5)
        job = next(leases)
        leases._jobs.lock.acquire()  # as a thread may at a fork

        def child():
            refused = outcomes(
                *(lambda: next(leases), leases.flush, job.ack, job.nack, job.release, job.__enter__),
                *(lambda: job.extend(1), lambda: job.__exit__(None, None, None)),
            )
            left = outcomes(leases.stop, leases.end, leases.close, leases.broke)
            passed = job.__exit__(ValueError, ValueError(), None)
            return refused, left, passed, client.queue("ids").next().seq

        told = in_child(child)
        leases._jobs.lock.release()
        assert told == f"({['ForkedClient'] * 8}, {[None] * 4}, False, 1)"
        assert "belongs to the parent process" in in_child(job.ack)
        assert not [request for request in numbering.seen if request[1] == b"settle"]
        with job:
            pass
        assert leases.flush(5)
        assert job.outcome == "acked"


@needs_fork
def test_a_child_that_ends_leaves_the_parent_s_poll_alone(wire, numbering):
    """Its finalizers, by ``del`` and by ``sys.exit``, must not shut the parent's socket down."""
    numbering.gate.clear()
    with Client(numbering.url) as client:
        leases = client.queue("jobs").lease()
        thread = threading.Thread(target=lambda: next(leases).ack())
        thread.start()
        while not numbering.seen:
            thread.join(0.001)

        def child():
            leases._close()  # what a finalizer calls, also at the exit
            client.close()

        assert in_child(child) == "None"
        numbering.gate.set()
        thread.join(60)
        assert leases.counts.begun == 1
    assert [operation for _, operation, *_ in numbering.seen].count(b"lease") >= 1
    assert numbering.seen[0][0] == 0


@needs_fork
def test_a_flow_of_the_parent_does_not_go_on_in_a_child(numbering):
    """A callback forks in the middle of a request, and the child comes back from it."""
    children = []

    def fork(seconds, why):
        children.append(os.fork())

    numbering.sign = lambda number, signature: [b"Dibs-Version: 9"] if number == 1 else signature
    reading, writing = os.pipe()
    with Client(numbering.url, on_wait=fork, tempo=Tempo(chance=lambda: 0.0)) as client:
        try:
            told = repr(client.queue("ids").next().seq)
        except ForkedClient as error:
            told = str(error)
        if children == [0]:
            os.write(writing, told.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert "this process is its child" in pipe.read()
    os.waitpid(children[0], 0)
    assert told == "1"
    assert len(numbering.seen) == 2


@needs_fork
def test_a_transport_that_was_given_stays_in_its_process(wire):
    with Client("http://dibs", transport=wire) as client:
        assert "ForkedClient: the transport of this client" in in_child(client.queue("ids").info)
        in_child(client.close)
        assert not wire.closed


@needs_fork
def test_a_child_has_an_event_loop_of_its_own(numbering):
    async def take(client):
        return (await client.queue("ids").next()).seq

    async def main():
        client = AsyncClient(numbering.url)
        first = await take(client)
        leases = client.queue("jobs").lease(batch=1)
        job = await anext(leases)

        async def child():
            refused = []
            for use in (lambda: anext(leases), leases.flush):
                try:
                    await use()
                except ForkedClient as error:
                    refused.append(type(error).__name__)
            leases.stop()
            await leases.close()
            return refused, await take(client), await client.close()

        told = in_child(lambda: (outcomes(job.ack), asyncio.run(child())))
        job.ack()
        await leases.flush(5)
        second = await take(client)
        await client.close()
        return first, told, second

    refused = "(['ForkedClient'], (['ForkedClient', 'ForkedClient'], 2, None))"
    assert asyncio.run(main()) == (1, refused, 3)


@needs_fork
def test_a_child_is_another_worker():
    with Client("http://x") as client, Client("http://x", worker="w") as named:
        assert client.setup.worker_name.endswith(f":{os.getpid()}")
        assert in_child(lambda: client.setup.worker_name.endswith(f":{os.getpid()}")) == "True"
        assert in_child(lambda: named.setup.worker_name) == "'w'"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_client_and_its_queues_are_pickled_and_copied_by_their_url(numbering, again):
    with Client(numbering.url, worker="w", patience=3.0, timeout=4.0) as client:
        assert client.queue("ids").next().seq == 1
        other, queue = again(client), again(client.queue("ids"))
        assert (other.url, other.setup.worker_name) == (client.url, "w")
        assert (other.setup.terms.patience, other.setup.wire.timeout) == (3.0, 4.0)
        assert other.queue("ids").next().seq == 2
        assert queue.next().seq == 3
        assert numbering.connections == (2 if again is copy.copy else 3)
        other.close()
        assert client.queue("ids").next().seq == 4
        (queue._client if again is not copy.copy else client).close()
    later = AsyncClient(numbering.url)
    assert again(later.queue("ids")).name == "ids"
    assert again(later).url == numbering.url
    gc.collect()


def test_what_is_leased_is_neither_pickled_nor_copied(wire):
    wire.server.add("jobs", range(3))
    with Client("http://dibs", transport=wire) as client:
        leases = client.queue("jobs").lease(wait=0.5)
        for one in (leases, next(leases)):
            for again in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="belongs to the process that leased it"):
                    again(one)
        with pytest.raises(TypeError, match="transport was given"):
            pickle.dumps(client)


def test_errors_are_pickled():
    """Else they break the pool of processes that they cross."""
    unknown = pickle.loads(pickle.dumps(QueueUnknown(Problem("queue-unknown", 404, "no queue x", "no"))))
    assert (str(unknown), unknown.problem.status) == ("queue-unknown: no queue x", 404)
    lost = pickle.loads(pickle.dumps(Unreachable("nobody", reached=True)))
    assert (str(lost), lost.reached) == ("nobody", True)

"""``map``, ``until_empty``, ``default`` and keys of one's own, against a real server."""

import asyncio
import datetime
import importlib
import logging
import math
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from multiprocessing.context import SpawnProcess

import pytest
from dibs.client import (
    AsyncClient,
    Client,
    ClientError,
    Conflict,
    LeaseAsk,
    Result,
    SourceFailed,
    ValueNotJson,
    WorkersDied,
)
from dibs.client.map_results import names_for
from dibs.client.mapping import _told, portable

pytestmark = pytest.mark.slow
SOURCES = """
def breaks():
    yield from range(3)
    raise RuntimeError("no more today")
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    (folder / "sources.py").write_text(SOURCES)
    command = [sys.executable, "-m", "dibs", "serve", "--port", "0", "--queue", "breaks=sources:breaks"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    yield re.search(r"serving (http://\S+)", process.stdout.readline())[1]
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
def pushed(client, request):
    """A function that makes a queue of these values, named after the test."""

    def pushed(*values, **settings):
        name = "".join(char for char in request.node.name.lower() if char.isalnum())[:60]
        client.define(name, settings=settings or None)
        client.queue(name).push(values)
        return name

    return pushed


def ranged(client, name, length):
    client.define(name, "range", {"stop": length})
    return name


def left(client):
    """The queues that maps made and did not delete."""
    return [info.queue for info in client.queues() if ".map-" in info.queue]


@pytest.mark.parametrize("workers", [1, 4])
def test_pairs_of_all_values_each_once(client, workers):
    name = ranged(client, f"r{workers}", 60)
    assert sorted(client.map(lambda n: n * n, name, workers=workers)) == [(n, n * n) for n in range(60)]
    assert (client.queue(name).audit().acked, left(client)) == (60, [])


def test_several_threads_work_at_a_time(client):
    import threading

    meeting = threading.Barrier(3, timeout=60)
    name = ranged(client, "meeting", 3)
    assert sorted(client.map(lambda n: meeting.wait() >= 0, name, workers=3)) == [(n, True) for n in range(3)]


def test_what_fails_for_the_last_time_gives_no_pair(client, pushed):
    name = pushed(4, 0, 2, max_attempts=1)
    pairs = client.map(lambda n: 8 // n, name, workers=2, until_empty=True)
    assert sorted(pairs) == [(2, 4), (4, 2)]
    assert client.queue(name).info().dead == 1


def test_an_error_of_the_source_comes_after_the_pairs(client):
    seen = []
    with pytest.raises(SourceFailed):
        seen.extend(client.map(str, "breaks", workers=2))
    assert sorted(seen) in ([], [(0, "0"), (1, "1"), (2, "2")])
    assert client.queue("breaks").audit().acked == 3
    assert left(client) == []


def test_a_loop_that_is_left_gives_back_and_keeps_what_was_not_read(client, pushed, caplog):
    caplog.set_level(logging.WARNING)
    name = pushed(*range(50))
    for pair in client.map(str, name, workers=2, batch=5):
        assert pair[1] == str(pair[0])
        break
    audit = client.queue(name).audit()
    assert (audit.leased, audit.balanced) == (0, True)
    kept = [item.value for queue in left(client) for item in client.queue(queue).items()]
    assert len(kept) == audit.acked - 1 or len(kept) == audit.acked  # the pair in hand may count as not read
    for queue in left(client):
        assert queue in caplog.text
        client.queue(queue).delete(confirm=queue)


def test_processes(client, pushed):
    name = pushed(*range(30))
    pairs = client.map(math.sqrt, name, workers=2, processes=True, until_empty=True)
    assert sorted(pairs) == [(n, math.sqrt(n)) for n in range(30)]
    assert left(client) == []


def test_processes_that_all_die_are_told_and_lose_nothing(client, pushed):
    name = pushed(3, 3)
    with pytest.raises(WorkersDied, match="exit code 3"):
        list(client.map(os._exit, name, workers=2, processes=True, ttl=30))
    assert client.queue(name).info().acked == 0


def test_an_exception_of_a_worker_process_comes_here(client, pushed):
    name = pushed(-1)
    with pytest.raises(ValueError, match=r"math domain|expected"):
        list(client.map(math.sqrt, name, workers=1, processes=True, on_error="raise"))


TWO = """
class Two(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")  # so it is pickled with one argument, and can't be unpickled


def raises(value):
    raise Two(value, "x")
"""


@pytest.fixture
def raises(tmp_path, monkeypatch):
    """A function of a module that a spawned process can import, too."""
    (tmp_path / "of_two_arguments.py").write_text(TWO)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("of_two_arguments").raises


def test_an_exception_that_can_not_be_unpickled_comes_as_text(client, pushed, raises):
    name = pushed(7)
    with pytest.raises(ClientError, match=r"(?s)Traceback.*in raises.*of_two_arguments.Two: 7 and x"):
        list(client.map(raises, name, workers=2, processes=True, on_error="raise"))
    assert left(client) == []


def test_what_a_process_tells_of_its_end():
    ours, theirs = multiprocessing.Pipe()
    ours.send(None)
    theirs.close()  # with the word to stop unread, which resets the connection
    assert _told(ours) is None
    ours, theirs = multiprocessing.Pipe()
    theirs.send_bytes(b"no pickle")
    assert "its error can't be read here: UnpicklingError" in str(_told(ours))
    error = ValueError("as it is")
    assert portable(error) is error


def test_workers_that_can_not_be_waited_for_end_the_results_too(client, pushed, monkeypatch):
    class Broken:
        def __init__(self):
            self.errors = []

        def join(self):
            raise RuntimeError("no join")

        def stop(self):
            pass

    monkeypatch.setattr("dibs.client.mapping.on_threads", lambda *_: Broken())
    with pytest.raises(RuntimeError, match="no join"):
        list(client.map(str, pushed(1)))
    assert left(client) == []


WRONG = [
    ({"batch": 0}, str, ValueError, "batch 0"),
    ({"batch": 0, "processes": True}, str, ValueError, "batch 0"),
    ({"processes": True}, lambda value: value, pickle.PicklingError, "lambda"),
]


@pytest.mark.parametrize(("options", "function", "error", "words"), WRONG)
def test_what_can_not_be_done_leaves_no_queue(client, pushed, options, function, error, words):
    name = pushed(1)
    with pytest.raises((error, AttributeError), match=words):
        list(client.map(function, name, **options))
    assert left(client) == []


def test_a_wrong_option_with_asyncio_leaves_no_queue(url, client, pushed):
    name = pushed(1)

    async def main():
        async with AsyncClient(url) as other:
            return [pair async for pair in other.map(str, name, batch=0)]

    with pytest.raises(ValueError, match="batch 0"):
        asyncio.run(main())
    assert left(client) == []


def test_processes_that_can_not_be_started_end_those_that_were(client, pushed, monkeypatch):
    name, start, begun = pushed(), SpawnProcess.start, []

    def once(process):
        if begun:
            raise OSError("no more processes")
        begun.append(process)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", once)
    with pytest.raises(OSError, match="no more processes"):
        list(client.map(str, name, workers=2, processes=True))
    assert (begun[0].exitcode, left(client)) == (0, [])


def known(client, name):
    """The names that maps of a queue used, with how many results each has had. They are used up by this."""
    made = []
    for number in range(1, 5):
        queue = client.define(f"{name}.map-{number}")
        made.append(queue.cursor)
        client.queue(queue.queue).delete(confirm=queue.queue)
    return [cursor for cursor in made if cursor]


def test_maps_use_the_same_name_again(url, client, pushed):
    name = pushed()

    async def main():
        async with AsyncClient(url) as other:
            return [pair async for pair in other.map(str, name, until_empty=True)]

    for value in (1, 2):
        client.queue(name).put(value)
        assert list(client.map(str, name, until_empty=True)) == [(value, str(value))]
        client.queue(name).put(-value)
        assert asyncio.run(main()) == [(-value, str(-value))]
    assert known(client, name) == [4]


def test_a_map_takes_no_queue_that_another_has(client, pushed):
    name = pushed(1)
    client.define(f"{name}.map-1")
    client.queue(f"{name}.map-1").put("of another map")
    assert list(client.map(str, name, until_empty=True)) == [(1, "1")]
    assert [item.value for item in client.queue(f"{name}.map-1").items()] == ["of another map"]
    assert known(client, name) == [1, 1]


def test_names_for_results_of_a_queue_with_a_long_name():
    names = list(names_for("q" * 64))
    assert (len(set(names)), {len(name) for name in names}) == (101, {64})
    assert names[:2] == ["q" * 58 + ".map-1", "q" * 58 + ".map-2"]


def test_how_many_workers_there_can_be(client):
    with pytest.raises(ValueError, match="workers 0: at least 1"):
        client.map(str, "any", workers=0)
    with pytest.raises(TypeError, match="whole number"):
        client.map(str, "any", workers=True)


def test_with_asyncio(url):
    async def double(n):
        await asyncio.sleep(0)
        return 2 * n

    async def main():
        async with AsyncClient(url) as client:
            await client.define("tasks", "range", {"stop": 40})
            pairs = [pair async for pair in client.map(double, "tasks", workers=4)]
            return sorted(pairs), [info.queue async for info in client.queues() if ".map-" in info.queue]

    assert asyncio.run(main()) == ([(n, 2 * n) for n in range(40)], [])


def test_until_empty_ends_with_what_its_own_jobs_push(client, pushed):
    """A crawl: the end is there when nothing waits and nothing in hand could push more."""
    name = pushed(3)
    seen = []
    with client.queue(name).lease(until_empty=True) as leases:
        for job in leases:
            with job:
                seen.append(job.value)
                job.ack(push=[Result(name, job.value - 1) for _ in range(2)] if job.value else ())
    assert sorted(seen) == [0] * 8 + [1] * 4 + [2] * 2 + [3]


def test_until_empty_waits_for_nothing_that_others_have_or_that_is_delayed(client, pushed):
    name = pushed(1, 2)
    queue = client.queue(name)
    queue.put(3, delay=100)
    lease = queue.claim(LeaseAsk(1, 100))
    with queue.lease(until_empty=True) as leases:
        seen = [job.value for job in leases if not job.ack()]
    assert (seen, [item.value for item in lease.items]) == ([2], [1])


def test_until_empty_with_asyncio(url):
    async def main():
        async with AsyncClient(url) as client:
            await client.define("few")
            await client.queue("few").push(range(5))
            async with client.queue("few").lease(until_empty=True) as leases:
                return [job.value async for job in leases if not job.ack()]

    assert asyncio.run(main()) == list(range(5))


def test_a_default_makes_json_of_what_json_cannot_carry(url, pushed):
    name = pushed()
    day = datetime.date(2026, 11, 29)
    with Client(url, default=str) as client:
        queue = client.queue(name)
        queue.push([{"day": day}])
        queue.put(day)
        with queue.lease(until_empty=True) as leases:
            seen = [job.value for job in leases if not job.ack()]
        assert seen == [{"day": "2026-11-29"}, "2026-11-29"]
        queue.put(1)
        with queue.lease() as leases:
            next(leases).ack(push=Result(name, [day]))
        assert [item.value for item in queue.items()] == [["2026-11-29"]]
    with Client(url) as plain, pytest.raises(ValueNotJson, match="date"):
        plain.queue(name).put(day)
    with Client(url, default=lambda value: 1 / 0) as broken, pytest.raises(ZeroDivisionError):
        broken.queue(name).put(day)


@pytest.mark.parametrize("key", ['"abc"', '"', '"a', 'a"', "\\", '"\\"', '"' * 255, "k" * 255, "a b"])
def test_a_key_of_ones_own_may_have_quotes(client, url, key):
    client.define("quotes", "count", settings={"key_ttl": None})
    plain = client.queue("quotes").next(key=key.strip('"\\') or "none")
    quoted = client.queue("quotes").next(key=key)
    assert (quoted == plain) == (key == key.strip('"\\'))

    async def again():
        async with AsyncClient(url, patience=0) as other:
            return await other.queue("quotes").next(key=key)

    assert asyncio.run(again()) == quoted


def test_a_key_of_ones_own_gives_the_same_item_to_whoever_asks(client, url):
    client.define("invoices", "count", settings={"key_ttl": None})
    first = client.queue("invoices").next(key="order-4711")
    with Client(url) as other:
        assert other.queue("invoices").next(key="order-4711") == first
        assert other.queue("invoices").take(2, key="order-4712") == client.queue("invoices").take(
            2, key="order-4712"
        )
    assert client.queue("invoices").info().cursor == 3
    with pytest.raises(Conflict):
        client.define("invoices", "range", {"stop": 5})

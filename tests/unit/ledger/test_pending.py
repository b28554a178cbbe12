"""One outcome, any number of waiters, of threads and of event loops."""

from __future__ import annotations

import asyncio
import threading

import pytest
from dibs.ledger.pending import Pending, settle_all
from dibs.queue.desk import outcome
from dibs.queue.limits import Limits


@pytest.mark.parametrize(
    "settle", [lambda p: p.settle(7), lambda p: p.fail(KeyError("x"))], ids=["value", "error"]
)
def test_a_thread_and_a_task_that_come_late_get_it_at_once(settle):
    pending: Pending[int] = Pending()
    settle(pending)

    async def wait() -> int:
        return await pending

    for ask in (lambda: pending.result(0), lambda: asyncio.run(wait())):
        if pending.value is None:
            with pytest.raises(KeyError):
                ask()
        else:
            assert ask() == 7


class Overtaken(Pending[int]):
    """Settled just as somebody begins to wait for it."""

    def when_done(self, callback, loop=None):
        self.settle(7)
        super().when_done(callback, loop)


@pytest.mark.parametrize("kind", [Pending, Overtaken])
@pytest.mark.parametrize("wait", [lambda p: p, lambda p: outcome(p, Limits())], ids=["bare", "outcome"])
def test_what_the_loop_was_told_before_is_heard_first(kind, wait):
    async def told() -> list[str]:
        heard: list[str] = []
        asyncio.get_running_loop().call_soon_threadsafe(heard.append, "the queue is there")
        pending = kind()
        if kind is Pending:
            pending.settle(7)
        assert await wait(pending) == 7
        return heard.copy()  # the loop goes on for a turn after this

    assert asyncio.run(told()) == ["the queue is there"]


def test_many_threads_wait_and_all_get_it(in_thread):
    pending: Pending[int] = Pending()
    begin = threading.Barrier(9)

    def wait() -> int:
        begin.wait()
        return pending.result(10)

    waiters = [in_thread(wait) for _ in range(8)]
    begin.wait()
    pending.settle(7)
    assert [waiter() for waiter in waiters] == [7] * 8


def test_settling_and_waiting_never_miss_each_other(in_thread):
    pendings = [Pending() for _ in range(500)]
    begin = threading.Barrier(2)

    def settle() -> None:
        for pending in pendings:
            begin.wait()
            pending.settle(1)

    settling = in_thread(settle)
    for pending in pendings:
        begin.wait()
        assert pending.result(10) == 1
    settling()


def test_a_thread_that_gives_up_changes_nothing(in_thread):
    pending: Pending[int] = Pending()
    with pytest.raises(TimeoutError):
        pending.result(0)
    pending.settle(7)
    assert pending.result(0) == 7


@pytest.mark.parametrize("second", [lambda p: p.settle(2), lambda p: p.fail(KeyError())])
def test_the_first_value_stands(second):
    pending: Pending[int] = Pending()
    pending.settle(1)
    second(pending)
    assert pending.result(0) == 1
    assert pending.value == 1


def test_the_first_error_stands():
    pending: Pending[int] = Pending()
    pending.fail(KeyError("first"))
    pending.settle(1)
    pending.fail(ValueError("third"))
    assert pending.value is None
    for _ in range(2):
        with pytest.raises(KeyError, match="first"):
            pending.result(0)


def test_a_cancelled_task_changes_nothing_for_the_others():
    async def main() -> list:
        pending: Pending[int] = Pending()
        tasks = [asyncio.ensure_future(wait(pending)) for _ in range(3)]
        await asyncio.sleep(0)  # each of them waits now
        tasks[1].cancel()
        await asyncio.sleep(0)
        pending.settle(7)
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def wait(pending: Pending[int]) -> int:
        return await pending

    first, cancelled, third = asyncio.run(main())
    assert (first, third) == (7, 7)
    assert isinstance(cancelled, asyncio.CancelledError)


def test_tasks_of_many_loops_and_threads_wait_for_one_outcome(in_thread):
    pending: Pending[int] = Pending()
    waiting = threading.Semaphore(0)

    async def task() -> int:
        asyncio.get_running_loop().call_soon(waiting.release)
        return await pending

    async def main() -> list[int]:
        return await asyncio.gather(task(), task())

    loops = [in_thread(lambda: asyncio.run(main())) for _ in range(3)]
    for _ in range(6):
        assert waiting.acquire(timeout=10)
    thread = in_thread(pending.result, 10)
    pending.settle(7)
    assert [loop() for loop in loops] == [[7, 7]] * 3
    assert thread() == 7


def test_a_loop_is_woken_once_for_all_its_waiters():
    async def main() -> tuple[int, list[int]]:
        loop, calls = asyncio.get_running_loop(), []
        pendings: list[Pending[int]] = [Pending() for _ in range(50)]
        tasks = [asyncio.ensure_future(wait(pending)) for pending in pendings]
        await asyncio.sleep(0)
        original = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args: (calls.append(1), original(*args))[1]
        settle_all((pending, number, None) for number, pending in enumerate(pendings))
        del loop.call_soon_threadsafe
        return len(calls), await asyncio.gather(*tasks)

    async def wait(pending: Pending[int]) -> int:
        return await pending

    calls, values = asyncio.run(main())
    assert calls == 1
    assert values == list(range(50))


def test_a_loop_that_is_closed_meanwhile_keeps_nobody_from_hearing(in_thread):
    pending: Pending[int] = Pending()
    loop = asyncio.new_event_loop()
    heard = []
    pending.when_done(lambda: heard.append("closed loop"), loop)
    pending.when_done(lambda: heard.append("thread"))
    loop.close()
    pending.settle(7)
    assert heard == ["thread"]


def test_when_done_is_called_at_once_if_it_is_done():
    pending: Pending[int] = Pending()
    pending.settle(7)
    heard = []
    pending.when_done(lambda: heard.append(threading.current_thread()))
    assert heard == [threading.current_thread()]


def test_when_done_follows_on_the_settling_thread_before_any_loop_hears(in_thread):
    async def main() -> list[str]:
        pending: Pending[int] = Pending()
        heard: list[str] = []
        pending.when_done(lambda: heard.append("loop"), asyncio.get_running_loop())
        pending.when_done(lambda: heard.append(threading.current_thread().name))
        thread = threading.Thread(target=pending.settle, args=(7,), name="settling")
        thread.start()
        thread.join()
        assert heard == ["settling"]  # the loop has had no turn yet
        await asyncio.sleep(0)
        return heard

    assert asyncio.run(main()) == ["settling", "loop"]


def test_a_callback_that_raises_keeps_nobody_from_hearing():
    pending: Pending[int] = Pending()
    heard = []
    pending.when_done(lambda: 1 / 0)
    pending.when_done(lambda: heard.append(pending.result(0)))
    pending.settle(7)
    assert heard == [7]

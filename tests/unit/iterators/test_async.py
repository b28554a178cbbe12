"""``async for``: off the loop, in order, and a cancelled pull loses nothing."""

import asyncio
import threading

import pytest
from dibs.errors import SourceClosed, SourceFailed
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator


async def reached(gate):
    await asyncio.to_thread(gate.reached)


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_async_for(source):
    async def main():
        return [value async for value in ThreadSafeIterator(source(5))]

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_it_pulls_off_the_loop_and_the_loop_goes_on(source):
    gate = source.gate(1)
    threads = []

    def generator():
        threads.append(threading.current_thread())
        yield from source(2)

    async def main():
        shared = ThreadSafeIterator(generator())
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        for _ in range(10):
            await asyncio.sleep(0)  # the loop turns while the pull stands
        assert not pull.done()
        gate.open()
        return await pull

    assert asyncio.run(main()) == 1
    assert threads[0] is not threading.main_thread()


def test_a_cancelled_pulls_value_is_the_next_one_out_for_a_task(source):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(3))
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        await cancel(pull)
        gate.open()
        return [value async for value in shared], shared.stats()

    values, stats = asyncio.run(main())
    assert values == [1, 2, 3]
    assert stats.values == 3


@pytest.mark.parametrize("take", [False, True])
def test_and_for_a_thread(source, spawn, in_line, take):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(6))
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        thread = spawn(shared.take, 2) if take else spawn(lambda: [next(shared), next(shared)])
        await asyncio.to_thread(in_line, shared, 1)
        await cancel(pull)
        gate.open()
        first = await asyncio.to_thread(thread.result)
        return first + [value async for value in shared]

    assert asyncio.run(main()) == [1, 2, 3, 4, 5, 6]


def test_cancelled_after_the_draw_before_the_task_woke(source, until):
    """The narrowest moment: the value is drawn, its task is not told yet."""
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(4))
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        gate.open()
        until(lambda: shared.stats().held_seconds)  # the loop stands still until that turn is over
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
        return [next(shared), await anext(shared), next(shared), await anext(shared)]

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_many_cancelled_pulls_use_one_thread_and_lose_nothing(source):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(10))
        for _ in range(50):
            pull = asyncio.ensure_future(anext(shared))
            await asyncio.sleep(0)
            await cancel(pull)
        await reached(gate)
        threads = threading.active_count()
        gate.open()
        return threads, [value async for value in shared]

    before = threading.active_count()
    threads, values = asyncio.run(main())
    assert threads <= before + 2  # the pull, and the one that waited for the gate
    assert values == list(range(1, 11))


def test_many_tasks_share_one_thread_and_are_served_in_order(source):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(20))
        tasks = [asyncio.ensure_future(anext(shared)) for _ in range(20)]
        await reached(gate)
        threads = threading.active_count()
        gate.open()
        return threads, await asyncio.gather(*tasks)

    before = threading.active_count()
    threads, values = asyncio.run(main())
    assert threads <= before + 2
    assert values == list(range(1, 21))


def test_tasks_and_threads_together_get_each_value_once(source, spawn):
    async def tasks(shared):
        return [value async for value in shared]

    async def main(shared):
        return [value for mine in await asyncio.gather(*(tasks(shared) for _ in range(3))) for value in mine]

    shared = ThreadSafeIterator(source(300))
    loops = [spawn(asyncio.run, main(shared)) for _ in range(2)]
    threads = [spawn(list, shared), spawn(lambda: [*shared.take(100), *shared])]
    got = [call.result() for call in loops + threads]
    assert sorted(value for mine in got for value in mine) == list(range(1, 301))
    assert shared.stats().values == 300


def test_the_loops_own_thread_may_pull_while_a_value_is_on_its_way_to_it(source, until):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source(3))
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        gate.open()
        until(lambda: shared.stats().held_seconds)
        mine = next(shared)  # no deadlock: the task can't take it while we stand here
        return mine, await pull

    assert asyncio.run(main()) == (1, 2)


def test_a_loop_that_is_gone_leaves_its_value_behind(source):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(3))

    async def leave():
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        gate.open()
        await asyncio.sleep(0)
        pull.cancel()

    asyncio.run(leave())
    assert list(shared) == [1, 2, 3]

    async def again():
        return [value async for value in ThreadSafeIterator(source(2))]

    assert asyncio.run(again()) == [1, 2]


def test_one_iterator_many_loops_in_turn(source):
    shared = ThreadSafeIterator(source(8))

    async def two():
        return await asyncio.gather(anext(shared), anext(shared))

    assert [asyncio.run(two()) for _ in range(4)] == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert len(shared._shared.couriers) == 1  # those of closed loops are gone


def test_a_failure_reaches_one_task_as_it_is(source):
    source.raises[2] = boom = KeyError("boom")

    async def main():
        shared = ThreadSafeIterator(source())
        assert await anext(shared) == 1
        with pytest.raises(KeyError) as first:
            await anext(shared)
        assert first.value is boom
        for _ in range(2):
            with pytest.raises(SourceFailed) as later:
                await anext(shared)
            assert later.value.__cause__ is boom

    asyncio.run(main())


def test_a_cancelled_pulls_failure_is_the_next_ones(source):
    gate, source.raises[1] = source.gate(1), KeyError("boom")
    shared = ThreadSafeIterator(source())

    async def main():
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        await cancel(pull)
        gate.open()

    asyncio.run(main())
    with pytest.raises(KeyError):
        next(shared)
    with pytest.raises(SourceFailed):
        next(shared)


def test_the_end_is_the_end_for_every_task(source):
    async def main():
        shared = ThreadSafeIterator(source(1))
        assert await anext(shared) == 1
        for _ in range(3):
            with pytest.raises(StopAsyncIteration):
                await anext(shared)
        return shared.state

    assert asyncio.run(main()) == "exhausted"


def test_closed_while_a_pull_stands(source, spawn, until):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source())
        pull = asyncio.ensure_future(anext(shared))
        behind = asyncio.ensure_future(anext(shared))
        await reached(gate)
        closer = spawn(shared.close)
        await asyncio.to_thread(until, lambda: shared.state == "closed")
        gate.open()
        assert await pull == 1  # drawn, so it has an owner
        with pytest.raises(SourceClosed):
            await behind
        await asyncio.to_thread(closer.result)

    asyncio.run(main())
    assert source.finalized == 1


def test_a_task_in_line_behind_a_thread_is_told_of_a_close_at_once(source, spawn, in_line):
    gate = source.gate(1)

    async def main():
        shared = ThreadSafeIterator(source())
        slow = spawn(next, shared)
        await reached(gate)
        pull = asyncio.ensure_future(anext(shared))
        await asyncio.to_thread(in_line, shared, 1)
        closer = spawn(shared.close)
        with pytest.raises(SourceClosed):
            await pull
        assert not slow.done
        gate.open()
        await asyncio.to_thread(closer.result)
        return slow.result()

    assert asyncio.run(main()) == 1


def test_send_goes_on_behind_a_value_left_by_a_task(gate):
    def echo():
        got = None
        gate()
        while True:
            got = yield got

    async def main():
        shared = ThreadSafeGenerator(echo())
        pull = asyncio.ensure_future(anext(shared))
        await reached(gate)
        await cancel(pull)
        gate.open()
        return [await asyncio.to_thread(shared.send, word) for word in "abc"], next(shared), next(shared)

    assert asyncio.run(main()) == ([None, "a", "b"], "c", None)


def test_async_iterators_are_refused_with_the_reason():
    async def agen():
        yield 1

    class OnlyAsync:
        def __aiter__(self):
            return self

    for thing in (agen(), OnlyAsync()):
        with pytest.raises(TypeError, match="one event loop"):
            ThreadSafeIterator(thing)
        with pytest.raises(TypeError, match="one event loop"):
            ThreadSafeGenerator(thing)

"""A bounded pool of threads: no more than it may have, none that nobody needs."""

from __future__ import annotations

import threading

import pytest
from dibs.errors import SourceBusy
from dibs.queue.pool import Pool


class Jobs:
    """Jobs that note who runs them, and wait at a gate if they are told to."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()
        self.done = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.names: list[str] = []
        self.running = self.most = 0

    def job(self, number: int = 0, *, waits: bool = False):
        def run() -> None:
            with self.lock:
                self.names.append(threading.current_thread().name)
                self.running += 1
                self.most = max(self.most, self.running)
            self.began.release()
            if waits:
                assert self.gate.wait(60)
            with self.lock:
                self.running -= 1
            self.done.release()

        return run

    def await_(self, semaphore: threading.Semaphore, many: int) -> None:
        for _ in range(many):
            assert semaphore.acquire(timeout=60)


@pytest.fixture
def jobs():
    jobs = Jobs()
    yield jobs
    jobs.gate.set()


@pytest.fixture
def new_pool(request):
    """A pool of the test's own."""
    return lambda most, idle=0.01: Pool(request.node.name, most, idle=idle)


@pytest.fixture
def pool(new_pool):
    return new_pool(3)


def ended(pool: Pool) -> bool:
    """Wait until all threads of the pool have ended."""
    for thread in threading.enumerate():
        if thread.name == f"dibs-{pool._name}":
            thread.join(60)
    return pool.threads == 0


def test_never_more_threads_than_it_may_have(pool, jobs):
    for _ in range(50):
        pool.submit(jobs.job(waits=True))
    jobs.await_(jobs.began, 3)
    assert (pool.threads, pool.backlog, jobs.most) == (3, 47, 3)
    jobs.gate.set()
    jobs.await_(jobs.done, 50)
    assert jobs.most == 3
    assert ended(pool)


def test_jobs_begin_in_the_order_in_which_they_came(new_pool, jobs):
    pool, order = new_pool(1), []
    pool.submit(jobs.job(waits=True))
    for number in range(20):
        pool.submit(lambda number=number: (order.append(number), jobs.done.release()))
    jobs.gate.set()
    jobs.await_(jobs.done, 21)
    assert order == list(range(20))
    assert ended(pool)


def test_a_job_that_sleeps_does_not_hold_up_others_while_threads_are_free(pool, jobs):
    pool.submit(jobs.job(waits=True))
    jobs.await_(jobs.began, 1)
    for _ in range(10):
        pool.submit(jobs.job())
    jobs.await_(jobs.done, 10)  # the eleventh still sleeps
    assert not jobs.done.acquire(blocking=False)


def test_a_thread_that_is_idle_is_used_again(new_pool, jobs):
    pool = new_pool(3, idle=10)
    for _ in range(5):
        pool.submit(jobs.job())
        jobs.await_(jobs.done, 1)
        while pool._idle < pool.threads:  # until it has come back to wait
            pass
    assert pool.threads == 1


def test_two_jobs_for_one_idle_thread_get_a_thread_each(new_pool, jobs):
    """The idle thread may not have woken yet when the second comes."""
    pool = new_pool(3, idle=10)
    pool.submit(jobs.job())
    jobs.await_(jobs.done, 1)
    while pool._idle < 1:
        pass
    with pool._work:  # the idle thread can't wake before both are there
        pool._work = _Held(pool._work)
        for _ in range(2):
            pool.submit(jobs.job(waits=True))
        pool._work = pool._work.condition
    jobs.await_(jobs.began, 3)
    assert pool.threads == 2


class _Held:
    """A condition whose lock the test holds already."""

    def __init__(self, condition: threading.Condition) -> None:
        self.condition = condition
        self.notify = condition.notify

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        return None


def test_idle_threads_end_and_work_starts_new_ones(pool, jobs):
    for _ in range(3):
        pool.submit(jobs.job())
        jobs.await_(jobs.done, 1)
        assert ended(pool)
    assert len(jobs.names) == 3


def test_a_pool_without_work_has_no_thread(pool):
    assert (pool.threads, pool.backlog) == (0, 0)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, MemoryError])
def test_a_job_that_raises_costs_no_thread(new_pool, jobs, error):
    pool = new_pool(1)

    def bad() -> None:
        raise error

    for _ in range(5):
        pool.submit(bad)
    pool.submit(jobs.job())
    jobs.await_(jobs.done, 1)
    assert ended(pool)


def test_a_thread_that_can_not_be_started_is_not_counted(pool, jobs, monkeypatch):
    """The system's own limit: whoever asked hears of it, and nothing is drawn for nobody later."""
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", _no_more)
    with pytest.raises(SourceBusy):
        pool.submit(jobs.job())
    monkeypatch.setattr(threading.Thread, "start", start)
    assert (pool.threads, pool.backlog) == (0, 0)
    pool.submit(jobs.job())
    jobs.await_(jobs.done, 1)
    assert ended(pool)
    assert len(jobs.names) == 1


def _no_more(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_many_threads_may_submit(new_pool, jobs):
    pool = new_pool(4)
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        for _ in range(50):
            pool.submit(jobs.job())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    jobs.await_(jobs.done, 400)
    for thread in threads:
        thread.join(60)
    assert jobs.most <= 4
    assert ended(pool)


def test_a_job_that_would_end_its_thread_takes_none_from_the_pool(new_pool, jobs, caplog):
    pool = new_pool(1)

    def leaves() -> None:
        raise SystemExit

    pool.submit(leaves)
    pool.submit(jobs.job())
    jobs.await_(jobs.done, 1)
    assert ended(pool)
    assert "failed" in caplog.text

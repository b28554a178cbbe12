"""The iterator of jobs, for asyncio: a consumer in front, two background tasks behind."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Self

from .affinity import no_copy
from .aio import AsyncLine, AsyncPollLine, run
from .consumer import Consumer
from .errors import ForkedClient
from .flow import Flow
from .job import Job
from .verbs import Counts

_SLACK: Final = 0.5
"""Seconds beyond the grace for tasks to notice the end."""


class AsyncCrew:
    """The background tasks of one lease iterator, which know nothing of the iterator itself."""

    def __init__(
        self, consumer: Consumer, line: AsyncLine, poll: AsyncPollLine, crews: set[AsyncCrew]
    ) -> None:
        self.consumer = consumer
        self.line = line
        self._poll = poll
        self._crews = crews
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = consumer.jobs.affinity.loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Start the tasks at the first call."""
        self.consumer.jobs.affinity.check_loop()
        if not self._tasks and not self.consumer.jobs.stop.begun:
            flows = self.consumer.flows().items()
            self._tasks = [asyncio.create_task(self._run(flow), name=name) for name, flow in flows]
            self._crews.add(self)
            self._tasks[-1].add_done_callback(lambda _: self._crews.discard(self))  # keeping ends last

    async def _run(self, flow: Flow[None]) -> None:
        with suppress(ForkedClient):  # a callback forked, and the child came back from it
            await run(flow, self.line, poll=self._poll)

    def stop(self, *, closing: bool = False) -> None:
        """Begin no further job; or begin to close: the tasks do the rest while their loop runs.

        Any thread or finalizer may call it. In a child process it does nothing.
        """
        if not self.consumer.jobs.affinity.forked:
            self.consumer.stop(closing=closing)
            with suppress(RuntimeError):  # the loop is closed, and the tasks with it
                self._loop.call_soon_threadsafe(self._poll.abort)

    async def close(self) -> None:
        """Stop, settle and give back, within ``grace`` seconds. In a child process it does nothing."""
        self.stop(closing=True)
        if self.consumer.jobs.affinity.forked or asyncio.get_running_loop() is not self._loop:
            return  # its own loop does it, if it still runs
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=self.consumer.grace + _SLACK)
        for task in late:
            task.cancel()
        if late:
            self.consumer.tell_late()
            await asyncio.wait(late)


class AsyncLeases(AsyncIterator[Job]):
    """Jobs, one after the other: ``async for job in queue.lease(): with job: await work(job.value)``.

    It works as ``Leases`` does, with two tasks in the background. ``async with`` closes the iterator; without
    that, it closes when nobody refers to it any more, while its loop runs; ``AsyncClient.close`` waits for
    that.
    """

    def __init__(self, crew: AsyncCrew) -> None:
        self._crew = crew
        self._consumer = crew.consumer
        self._jobs = crew.consumer.jobs
        weakref.finalize(self, crew.stop, closing=True)

    @property
    def counts(self) -> Counts:
        """How many of its jobs have ended in each way so far, as the server confirmed."""
        return self._jobs.counts

    def __aiter__(self) -> Self:
        return self

    __reduce__ = no_copy

    async def __anext__(self) -> Job:
        self._crew.start()
        job = self._jobs.enter() or await run(self._consumer.next_job(), self._crew.line)
        if job is None:
            # After a stop others may be at work on theirs, or the server away: what is done waits for it.
            if not self._jobs.begun and not self._jobs.outbox.unsaid:
                await self.close()
            raise StopAsyncIteration
        return job

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """Wait until the server has confirmed every job that ended so far; False if it has not in time."""
        self._jobs.affinity.check_loop()
        return await run(self._consumer.flush(timeout), self._crew.line)

    def stop(self) -> None:
        """Begin no further job; jobs in hand can be finished until the iterator is closed."""
        self._crew.stop()

    async def close(self) -> None:
        """Settle the jobs that are done and give back the rest, within ``grace`` seconds.

        A second call does nothing.
        """
        await self._crew.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            self._jobs.broken = True
        await self.close()

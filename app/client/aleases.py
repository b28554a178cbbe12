"""The iterator of jobs, for asyncio: a consumer in front, two background tasks behind."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from .aio import AsyncLine, AsyncPollLine, run
from .consume import Consumer
from .errors import ClientError, ForkedClient, OtherLoop
from .flow import Flow
from .held import Counts, no_copy
from .job import Job, log

_SLACK: Final = 0.5
"""Seconds beyond the grace for tasks to notice the end."""


class AsyncCrew:
    """The background tasks of one lease iterator, which know nothing of the iterator itself."""

    def __init__(
        self,
        consumer: Consumer,
        line: AsyncLine,
        poll: AsyncPollLine,
        crews: set[AsyncCrew],
    ) -> None:
        self.consumer = consumer
        self._crews = crews
        self.line = line
        self.tasks: list[asyncio.Task[None]] = []
        self._poll = poll
        self._loop = asyncio.get_running_loop()
        consumer.hand.check_loop = self.check_jobs

    def check_jobs(self) -> None:
        """Refuse to settle a job where its loop runs no more, or in another loop; its own threads may.

        Raises:
            OtherLoop: What is said there would never be sent.
        """
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = not self._loop.is_closed()  # a thread that works for the loop
        if not here:
            raise OtherLoop(
                f"this job of {self.consumer.hand.queue} belongs to another event loop, whose tasks settle "
                "it (lease it again in this one: it is handed out when its lease ends)"
            )

    def check(self) -> None:
        """Refuse to work in another process, or in another event loop.

        Raises:
            ForkedClient, OtherLoop: The iterator belongs to the parent process; to another loop.
        """
        hand = self.consumer.hand
        hand.refuse_child()
        if asyncio.get_running_loop() is not self._loop:
            raise OtherLoop(
                f"this lease iterator of {hand.queue} belongs to another event loop, whose tasks keep its "
                "leases (call queue.lease() in this one)"
            )

    def start(self) -> None:
        """Start the tasks at the first call."""
        self.check()
        if not self.tasks and not self.consumer.hand.stopping:
            flows = {"fetch": self.consumer.fetch(), "keep": self.consumer.keep()}
            self.tasks = [asyncio.create_task(self._run(flow), name=name) for name, flow in flows.items()]
            self._crews.add(self)
            self.tasks[-1].add_done_callback(lambda _: self._crews.discard(self))  # keeping ends last

    async def _run(self, flow: Flow[None]) -> None:
        """Run a task; tell the consumer of any exception that ends it."""
        try:
            await run(flow, self.line, poll=self._poll)
        except ForkedClient:  # a callback forked, and the child came back from it
            return
        except Exception as error:
            log.exception("the client broke")
            broken = error if isinstance(error, ClientError) else ClientError(f"the client broke: {error!r}")
            self.consumer.hand.fail(broken, at_once=True)

    def stop(self) -> None:
        """Begin no further job."""
        if self.consumer.hand.forked:
            return
        self.consumer.hand.stop()
        self._poll.abort()

    def end(self) -> None:
        """Begin to close, from any thread or finalizer: the tasks do the rest while their loop runs."""
        hand = self.consumer.hand
        if hand.forked:
            return
        hand.stop(hand.clock() + self.consumer.grace)
        with suppress(RuntimeError):  # the loop is closed, and the tasks with it
            self._loop.call_soon_threadsafe(self._poll.abort)

    async def close(self) -> None:
        """Stop, settle and give back, within ``grace`` seconds. In a child process it does nothing."""
        self.end()
        if self.consumer.hand.forked or asyncio.get_running_loop() is not self._loop:
            return  # its own loop does it, if it still runs
        self._poll.abort()
        if not self.tasks:
            return
        _, late = await asyncio.wait(self.tasks, timeout=self.consumer.grace + _SLACK)
        for task in late:
            task.cancel()
        if late:
            queue = self.consumer.hand.queue
            log.warning(
                "%s: the server did not answer in time while closing; the leases that are left run out", queue
            )
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
        self._hand = crew.consumer.hand
        weakref.finalize(self, crew.end)

    @property
    def counts(self) -> Counts:
        """How many of its jobs have ended in each way so far, as the server confirmed."""
        return self._hand.counts

    def __aiter__(self) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        no_copy("a lease iterator")

    async def __anext__(self) -> Job:
        self._crew.start()
        job = self._hand.enter() or await self._do(self._consumer.next_job())
        if job is None:
            if not self._hand.begun:  # other tasks may still be at work on theirs
                await self.close()
            raise StopAsyncIteration
        return job

    async def flush(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """Wait until the server has confirmed every job that ended so far; False if it has not in time."""
        self._crew.check()
        flushed: bool = await self._do(self._consumer.flush(timeout))
        return flushed

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

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._hand.broken = True
        await self.close()

    async def _do(self, flow: Flow[Any]) -> Any:
        return await run(flow, self._crew.line)

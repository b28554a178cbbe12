"""``map`` for asyncio: several tasks share one lease iterator; pairs come back. See ``mapping.py``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from .aio import AsyncLine, run
from .aleases import AsyncLeases
from .map_results import Results, claimed
from .records import Result
from .setup import Setup
from .tracing import UNTRACED

Function = Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]


async def amapped(
    lease: Callable[[str], AsyncLeases],
    function: Function,
    queue: str,
    workers: int,
    setup: Setup,
    *,
    line: AsyncLine,
) -> AsyncIterator[tuple[Any, Any]]:
    """See ``Client.map``; ``lease`` leases from the queue, and from that of the results."""
    leases = lease(queue)  # wrong options are refused before anything is made
    results = await run(claimed(setup, queue), line)
    ending = asyncio.create_task(_work(leases, function, results, workers, line))
    try:
        async with lease(results.name) as pairs:
            async for job in pairs:
                job.work = UNTRACED
                with job:
                    yield tuple(job.value)
    finally:
        leases.stop()
        error = await ending
        await run(results.leave(), line)
    if error is not None:
        raise error


async def _work(
    leases: AsyncLeases, function: Function, results: Results, workers: int, line: AsyncLine
) -> BaseException | None:
    """Run the workers, then close the queue of the results; what ended them early."""
    tasks = [_perform(leases, function, results.name) for _ in range(workers)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    ended += await asyncio.gather(leases.close(), return_exceptions=True)
    await run(results.close(), line)  # whatever came of these: the reader waits for it
    return next((error for error in ended if error is not None), None)


async def _perform(leases: AsyncLeases, function: Function, results: str) -> None:
    try:
        async for job in leases:
            with job:
                value = function(job.value)
                value = await value if inspect.isawaitable(value) else value
                job.ack(Result(results, [job.value, value]))
    except BaseException:
        leases.stop()  # the others finish what they have in hand
        raise

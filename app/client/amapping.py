"""``map`` for asyncio: several tasks share one lease iterator; pairs come back. See ``mapping.py``."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from . import calls
from .aleases import AsyncLeases
from .errors import ClientError
from .job import log
from .map_results import names_for, none_free, unread
from .mapping import Pair
from .records import Result
from .setup import LeaseOptions

if TYPE_CHECKING:
    from .aclient import AsyncClient

Function = Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]


async def amapped(
    client: AsyncClient, function: Function, queue: str, *, workers: int, options: LeaseOptions
) -> AsyncIterator[Pair]:
    """See ``Client.map``."""
    leases = client.queue(queue).lease(**options)  # wrong options are refused before anything is made
    results = await _claim(client, queue)
    ending = asyncio.create_task(_work(client, leases, function, results, workers))
    try:
        async with client.queue(results).lease() as pairs:
            async for job in pairs:
                with job:
                    yield tuple(job.value)
    finally:
        leases.stop()
        error = await ending
        await _leave(client, results)
    if error is not None:
        raise error


async def _claim(client: AsyncClient, queue: str) -> str:
    """Make the queue of the results, under a name that no other map has now."""
    for name in names_for(queue):
        if await client.ask(calls.claim(name)):
            return name
    raise none_free(queue)


async def _work(
    client: AsyncClient, leases: AsyncLeases, function: Function, results: str, workers: int
) -> BaseException | None:
    """Run the workers, then close the queue of the results; what ended them early."""
    tasks = [_perform(leases, function, results) for _ in range(workers)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    ended += await asyncio.gather(
        leases.close(), return_exceptions=True
    )  # the reader waits for the next step
    try:
        await client.queue(results).close()
    except ClientError as error:
        log.warning("the results' queue %s can't be closed: %s", results, error)
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


async def _leave(client: AsyncClient, results: str) -> None:
    """Delete the queue of the results, unless something is left in it that nobody has read."""
    try:
        if not unread(await client.queue(results).info()):
            await client.queue(results).delete()
    except ClientError as error:
        log.warning("the results' queue %s can't be deleted: %s", results, error)

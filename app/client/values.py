"""The iterators of values: each ``next`` takes one, for good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from . import aio, threads
from .operations import QueueOperations


class Values(Iterator[Any]):
    """Takes a value with each ``next``, until the queue is exhausted; waits while it is empty.

    Between two calls it holds nothing, so threads and forked children may share it, and after an error it
    goes on where the queue stands. (A generator would refuse the one and take the other for the end.)
    """

    def __init__(self, operations: QueueOperations, line: threads.Line, client: object) -> None:
        self._operations = operations
        self._line = line
        self._client = client  # it must not be closed as long as somebody iterates
        self._exhausted = False

    def __next__(self) -> Any:
        if not self._exhausted:
            item = threads.run(self._operations.take_one(), self._line)
            if item is not None:
                return item.value
            self._exhausted = True
        raise StopIteration


class AsyncValues(AsyncIterator[Any]):
    """As ``Values``, for the tasks of one event loop or several."""

    def __init__(self, operations: QueueOperations, line: aio.AsyncLine) -> None:
        self._operations = operations
        self._line = line
        self._exhausted = False

    async def __anext__(self) -> Any:
        if not self._exhausted:
            item = await aio.run(self._operations.take_one(), self._line)
            if item is not None:
                return item.value
            self._exhausted = True
        raise StopAsyncIteration

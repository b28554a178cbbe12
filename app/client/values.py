"""The iterators of ``for value in queue``: they take a queue's values one after the other, for good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from .take import take_one

if TYPE_CHECKING:
    from .aclient import AsyncClient
    from .client import Client


class Values(Iterator[Any]):
    """Takes a value with each ``next``, until the queue is exhausted; waits while it is empty.

    Between two calls it holds nothing, so threads and forked children may share it, and after an error it
    goes on where the queue stands. (A generator would refuse the one and take the other for the end.)
    """

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._exhausted = False

    def __next__(self) -> Any:
        if not self._exhausted:
            item = self._client.do(take_one(self._queue, self._client.setup.terms))
            if item is not None:
                return item.value
            self._exhausted = True
        raise StopIteration


class AsyncValues(AsyncIterator[Any]):
    """The same for the tasks of one event loop or several."""

    def __init__(self, client: AsyncClient, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._exhausted = False

    async def __anext__(self) -> Any:
        if not self._exhausted:
            item = await self._client.do(take_one(self._queue, self._client.setup.terms))
            if item is not None:
                return item.value
            self._exhausted = True
        raise StopAsyncIteration

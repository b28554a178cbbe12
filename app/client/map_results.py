"""The queue that a map keeps its results in, from its making to its end. For both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import uuid4

from . import calls, managing
from .errors import ClientError
from .flow import Flow, log
from .operations import QueueOperations
from .persist import persist
from .setup import Setup

NAME_BYTES: Final = 64
NUMBERED: Final = 100


def names_for(queue: str) -> Iterator[str]:
    """Names for the queue of a map's results, until one is not in use.

    A deleted queue's name stays in the ledger for ever. So the names are few and used again; only where very
    many are in use does a map get one that nobody else ever has.
    """
    for mark in (*range(1, NUMBERED + 1), uuid4().hex[:12]):
        ending = f".map-{mark}"
        yield queue[: NAME_BYTES - len(ending)] + ending


def claimed(setup: Setup, queue: str) -> Flow[Results]:
    """Make the queue of the results, under a name that no other map has now."""
    for name in names_for(queue):
        if (yield from persist(calls.claim(name), setup.terms)):
            return Results(setup, name)
    raise ClientError(f"no name for the queue of the results is free ({queue}.map-1 and so on): delete some")


class Results:
    """The queue of one map's results."""

    def __init__(self, setup: Setup, name: str) -> None:
        self.name = name
        self._queue = QueueOperations(setup, name)

    def close(self) -> Flow[None]:
        """Nobody works any more: whoever reads the results comes to an end."""
        try:
            yield from managing.close(self._queue)
        except ClientError as error:
            log.warning("the results' queue %s can't be closed: %s", self.name, error)

    def leave(self) -> Flow[None]:
        """Delete the queue, unless something is left in it that nobody has read; the log is told."""
        try:
            info = yield from managing.info(self._queue)
            if info.waiting + info.leased + info.dead:
                log.warning("%d results were not read; they are in the queue %s", info.waiting, self.name)
            else:
                yield from managing.delete(self._queue)
        except ClientError as error:
            log.warning("the results' queue %s can't be deleted: %s", self.name, error)

"""The queue that a map keeps its results in: its name, and what is left in it. For both drivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import uuid4

from .answers import QueueInfo
from .errors import ClientError
from .job import log

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


def none_free(queue: str) -> ClientError:
    """The error where each name that was tried is another's."""
    return ClientError(f"no name for the queue of the results is free ({queue}.map-1 and so on): delete some")


def unread(info: QueueInfo) -> bool:
    """Whether a map left something in the queue of its results; the log is told."""
    if not info.waiting + info.leased + info.dead:
        return False
    log.warning("%d results were not read; they are in the queue %s", info.waiting, info.queue)
    return True

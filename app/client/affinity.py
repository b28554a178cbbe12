"""The process, and the event loop, that alone can settle what was leased there."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from ..iterators import fork
from .errors import ForkedClient, OtherLoop


def no_copy(leased: object) -> NoReturn:
    """Refuse to pickle or copy a leased item, or the iterator of such."""
    kind = type(leased).__name__
    raise TypeError(
        f"{kind} can't be pickled or copied: what is leased belongs to the process that leased it (send the "
        "value, or the queue, and lease there)"
    )


class Affinity:
    """Where the jobs of a lease iterator belong. ``loop``: that of its tasks; None for threads."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._process = fork.process()
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def forked(self) -> bool:
        """Whether this is a child of the process that leases."""
        return fork.process() is not self._process

    def refuse_child(self) -> None:
        """Raise in a forked child, before any lock: a thread of the parent may have held it at the fork.

        Raises:
            ForkedClient: This is a child. What is leased is the parent's: it may settle it at this moment.
        """
        if self.forked:
            raise ForkedClient(
                f"this lease of {self._queue} belongs to the parent process, which alone can settle or "
                "extend it (call queue.lease() in this process)"
            )

    def check_job(self) -> None:
        """Refuse to settle a job where its loop runs no more, or in another loop; its own threads may.

        Raises:
            ForkedClient, OtherLoop: What is settled here would never be sent.
        """
        self.refuse_child()
        if self.loop is None:
            return
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = not self.loop.is_closed()  # a thread that works for the loop
        if not here:
            raise OtherLoop(
                f"this job of {self._queue} belongs to another event loop, whose tasks settle it (lease it "
                "again in this one: it is handed out when its lease ends)"
            )

    def check_loop(self) -> None:
        """Refuse to wait for a job in another process, or in another event loop.

        Raises:
            ForkedClient, OtherLoop: The iterator belongs to the parent process; to another loop.
        """
        self.refuse_child()
        if asyncio.get_running_loop() is not self.loop:
            raise OtherLoop(
                f"this lease iterator of {self._queue} belongs to another event loop, whose tasks keep its "
                "leases (call queue.lease() in this one)"
            )

"""A door at which a test stops threads."""

from __future__ import annotations

import asyncio
import threading

PATIENCE = 60.0
"""Seconds; only a test that fails waits for so long."""


class Door:
    """Threads stop here, one by one, until the test lets them go. Open at first."""

    def __init__(self) -> None:
        self._shut = False
        self._came = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        """For good: who stands here goes, who comes passes."""
        self._shut = False
        self._go.release(1_000)

    def pass_(self) -> None:
        if self._shut:
            self._came.release()
            assert self._go.acquire(timeout=PATIENCE)

    def await_one(self) -> None:
        """Until a thread stands here."""
        assert self._came.acquire(timeout=PATIENCE)

    async def somebody(self) -> None:
        """Until a thread stands here, while the loop goes on."""
        await asyncio.to_thread(self.await_one)

    def let_one(self) -> None:
        self._go.release()

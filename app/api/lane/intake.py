"""Bytes of a connection that arrived before their turn: how many are kept, and whether more are read."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from .budget import Budget, Keeper

READ_AHEAD: Final = 65_536
"""Bytes of further requests that are kept while one is being answered; then nothing more is read."""


class Intake:
    """Bytes in the order in which they came, ``size`` in all; they are joined only when they are taken.

    ``more``: the bytes that are kept elsewhere, of a head or of a body that is not whole. All count in the
    ``budget``, for the ``keeper``. ``since`` (of the loop's time): something came, or nothing is waited for.
    ``ended``: nothing more comes.
    """

    def __init__(
        self, flow: FlowControl, loop: asyncio.AbstractEventLoop, budget: Budget, keeper: Keeper
    ) -> None:
        self.size = 0
        self.more = 0
        self.since = loop.time()
        self.ended = False
        self.counted = False
        self._flow = flow
        self._loop = loop
        self.budget = budget
        self._keeper = keeper
        self._data = b""
        self._at = 0
        self._came: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._came.append(data)
        self.size += len(data)

    def put(self, data: bytes, at: int) -> None:
        """Put back the bytes of ``data`` from ``at`` on, which were taken and not used."""
        if at < len(data):
            self._data, self._at = data, at
            self.size += len(data) - at

    def take(self) -> tuple[bytes, int]:
        """Take all bytes; return them, and the place in them where the unused ones begin."""
        data, at = self._data, self._at
        if self._came:
            data, at = b"".join([data[at:], *self._came]), 0
        self.clear()
        return data, at

    def clear(self) -> None:
        """Drop all bytes."""
        self._data, self._at, self.size = b"", 0, 0
        if self._came:
            self._came = []

    def bound(self, *, full: bool = False) -> None:
        """Read on or not: while there is room. ``full``: there is none where the bytes go."""
        if full or self.size > READ_AHEAD:
            self._flow.pause_reading()
        elif self._flow.read_paused and not self.ended:
            self.since = self._loop.time()
            self._flow.resume_reading()
        self.count()

    def count(self) -> None:
        """Tell the budget how many bytes are kept."""
        kept = self.size + self.more
        if kept or self.counted:
            self.counted = kept > 0
            self.budget.set(self._keeper, kept)

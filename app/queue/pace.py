"""The pace of looks at the inbox: how long one waits after the one before."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..ledger.inbox import Inbox

EVERY: Final = 0.025
"""Seconds from one look to the next, but where that one has not found all there is. So what comes in quickly
is taken by many rows at a time: each look and its commit cost the database as much as some pushes."""
QUIET_AFTER: Final = 60.0
"""Seconds without a row after which looks are further apart."""
QUIET: Final = 0.25
HEARD: Final = 5.0
"""Seconds between two looks where each push is heard of; a look on which much depends waits for none."""


class Pace:
    """Waits between looks. Lives on the event loop; whoever hears of a push calls ``wake`` there.

    ``notify``: the database tells of pushes (see the setting ``inbox_notify``).
    """

    def __init__(self, inbox: Inbox, *, notify: bool) -> None:
        self._inbox = inbox
        self._notify = notify
        self._woken = asyncio.Event()
        self._looked = self._came = 0.0

    def begin(self) -> None:
        """Begin to wait, and to listen."""
        loop = self._came_on = asyncio.get_running_loop()
        self._came = loop.time()
        if self._notify:
            self._inbox.listen(self._heard)

    def _heard(self) -> None:
        """A push was heard of; on any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._came_on.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """The next look is due."""
        self._woken.set()

    def looks(self) -> None:
        """A look begins."""
        self._looked = self._came_on.time()

    def came(self) -> None:
        """A look has found something."""
        self._came = self._came_on.time()

    async def pause(self, *, found: bool, behind: bool) -> None:
        """Wait until the next look is due.

        ``found``: the last one has found something, so more may come, and goes along; that is hurried by
        nobody. ``behind``: something may be found that nobody tells of.
        """
        now = self._came_on.time()
        if found:
            await asyncio.sleep(self._looked + EVERY - now)
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._looked + self._seconds(now, behind) - now)
        self._woken.clear()

    def _seconds(self, now: float, behind: bool) -> float:
        if self._notify and self._inbox.hears and not behind:
            return HEARD
        return EVERY if now - self._came < QUIET_AFTER else QUIET

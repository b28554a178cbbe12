"""The pace of looks at the inbox: how long one waits after the one before."""

from __future__ import annotations

from threading import Event
from time import monotonic
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
    """Waits between looks, on the thread that looks; whoever hears of a push calls ``wake``, on any thread.

    ``notify``: the database tells of pushes (see the setting ``inbox_notify``).
    """

    def __init__(self, inbox: Inbox, *, notify: bool) -> None:
        self._inbox = inbox
        self._notify = notify
        self._woken = Event()
        self._ended = Event()
        self._at_once, self._found, self._behind = True, False, False
        self._looked = self._came = 0.0

    def begin(self) -> None:
        """Begin with a look at once, and listen."""
        self._ended.clear()
        self._came = monotonic()
        if self._notify:
            self._inbox.listen(self.wake)

    def wake(self) -> None:
        """The next look is due."""
        self._woken.set()

    def end(self) -> None:
        """Let the thread wait no more."""
        self._ended.set()
        self._woken.set()

    def looks(self) -> None:
        """A look begins; where it fails the next one follows at once."""
        self._looked, self._at_once = monotonic(), True

    def looked(self, *, found: bool, more: bool, behind: bool) -> None:
        """Tell what the look has come to: this says when the next one is due.

        ``found``: it has found something, so more may come, and goes along; that is hurried by nobody. With
        ``more`` of it left the next look follows at once. ``behind``: something may be found that nobody
        tells of.
        """
        if found:
            self._came = monotonic()
        self._at_once, self._found, self._behind = found and more, found, behind

    def pause(self) -> None:
        """Wait until the next look is due."""
        if not self._at_once:
            until = self._looked + (EVERY if self._found else self._seconds())
            (self._ended if self._found else self._woken).wait(max(until - monotonic(), 0.0))
            self._woken.clear()

    def _seconds(self) -> float:
        if self._notify and self._inbox.hears and not self._behind:
            return HEARD
        return EVERY if monotonic() - self._came < QUIET_AFTER else QUIET

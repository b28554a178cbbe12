"""The signals that end ``dibs work``, and how long a command has after one."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
TWICE: Final = 2
"""So many signals give back the jobs that run."""
_AT_ONCE: Final = (signal.SIGTERM, signal.SIGHUP)
_SOON: Final = 0.01


class Stops:
    """Signals that end the work, counted.

    The first Ctrl-C finishes the jobs that run, the second gives them back. SIGTERM and SIGHUP give back at
    once: a supervisor that sends them kills soon afterwards. A signal that was ignored when dibs was started
    (``nohup``, ``&`` in a script) stays ignored.
    """

    def __init__(self) -> None:
        self.asked = 0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Count signals, in place of dying by them."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_AT_ONCE)}
        heard = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
        for number in heard:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in heard.items():
                signal.signal(number, handler)

    @property
    def at_once(self) -> bool:
        """Whether the jobs that run are to be given back."""
        return self.asked >= TWICE

    def follows(self, seconds: float, *, at_once: bool) -> bool:
        """Whether a signal has come, or comes in so many seconds. ``at_once``: one that gives back.

        A supervisor ends all processes of a unit, in any order: a command may die of that before it is known
        here. It is looked for rather than waited for, as a handler must not touch what others lock.
        """
        until = time.monotonic() + seconds
        while not (self.at_once if at_once else self.asked):
            if time.monotonic() >= until:
                return False
            time.sleep(_SOON)
        return True

    def _hear(self, number: int, _: object) -> None:
        """Only counts: it runs between any two steps of the main thread, which may hold any lock."""
        self.asked += TWICE if number in _AT_ONCE else 1

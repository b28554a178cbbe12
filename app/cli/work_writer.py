"""The one thread of ``dibs work`` that writes to the terminal.

A reader may keep a write waiting for any time: a full pipe, a terminal that was stopped with Ctrl-S. The
threads that settle jobs, keep leases alive or act on signals must not wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import BinaryIO, Final

from .work_display import Display

_MANY: Final = 1000
"""Remarks that wait to be written; beyond that they are dropped, as nobody reads."""
_LOOK: Final = 0.1
"""Seconds between two looks at whether to wait any longer."""

Task = Callable[[], None]


class Writer:
    """Shows what other threads hand to it, in their order; its own thread alone uses the display.

    Attributes:
        display: The display.
        unwritten: How often something could not be written.
        why: The reason of the first time.
    """

    def __init__(self, display: Display) -> None:
        self.display = display
        self.unwritten = 0
        self.why = ""
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._ticks = False
        self._hurried = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def output(self, out: BinaryIO | None, err: BinaryIO, remark: str = "") -> None:
        """Show what a command wrote, and a remark; return when that is done, or was given up.

        The caller waits, so that no more output piles up than there are threads.
        """
        shown = threading.Event()

        def show() -> None:
            try:
                self.display.output(out, err, remark)
            except ValueError as error:  # closed by a thread that was told to hurry
                raise OSError(str(error)) from error
            finally:
                shown.set()

        self._tasks.put(show)
        while not shown.wait(_LOOK) and not self._hurried:
            pass

    def note(self, text: str) -> None:
        """Show a remark."""
        self._put(partial(self.display.note, text))

    def held_up(self, pause: float, why: str) -> None:
        """Show why the work does not go on for ``pause`` seconds."""
        self._put(partial(self.display.held_up, pause, why))

    def phase(self, word: str, text: str) -> None:
        """Show that the work ends."""
        self._put(partial(self.display.phase, word, text))

    def summary(self) -> None:
        """Show the summary."""
        self._tasks.put(self.display.summary)

    def tick(self) -> None:
        """Draw the live line anew, unless it still waits to be drawn."""
        if not self._ticks:
            self._ticks = True
            self._tasks.put(self._tick)

    def hurry(self) -> None:
        """Let no thread wait for a reader any longer."""
        self._hurried = True

    def finish(self, enough: Callable[[], bool]) -> bool:
        """Wait until all is written or ``enough`` is true; return whether all is written."""
        self._tasks.put(self._tell_unwritten)
        self._tasks.put(None)
        while self._thread.is_alive() and not enough():
            self._thread.join(_LOOK)
        return not self._thread.is_alive()

    def _put(self, task: Task) -> None:
        if self._tasks.qsize() < _MANY:
            self._tasks.put(task)

    def _tick(self) -> None:
        self._ticks = False
        self.display.tick()

    def _tell_unwritten(self) -> None:
        """Tell on stderr that some output could not be written."""
        if self.unwritten:
            self.display.note(f"not all of the output could be written: {self.why}; the jobs are done")

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except OSError as error:
                self.unwritten += 1
                self.why = self.why or error.strerror or str(error)

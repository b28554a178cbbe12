"""One thread speaks to the terminal for all others.

Writing may take as long as whoever reads likes: a full pipe, a terminal that was stopped with Ctrl-S. Whoever
settles jobs, keeps leases alive or acts on signals must not wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from .work_board import Board

_MANY: Final = 1000
"""Remarks that wait to be written; beyond that they are dropped, as nobody reads."""
_LOOK: Final = 0.1
"""Seconds between two looks at whether it is to be waited for any longer."""

Task = Callable[[], None]


class Scribe:
    """Lets its own thread, the only one that uses the board, say what others have to say, in their order.

    Attributes:
        board: The board.
        unwritten: How often something could not be written.
        why: The reason of the first time.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.unwritten = 0
        self.why = ""
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._ticks = False
        self._hurried = False
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)
        self._thread.start()

    def output(self, out: BinaryIO | None, err: BinaryIO, remark: str = "") -> None:
        """Pass on what a command wrote, and a remark; returns when that is done, or was given up.

        It is waited for, so that no more output piles up than there are hands.
        """
        shown = threading.Event()

        def show() -> None:
            try:
                self.board.output(out, err, remark)
            except ValueError as error:  # closed by a hand that was told to hurry
                raise OSError(str(error)) from error
            finally:
                shown.set()

        self._tasks.put(show)
        while not shown.wait(_LOOK) and not self._hurried:
            pass

    def note(self, text: str) -> None:
        """Tell something that is no error of ours."""
        self._put(partial(self.board.note, text))

    def held_up(self, pause: float, why: str) -> None:
        """Tell why it does not go on just now, and for ``pause`` seconds."""
        self._put(partial(self.board.held_up, pause, why))

    def phase(self, word: str, text: str) -> None:
        """Tell that it goes to its end."""
        self._put(partial(self.board.phase, word, text))

    def summary(self) -> None:
        """The last word."""
        self._tasks.put(self.board.summary)

    def tick(self) -> None:
        """Draw the live line anew, unless it still waits to be drawn."""
        if not self._ticks:
            self._ticks = True
            self._tasks.put(self._tick)

    def hurry(self) -> None:
        """Let nobody wait for a reader any longer."""
        self._hurried = True

    def finish(self, enough: Callable[[], bool]) -> bool:
        """Wait until all is written, or ``enough`` says that it was waited for long enough; whether it is."""
        self._tasks.put(self._confess)
        self._tasks.put(None)
        while self._thread.is_alive() and not enough():
            self._thread.join(_LOOK)
        return not self._thread.is_alive()

    def _put(self, task: Task) -> None:
        if self._tasks.qsize() < _MANY:
            self._tasks.put(task)

    def _tick(self) -> None:
        self._ticks = False
        self.board.tick()

    def _confess(self) -> None:
        """Tell what could not be told, on the stream that may still take it."""
        if self.unwritten:
            self.board.note(f"not all of the output could be written: {self.why}; the jobs are done")

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except OSError as error:
                self.unwritten += 1
                self.why = self.why or error.strerror or str(error)

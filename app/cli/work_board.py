"""What `dibs work` shows: one live line on a terminal, and above it what the commands write."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from ..inert import inert
from .console import console as new_console
from .exits import say
from .tables import span

if TYPE_CHECKING:
    from .work_tally import Tally

_ERASE: Final = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND: Final = 10
_SLACK: Final = 5.0
"""Seconds after a pause until it is known that it helped: a request that is tried again may take so long."""
_NO_ANSWER: Final = re.compile(
    r"(?:\w+\.)*[A-Z]\w*(?:Error|Timeout|Exception)(?:: (?:\[Errno -?\d+\] )?(.*))?"
)
"""How the client tells of a request that got no answer, by the name of an exception."""


class Board:
    """The terminal, shared by all threads; everything else goes above the live line.

    The line, notes and the summary are on stderr: stdout is the commands' alone. What a command wrote is
    shown in one piece when it has ended, so that commands don't talk into each other. ``idle`` stands at the
    end of the line: what is waited for. ``url`` is where the server should be.
    """

    def __init__(self, queue: str, tally: Tally, *, url: str = "", console: Console | None = None) -> None:
        self._queue = queue
        self._url = url
        self._tally = tally
        self._console = console or new_console(stderr=True)
        self._live = self._console.is_terminal
        self._lock = threading.RLock()
        self._phase = ""
        self._held_up: dict[str, float] = {}
        self.idle = ""
        self._shown = False

    def tick(self) -> None:
        """Draw the live line anew."""
        if self._live:
            with self._lock:
                self._hide()
                self._console.print(self._line(), end="", no_wrap=True, overflow="ellipsis", crop=True)
                self._shown = True

    def output(self, out: BinaryIO | None, err: BinaryIO) -> None:
        """Pass on what a command wrote."""
        with self._above():
            if out is not None:
                self._copy(out, sys.stdout.buffer)
            self._copy(err, sys.stderr.buffer)

    def failed(self, seq: int, attempt: int, why: str) -> None:
        """Tell of a command that failed."""
        self.note(f"{self._queue} {seq}, attempt {attempt}: {why.partition(chr(10))[0]}")

    def note(self, text: str) -> None:
        """Tell something that is no error of ours."""
        with self._above():
            say(inert(text))

    def held_up(self, pause: float, why: str) -> None:
        """Tell why it does not go on just now, and for ``pause`` seconds: once each time that it begins."""
        lost = _NO_ANSWER.fullmatch(why)
        about = "the server" if lost else why
        now = self._tally.seconds
        with self._lock:
            known = now < self._held_up.get(about, 0.0)
            self._held_up[about] = now + pause + _SLACK
        if not known:
            self.note(
                f"waiting for the server at {self._url} ({_reason(lost)})" if lost else f"waiting: {why}"
            )

    def phase(self, word: str, text: str) -> None:
        """Tell that it goes to its end; ``word`` stands in the line from then on."""
        self._phase = word
        self.note(text)

    def summary(self) -> None:
        """The last word; the live line is gone."""
        with self._above():
            self._say(f"{self._queue}: {told(self._tally)}")
            if self._tally.counts.dead:
                self._say(f"`dibs dead {self._queue}` shows what is dead, and why")
        self._live = False

    def _say(self, text: str) -> None:
        self._console.print(Text(inert(text)), markup=False, soft_wrap=True, highlight=False)

    @contextmanager
    def _above(self) -> Iterator[None]:
        with self._lock:
            self._hide()
            yield

    def _hide(self) -> None:
        if self._shown:
            self._console.control(_ERASE)
            self._shown = False

    def _copy(self, file: BinaryIO, to: BinaryIO) -> None:
        size = file.seek(0, 2)
        if not size:
            return
        file.seek(0)
        shutil.copyfileobj(file, to)
        file.seek(size - 1)
        if self._live and file.read() != b"\n":
            to.write(b"\n")  # or the live line would wipe it out
        to.flush()

    def _line(self) -> Text:
        tally = self._tally
        line = Text.assemble(
            (_FRAMES[int(tally.seconds * _FRAMES_A_SECOND) % len(_FRAMES)], "green"),
            (f" {inert(self._queue)}", "bold"),
            (f"  {tally.counts.acked:,} done", "green"),
        )
        if tally.failed:
            line.append(f"  {tally.failed:,} failed", "red")
        if tally.counts.lost:
            line.append(f"  {tally.counts.lost:,} lost", "yellow")
        line.append(f"  {tally.running:,} running")
        line.append(f"  {_per_second(tally.lately())}", "cyan")
        line.append(f"  {_clock(tally.seconds)}", "dim")
        if self._phase or self.idle:
            line.append(f"  {self._phase or self.idle}", "yellow")
        return line


def told(tally: Tally) -> str:
    """The summary: what there was of it, and nothing else."""
    counts = tally.counts
    parts = [f"{counts.acked:,} done"]
    if counts.dead:
        parts.append(f"{counts.dead:,} dead")
    if counts.lost:
        parts.append(f"{counts.lost:,} lost to other workers")
    if tally.returned:
        parts.append(f"{tally.returned:,} given back")
    rate = f" ({_per_second(tally.rate)})" if tally.rate else ""
    return f"{', '.join(parts)} in {span(tally.worked)}{rate}{_failed(tally.failed, tally.left)}"


def _failed(attempts: int, left: int) -> str:
    if not attempts:
        return ""
    again = f", {left:,} to be tried again" if left else ""
    return f"; {attempts:,} {'attempt' if attempts == 1 else 'attempts'} failed{again}"


def _reason(lost: re.Match[str]) -> str:
    return lost[1] or ("no answer in time" if "Timeout" in lost[0] else "the connection was lost")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _per_second(rate: float) -> str:
    return f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s"  # noqa: PLR2004

"""The display of `dibs work`: one live line on a terminal, and above it what the commands write."""

from __future__ import annotations

from typing import BinaryIO, Final

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from ..inert import inert
from .console import console as new_console
from .http import waiting
from .output import Raw
from .words import span
from .work_counts import JobCounts

_ERASE: Final = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PIECE: Final = 65_536
_PATIENT: Final = 1.0
"""Seconds without a job after which the display says that it waits."""
_FRAMES_A_SECOND: Final = 10
_SLACK: Final = 5.0
"""Seconds after a pause until it is known to have helped: a request that is repeated may take so long."""


class Display:
    """One live line on the terminal; all other output goes above it.

    The line, notes and the summary are on stderr: stdout is the commands' alone. What a command wrote is
    shown in one piece when it has ended, so that commands don't talk into each other. ``idle`` is what is
    waited for where nothing runs; it stands at the end of the line. ``url`` is where the server should be.

    Only one thread uses it, that of the ``Writer``, since a reader may keep a write waiting for any time. Its
    methods raise OSError where something can't be written.
    """

    def __init__(
        self, queue: str, job_counts: JobCounts, *, url: str = "", console: Console | None = None
    ) -> None:
        self._queue = queue
        self._url = url
        self._job_counts = job_counts
        self._out, self._err = Raw(1), Raw(2)
        self._console = console or new_console(file=self._err)
        self._live = self._console.is_terminal
        self._phase = ""
        self._held_up: dict[str, float] = {}
        self.idle = ""
        self._shown = False
        self._said_idle = False

    def tick(self) -> None:
        """Draw the live line anew; where there is no terminal, tell once that there is nothing to do."""
        waits = self._waits
        if self._live:
            self._hide()
            self._console.print(self._line(waits), end="", no_wrap=True, overflow="ellipsis", crop=True)
            self._shown = True
        elif waits and not self._said_idle:
            self._said_idle = True
            self.note(f"{self._queue}: {waits}")

    def output(self, out: BinaryIO | None, err: BinaryIO, remark: str = "") -> None:
        """Show what a command wrote, and ``remark`` below it: as much of the three as can be written."""
        failed: OSError | None = None
        self._hide()
        for file, to in ((out, self._out), (err, self._err)):
            try:
                if file is not None:
                    self._copy(file, to)
            except OSError as error:
                failed = failed or error
        if remark:
            self.note(remark)
        if failed is not None:
            raise failed

    def note(self, text: str) -> None:
        """Show a remark."""
        self._hide()
        self._err.write(f"dibs: {inert(text)}\n")

    def held_up(self, pause: float, why: str) -> None:
        """Tell why the work does not go on for ``pause`` seconds: once each time that a wait begins."""
        told = waiting(self._url, why)
        about = told.partition(" (")[0]
        now = self._job_counts.seconds
        known = now < self._held_up.get(about, 0.0)
        self._held_up[about] = now + pause + _SLACK
        if not known:
            self.note(told)

    def phase(self, word: str, text: str) -> None:
        """Tell that the work ends; ``word`` stands in the line from then on."""
        self._phase = word
        self.note(text)

    def summary(self) -> None:
        """Show the summary in place of the live line."""
        self._hide()
        self._live = False
        self._say(f"{self._queue}: {told(self._job_counts)}")
        if self._job_counts.counts.dead:
            self._say(f"`dibs dead {self._queue}` shows what is dead, and why")

    def _say(self, text: str) -> None:
        self._console.print(Text(inert(text)), markup=False, soft_wrap=True, highlight=False)

    def _hide(self) -> None:
        if self._shown:
            self._console.control(_ERASE)
            self._shown = False

    def _copy(self, file: BinaryIO, to: Raw) -> None:
        size = file.seek(0, 2)
        if not size:
            return
        file.seek(0)
        last = b""
        while data := file.read(_PIECE):
            to.write_bytes(data)
            last = data[-1:]
        if self._live and last != b"\n":
            to.write_bytes(b"\n")  # or the live line would wipe it out

    @property
    def _waits(self) -> str:
        """The words for a wait: empty while something runs, and while the server is away."""
        now = self._job_counts.seconds
        if self._job_counts.idle < _PATIENT or any(now < until for until in self._held_up.values()):
            return ""
        if self.idle:
            return f"waiting: {self.idle}"
        return "nothing to do now; waiting for jobs (--exit-when-empty would end here)"

    def _line(self, waits: str) -> Text:
        job_counts = self._job_counts
        line = Text.assemble(
            (_FRAMES[int(job_counts.seconds * _FRAMES_A_SECOND) % len(_FRAMES)], "green"),
            (f" {inert(self._queue)}", "bold"),
            (f"  {job_counts.counts.acked:,} done", "green"),
        )
        if job_counts.failed:
            line.append(f"  {job_counts.failed:,} failed", "red")
        if job_counts.counts.lost:
            line.append(f"  {job_counts.counts.lost:,} lost", "yellow")
        line.append(f"  {job_counts.running:,} running")
        line.append(f"  {_per_second(job_counts.lately())}", "cyan")
        line.append(f"  {_clock(job_counts.seconds)}", "dim")
        last = self._phase or ((self.idle or "waiting for jobs") if waits else "")
        if last:
            line.append(f"  {last}", "yellow")
        return line


def told(job_counts: JobCounts) -> str:
    """The summary: the counts that are not zero."""
    counts = job_counts.counts
    parts = [f"{counts.acked:,} done"]
    if counts.dead:
        parts.append(f"{counts.dead:,} dead")
    if counts.lost:
        parts.append(f"{counts.lost:,} lost with their leases")
    if job_counts.returned:
        parts.append(f"{job_counts.returned:,} given back")
    rate = f" ({_per_second(job_counts.rate)})" if job_counts.rate else ""
    return (
        f"{', '.join(parts)} in {span(job_counts.worked)}{rate}{_failed(job_counts.failed, job_counts.left)}"
    )


def _failed(attempts: int, left: int) -> str:
    if not attempts:
        return ""
    again = f", {left:,} to be tried again" if left else ""
    return f"; {attempts:,} {'attempt' if attempts == 1 else 'attempts'} failed{again}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _per_second(rate: float) -> str:
    return f"{rate:,.1f}/s" if rate < 100 else f"{rate:,.0f}/s"  # noqa: PLR2004

"""The main thread of ``dibs work``: the live line, what signals ask for, and how the work ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from ..client import QueueInfo
from ..client.errors import ClientError, Unreachable
from .exits import CANNOT_RUN, FAILED, INTERRUPTED, JOBS_FAILED, NO_COMMAND, OK, UNREACHABLE
from .http import in_words
from .work_counts import JobCounts
from .work_display import Display
from .work_job import Halted
from .work_process import CannotStart
from .work_signals import TWICE, Stops
from .work_threads import JobThreads
from .work_writer import Writer

TICK: Final = 0.1
"""Seconds between two drawings of the live line, and the longest that a signal waits to be acted on."""
LAST: Final = 5.0
"""Seconds for the last settlings to a server that is away, when it is not to be waited for."""
LINGER: Final = 1.0
"""Seconds for the last output to a reader that does not read, after a signal that asks to leave."""
LOOK: Final = 0.5
"""Seconds between two looks at whether the queue is empty."""
SELDOM: Final = 4.0
"""The same where that ends nothing, at most: they are twice as long apart each time."""


_OTHERS: Final = "jobs that the server does not know to be done go to other workers when their leases end"


def run(
    threads: JobThreads,
    job_counts: JobCounts,
    writer: Writer,
    stops: Stops,
    each: Callable[[], None] = lambda: None,
) -> None:
    """Work until all threads have ended. ``each`` is called every now and then."""
    threads.start()
    acted = 0
    while not threads.over(TICK):
        asked = min(stops.asked, TWICE)
        if asked > acted:
            acted = asked
            _stop(threads, job_counts, writer, at_once=asked == TWICE)
        writer.tick()
        each()


def _stop(threads: JobThreads, job_counts: JobCounts, writer: Writer, *, at_once: bool) -> None:
    """Finish the jobs that run, or give them back ``at_once``."""
    running = job_counts.running
    if running and at_once:
        writer.phase("giving back", f"giving back {running:,}")
    elif running:
        writer.phase("finishing", f"finishing {running:,}; Ctrl-C again gives them back")
    if at_once:
        writer.hurry()
        threads.give_back()
    else:
        threads.drain()


def settle(
    flush: Callable[[float], bool],
    writer: Writer,
    stops: Stops,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until the server knows how every job ended; return whether it does.

    The server may be away just now, so it is waited for, unless two signals have asked to stop.
    """
    until = clock() + patience
    while not flush(TICK):
        if stops.at_once:
            return flush(LAST)
        if clock() > until:
            return False
        writer.tick()
        time.sleep(TICK)  # a client that has given up answers at once
    return True


class Emptiness(threading.Thread):
    """Looks at a queue while nothing runs here: tells what is waited for, and whether it is empty.

    A queue is empty if producers push to it or its source has ended, and nothing waits, is delayed or is
    leased by anybody. So items that failed are waited for until they are tried again, and the items of a dead
    worker until they are handed out again. ``then`` is called once it is empty; None: that ends nothing.
    """

    def __init__(
        self,
        info: Callable[[], QueueInfo],
        job_counts: JobCounts,
        display: Display,
        then: Callable[[], None] | None,
    ) -> None:
        super().__init__(name="emptiness", daemon=True)
        self._info = info
        self._job_counts = job_counts
        self._display = display
        self._then = then
        self._enough = threading.Event()

    def run(self) -> None:
        """Run until the queue is empty or ``stop`` is called."""
        pause = LOOK
        while not self._enough.wait(pause):
            pause = LOOK if self._then or self._job_counts.running else min(2 * pause, SELDOM)
            if self._job_counts.running:
                self._display.idle = ""
                continue
            with suppress(ClientError):  # the threads meet it too, and tell it
                left = self._display.idle = awaited(self._info())
                if self._then is not None and not left:
                    self._then()
                    return

    def stop(self) -> None:
        """Enough."""
        self._enough.set()


def awaited(info: QueueInfo) -> str:
    """What of a queue may still come, though it gives nothing now; empty if only a push could bring more."""
    counts = (info.waiting, "to be tried later"), (info.leased, "elsewhere")
    told = [f"{count:,} {where}" for count, where in counts if count]
    if info.source is not None and info.state not in {"exhausted", "closed"}:
        told = told or ["its source may give more"]
    return ", ".join(told)


def verdict(
    job_counts: JobCounts, fault: Exception | None, stops: Stops, *, settled: bool = True
) -> tuple[str, int]:
    """A sentence, where something is to be said, and the exit code. ``settled``: the server knows it all."""
    if fault is not None:
        return _verdict_of(fault)
    if not settled:
        return f"no answer from the server in time; {_OTHERS}", UNREACHABLE
    if stops.asked:
        return "", INTERRUPTED
    return "", JOBS_FAILED if job_counts.unmended else OK


def _verdict_of(fault: Exception) -> tuple[str, int]:
    if isinstance(fault, Halted):
        return str(fault), JOBS_FAILED
    if isinstance(fault, CannotStart):
        return f"can't run {fault}", NO_COMMAND if fault.missing else CANNOT_RUN
    if isinstance(fault, Unreachable):
        return f"{in_words(str(fault))}; {_OTHERS}", UNREACHABLE
    if isinstance(fault, ClientError):
        return str(fault), FAILED
    raise fault


def leave(writer: Writer, stops: Stops, sentence: str, clock: Callable[[], float] = time.monotonic) -> bool:
    """Write the last sentence; wait for a reader unless a signal asks to leave; whether all is written."""
    if sentence:
        writer.note(sentence)
    until: list[float] = []

    def enough() -> bool:
        if stops.at_once and not until:
            until.append(clock() + LINGER)
        return bool(until) and clock() >= until[0]

    return writer.finish(enough) and not writer.unwritten

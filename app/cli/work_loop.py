"""The main thread of ``dibs work``: signals, the live line, and how the work ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from ..client.errors import ClientError, Unreachable
from .exits import CANNOT_RUN, FAILED, INTERRUPTED, JOBS_FAILED, NO_COMMAND, OK, UNREACHABLE
from .http import in_words
from .work_job import Halted
from .work_process import CannotStart

if TYPE_CHECKING:
    from ..client import QueueInfo
    from .work_counts import JobCounts
    from .work_display import Display
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


_AT_ONCE: Final = (signal.SIGTERM, signal.SIGHUP)
_TWICE: Final = 2
_OTHERS: Final = "jobs that the server does not know to be done go to other workers when their leases end"
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
        return self.asked >= _TWICE

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
        self.asked += _TWICE if number in _AT_ONCE else 1


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
        asked = min(stops.asked, _TWICE)
        if asked > acted:
            acted = asked
            _stop(threads, job_counts, writer, at_once=asked == _TWICE)
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
    """Looks whether a queue is empty, while nothing runs here, and calls ``then`` once it is.

    A queue is empty if producers push to it or its source has ended, and nothing waits, is delayed or is
    leased by anybody. So items that failed are waited for until they are tried again, and the items of a dead
    worker until they are handed out again.
    """

    def __init__(
        self, info: Callable[[], QueueInfo], job_counts: JobCounts, display: Display, then: Callable[[], None]
    ) -> None:
        super().__init__(name="emptiness", daemon=True)
        self._info = info
        self._job_counts = job_counts
        self._display = display
        self._then = then
        self._enough = threading.Event()

    def run(self) -> None:
        """Run until the queue is empty or ``stop`` is called."""
        while not self._enough.wait(LOOK):
            if self._job_counts.running:
                self._display.idle = ""
                continue
            with suppress(ClientError):  # the threads meet it too, and tell it
                info = self._info()
                if empty(info):
                    self._display.idle = ""
                    self._then()
                    return
                self._display.idle = f"{info.waiting:,} to be tried later, {info.leased:,} elsewhere"

    def stop(self) -> None:
        """Enough."""
        self._enough.set()


def empty(info: QueueInfo) -> bool:
    """Whether a queue has nothing for anybody, now and, unless something is pushed, later."""
    ended = info.source is None or info.state in {"exhausted", "closed"}
    return ended and info.waiting == info.leased == 0


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

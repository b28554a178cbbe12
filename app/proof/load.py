"""The load test in its steps: begin, watch, end, audit, judge, clear away.

The verdict says only what the history proves. It is made from the file that was written, so that
``dibs verify`` on the same file says the same.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import bottleneck
from .checker import judge
from .crowd import Crowd
from .errors import HarnessFault
from .history import HistoryWriter, read_history
from .plan import Plan
from .progress import Watch
from .records import Audit, End, Inside, Note
from .target import Target
from .verdict import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_VIOLATED, Judgement, Verdict

STOP_GRACE = 5.0
"""Seconds after Ctrl-C in which requests without a reply are still asked for."""

TICK = 0.1
"""Seconds between two looks at how it goes."""

Audits = Callable[[], tuple[Audit, ...]]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a load test.

    ``fault`` says why the test could not be done as planned; ``remarks`` are for the reader. Latencies are
    nanoseconds, ascending, of answered requests. ``seconds`` is how long the crowd sent requests;
    ``bottleneck`` says what kept it from being faster.
    """

    verdict: Verdict
    seconds: float
    latencies: list[int]
    fault: str | None = None
    interrupted: bool = False
    remarks: tuple[str, ...] = ()
    history: Path | None = None
    bottleneck: str = ""

    @property
    def exit_code(self) -> int:
        """0 proved, 1 violated, 3 not proved for a fault of the test, 130 after Ctrl-C."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.verdict.judgement is Judgement.VIOLATED:
            return EXIT_VIOLATED
        return EXIT_FAULT if self.fault else self.verdict.exit_code


class Load:
    """One load test in its steps, so that a caller can act between them.

    Args:
        plan: The load to make.
        watch: Shows the progress.
        history: The file for the history; None keeps none.
        stack: Closed by the caller at the end, in any case.

    Raises:
        HarnessFault: there is no server or queue.
        OSError: the history can't be written.
    """

    def __init__(self, plan: Plan, watch: Watch, history: Path | None, stack: contextlib.ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.plan = plan
        self.watch = watch
        self.interrupted = False
        self.target = Target(plan)
        stack.callback(self.target.close)
        self._history = history
        self._path = history or folder / "history.jsonl"
        self._writer = stack.enter_context(HistoryWriter(self._path, self.target.open()))
        self.crowd = Crowd(plan, self.target.queue, self._writer)
        stack.callback(watch.close)
        stack.callback(self.crowd.signals.stop, 0)
        self._remarks: list[str] = []
        self._restarts = 0
        self._began = self._ended = 0.0

    @contextlib.contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Ctrl-C ends the block, not the test: what there is will be judged."""
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True

    def start(self) -> None:
        """Start asking."""
        self._before = bottleneck.read(self.target.stats)
        self._began = time.monotonic()
        self.watch.begin(self.plan.total)
        self.crowd.start()

    def is_done(self, seconds: float) -> bool:
        """Wait for up to ``seconds`` and show the progress; return whether all clients are done."""
        done = self.crowd.join(seconds)
        if self.plan.jobs and not (done or self.crowd.signals.stopping):
            self.crowd.drain(self.target.left)
        self.watch.tick(self.crowd.tally(), self.crowd.recent(), time.monotonic() - self._began)
        return done

    def quiet(self, grace: float) -> None:
        """Let no new request begin, and wait until every request is answered or given up.

        Jobs that were pushed are consumed before, unless Ctrl-C was pressed.
        """
        if self.plan.jobs and not self.interrupted:
            self.crowd.signals.finish()
            while not self.is_done(TICK):
                pass
        self.crowd.signals.stop(grace)
        longest = grace + self.plan.timeout + STOP_GRACE
        until = time.monotonic() + longest
        try:
            while not self.is_done(TICK):
                if time.monotonic() > until:
                    self.crowd.signals.fail(f"clients are still waiting after {longest:.0f} s")
                    break
        finally:
            self._ended = time.monotonic()

    def restarted(self, killed: int, ready: int) -> None:
        """Note a restart: when the server was killed and when it answered again, in nanoseconds."""
        self._restarts += 1
        self._writer.note(Note("restart", killed, ready))

    def taken_over(self, failed: int, seen: int) -> None:
        """Note that another server owns: when one failed, and when that was seen, in nanoseconds."""
        self._restarts += 1
        self._writer.note(Note("takeover", failed, seen))

    def finish(self, audits: Audits | None = None) -> Result:
        """Let the last requests end, ask for the audit and judge.

        Args:
            audits: Asks for it another way.
        """
        with self.until_interrupted():
            self.quiet(STOP_GRACE)
        used = bottleneck.used(self._before, bottleneck.read(self.target.stats))
        self.watch.close()
        self._end(audits or (lambda: (self.target.audit(),)))
        verdict = judge(read_history(self._path))
        signals = self.crowd.signals
        if not verdict.totals["items"] and not self.interrupted:
            signals.fail("nothing was handed out, so nothing is proved")
        self._clear(verdict)
        return Result(
            verdict=verdict,
            seconds=self._ended - self._began,
            latencies=self.crowd.latencies(),
            fault=signals.fault,
            interrupted=self.interrupted,
            remarks=tuple(self._remarks),
            history=self._history,
            bottleneck=bottleneck.told(used),
        )

    def _end(self, audits: Audits) -> None:
        """Write the last line: what the server counts, and what is still in a queue of jobs."""
        found: tuple[Audit, ...] = ()
        inside: tuple[Inside, ...] | None = None
        steady = False
        try:
            found = audits()
            if self.plan.jobs:
                inside = tuple(self.target.inside())
                # A server that is restarted by the harness is its own, and nobody else restarts it.
                steady = bool(self._restarts) or self.target.is_steady()
        except HarnessFault as fault:
            self.crowd.signals.fail(f"no audit: {fault}")
        self._writer.end(End(0, found, inside, steady))

    def _clear(self, verdict: Verdict) -> None:
        """Delete the test's own queue, unless a promise was broken: then the queue is evidence."""
        if self.crowd.signals.exhausted:
            self._remarks.append("The source is exhausted: all of it was handed out.")
        if not self.target.own:
            return
        if verdict.judgement is Judgement.VIOLATED:
            self._remarks.append(f"Queue {self.target.queue} was kept for you to look at.")
            return
        try:
            self.target.delete()
        except HarnessFault as fault:
            self._remarks.append(f"Queue {self.target.queue} could not be deleted: {fault}")


def run_load(plan: Plan, watch: Watch, *, history: Path | None = None) -> Result:
    """Run a load test to its end, or to Ctrl-C.

    Raises:
        HarnessFault: it could not begin.
        OSError: the history can't be written.
    """
    with contextlib.ExitStack() as stack:
        load = Load(plan, watch, history, stack)
        with load.until_interrupted():
            load.start()
            while not load.is_done(TICK):
                pass
        return load.finish()

"""The load test: a crowd of clients, their history, the server's audit, and the checker's verdict.

What it says is only what the history proves. The verdict is read from the file that was written, so
that ``dibs verify`` on the same file says the same.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from app.proof.checker import check
from app.proof.clients import Crowd, Plan
from app.proof.errors import HarnessFault
from app.proof.history import HistoryWriter, read_history
from app.proof.progress import Watch
from app.proof.records import Audited
from app.proof.target import Target
from app.proof.verdict import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_VIOLATED, Outcome, Verdict

STOP_GRACE = 5.0
"""Seconds after Ctrl-C in which requests without a reply are still asked for."""

_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """What a load test found.

    ``fault`` is why it could not be done as planned; ``remarks`` are for the reader. Latencies are
    nanoseconds, ascending, of answered requests. ``seconds`` is how long the crowd was asking.
    """

    verdict: Verdict
    seconds: float
    latencies: list[int]
    fault: str | None = None
    interrupted: bool = False
    remarks: tuple[str, ...] = ()
    history: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 proved, 1 violated, 3 not proved for a fault of the test, 130 after Ctrl-C."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.verdict.outcome is Outcome.VIOLATED:
            return EXIT_VIOLATED
        return EXIT_FAULT if self.fault else self.verdict.exit_code


def run_load(plan: Plan, watch: Watch, *, history: Path | None = None) -> Result:
    """Run a load test to its end, or to Ctrl-C.

    Args:
        plan: What to do.
        watch: Shows how it goes.
        history: Where to keep the history; None keeps none.

    Raises:
        HarnessFault: it could not begin.
        OSError: the history can't be written.
    """
    with Load(plan, watch, history=history) as load:
        with load.until_interrupted():
            load.start()
            while not load.is_done(_TICK):
                pass
        return load.finish()


@dataclass(slots=True)
class Load(contextlib.AbstractContextManager["Load"]):
    """One load test in its steps, for whoever wants to do something meanwhile."""

    plan: Plan
    watch: Watch
    history: Path | None = None
    interrupted: bool = False
    remarks: list[str] = field(default_factory=list)
    crowd: Crowd = field(init=False)
    _target: Target = field(init=False)
    _writer: HistoryWriter = field(init=False)
    _began: float = field(init=False, default=0.0)
    _ended: float = field(init=False, default=0.0)
    _cleanup: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            plan = self.plan
            target = Target(plan.url, plan.queue, timeout=plan.timeout, patience=plan.patience)
            stack.callback(target.close)
            header = target.open()
            path = self.history or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "history.jsonl"
            self._target = target
            self._writer = stack.enter_context(HistoryWriter(path, header))
            self.crowd = Crowd(plan, target.queue, self._writer)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crowd.stop(0)
        self.watch.close()
        self._cleanup.close()

    @contextlib.contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Ctrl-C ends the block, not the test: what there is will be judged."""
        try:
            yield
        except KeyboardInterrupt:
            self.interrupted = True

    def start(self) -> None:
        """Start asking."""
        self._began = time.monotonic()
        self.watch.begin(self.plan.total)
        self.crowd.start()

    def is_done(self, seconds: float) -> bool:
        """Wait for up to ``seconds`` and show how it goes; whether all clients are done."""
        done = self.crowd.join(seconds)
        self.watch.tick(self.crowd.tally(), time.monotonic() - self._began)
        return done

    def quiet(self, grace: float) -> None:
        """Ask nothing new, and wait until every request is answered or given up."""
        self.crowd.stop(grace)
        longest = grace + self.plan.timeout + STOP_GRACE
        until = time.monotonic() + longest
        try:
            while not self.is_done(_TICK):
                if time.monotonic() > until:
                    self.crowd.fail(f"clients are still waiting after {longest:.0f} s")
                    break
        finally:
            self._ended = time.monotonic()

    def audit(self) -> Audited:
        """The server's counters now."""
        return self._target.audit()

    def finish(self, audits: Callable[[], tuple[Audited, ...]] | None = None) -> Result:
        """Let the last requests end, ask for the audit and judge.

        Args:
            audits: Asks for it another way.
        """
        with self.until_interrupted():
            self.quiet(STOP_GRACE)
        self.watch.close()
        self._writer.end(self._audited(audits or (lambda: (self.audit(),))))
        with read_history(self._writer.path) as reader:
            verdict = check(reader)
        if not verdict.totals.items and not self.interrupted:
            self.crowd.fail("nothing was handed out, so nothing is proved")
        self._clear(verdict)
        return Result(
            verdict=verdict,
            seconds=self._ended - self._began,
            latencies=self.crowd.latencies(),
            fault=self.crowd.fault,
            interrupted=self.interrupted,
            remarks=tuple(self.remarks),
            history=self.history,
        )

    def _audited(self, audits: Callable[[], tuple[Audited, ...]]) -> tuple[Audited, ...]:
        try:
            return audits()
        except HarnessFault as fault:
            self.crowd.fail(f"no audit: {fault}")
            return ()

    def _clear(self, verdict: Verdict) -> None:
        """Delete the test's own queue; where a promise was broken it is evidence."""
        if self.crowd.exhausted:
            self.remarks.append("The source is exhausted: all of it was handed out.")
        if not self._target.own:
            return
        if verdict.outcome is Outcome.VIOLATED:
            self.remarks.append(f"Queue {self._target.queue} was kept for you to look at.")
            return
        try:
            self._target.delete()
        except HarnessFault as fault:
            self.remarks.append(f"Queue {self._target.queue} could not be deleted: {fault}")

"""One load test in its steps, whatever it asks for: begin, watch, end, audit, judge, clear away."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from . import bottleneck
from .clients import Plan, Tally
from .errors import HarnessFault
from .histories import AnyVerdict, judge, open_history
from .progress import Watch
from .target import Endpoint
from .verdict import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_VIOLATED, Outcome
from .work.plan import WorkPlan

STOP_GRACE = 5.0
"""Seconds after Ctrl-C in which requests without a reply are still asked for."""

TICK = 0.1
"""Seconds between two looks at how it goes."""

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a load test.

    ``fault`` says why the test could not be done as planned; ``remarks`` are for the reader. Latencies are
    nanoseconds, ascending, of answered requests. ``seconds`` is how long the crowd sent requests;
    ``bottleneck`` says what kept it from being faster.
    """

    verdict: AnyVerdict
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
        if self.verdict.outcome is Outcome.VIOLATED:
            return EXIT_VIOLATED
        return EXIT_FAULT if self.fault else self.verdict.exit_code


class Crowding(Protocol):
    """A crowd, as far as a load test needs it."""

    fault: str | None
    exhausted: bool

    @property
    def stopping(self) -> bool:
        """Whether nothing new is asked."""

    def start(self) -> None:
        """Start asking."""

    def join(self, timeout: float) -> bool:
        """Wait for up to ``timeout`` seconds; whether every client is done."""

    def stop(self, grace: float) -> None:
        """Ask nothing new; lost replies are asked for again for up to ``grace`` seconds."""

    def fail(self, problem: str) -> None:
        """Stop because the test can't go on."""

    def tally(self) -> Tally:
        """What it has done so far."""

    def latencies(self) -> list[int]:
        """Of every answered request, ascending; nanoseconds."""


@dataclass(slots=True)
class Stage(contextlib.AbstractContextManager["Stage[A]"], Generic[A]):
    """One load test in its steps, so that a caller can act between them. ``A``: the audits it reads."""

    plan: Plan | WorkPlan
    watch: Watch
    history: Path | None = None
    interrupted: bool = False
    remarks: list[str] = field(default_factory=list)
    crowd: Crowding = field(init=False)
    target: Endpoint = field(init=False)
    path: Path = field(init=False)
    _began: float = field(init=False, default=0.0)
    _ended: float = field(init=False, default=0.0)
    _before: bottleneck.Reading = field(init=False)
    _cleanup: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.path = self.history or folder / "history.jsonl"
            self.set_up(stack)
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
        self._before = bottleneck.read(self.target.stats)
        self._began = time.monotonic()
        self.watch.begin(self.plan.total)
        self.crowd.start()

    def is_done(self, seconds: float) -> bool:
        """Wait for up to ``seconds`` and show the progress; return whether all clients are done."""
        done = self.crowd.join(seconds)
        self.watch.tick(self.crowd.tally(), time.monotonic() - self._began)
        return done

    def quiet(self, grace: float) -> None:
        """Let no new request begin, and wait until every request is answered or given up."""
        self.crowd.stop(grace)
        longest = grace + self.plan.timeout + STOP_GRACE
        until = time.monotonic() + longest
        try:
            while not self.is_done(TICK):
                if time.monotonic() > until:
                    self.crowd.fail(f"clients are still waiting after {longest:.0f} s")
                    break
        finally:
            self._ended = time.monotonic()

    def set_up(self, stack: contextlib.ExitStack) -> None:
        """Make the target, the history's writer and the crowd."""
        raise NotImplementedError

    def audit(self) -> A:
        """The server's counters now."""
        raise NotImplementedError

    def write_end(self, audits: tuple[A, ...]) -> None:
        """Write the last line of the history."""
        raise NotImplementedError

    def restarted(self, killed: int, ready: int) -> None:
        """Note a restart: when the server was killed and when it answered again, in nanoseconds."""

    def finish(self, audits: Callable[[], tuple[A, ...]] | None = None) -> Result:
        """Let the last requests end, ask for the audit and judge.

        Args:
            audits: Asks for it another way.
        """
        with self.until_interrupted():
            self.quiet(STOP_GRACE)
        used = bottleneck.used(self._before, bottleneck.read(self.target.stats))
        self.watch.close()
        self.write_end(self._audited(audits or (lambda: (self.audit(),))))
        with open_history(self.path) as reader:
            verdict = judge(reader)
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
            bottleneck=bottleneck.told(used),
        )

    def _audited(self, audits: Callable[[], tuple[A, ...]]) -> tuple[A, ...]:
        try:
            return audits()
        except HarnessFault as fault:
            self.crowd.fail(f"no audit: {fault}")
            return ()

    def _clear(self, verdict: AnyVerdict) -> None:
        """Delete the test's own queue, unless a promise was broken: then the queue is evidence."""
        if self.crowd.exhausted:
            self.remarks.append("The source is exhausted: all of it was handed out.")
        if not self.target.own:
            return
        if verdict.outcome is Outcome.VIOLATED:
            self.remarks.append(f"Queue {self.target.queue} was kept for you to look at.")
            return
        try:
            self.target.delete()
        except HarnessFault as fault:
            self.remarks.append(f"Queue {self.target.queue} could not be deleted: {fault}")

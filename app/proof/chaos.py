"""The load test with a server that is killed again and again: still no item is handed out twice or missing.

The load never pauses. Requests that were in the air at a kill are sent again with their keys until they
are answered, so at the end each has its answer, and the checker has to find a history without a flaw.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from .errors import HarnessFault
from .keeper import Keeper
from .load import Load, Result
from .plan import Plan
from .progress import Watch
from .records import Audit
from .server import ServerProcess
from .values import counted
from .verdict import EXIT_FAULT, EXIT_VIOLATED

START_PATIENCE = 30.0
"""Seconds in which a server has to be ready after a start."""

ROUND_LIMIT = 15.0
"""Seconds that a round may take on average; past that the test gives up."""

_LONGEST_LIFE = 0.4
_LONGEST_START = 1.0
_KILLED_IN_START = 0.2
_GLANCE = 0.01


@dataclass(frozen=True, slots=True)
class Chaos:
    """How often and when to kill: ``rounds`` kills at moments that ``seed`` decides.

    ``command`` replaces ``dibs serve``, for tests; see `ServerProcess`.
    """

    rounds: int = 50
    seed: int = 0
    command: Sequence[str] | None = None


def run_chaos(plan: Plan, chaos: Chaos, watch: Watch, *, history: Path | None = None) -> Result:
    """Run the load against a server that is killed at random moments.

    The plan's ``url``, ``queue``, ``total`` and ``keys`` are ignored: the server and the queue are the
    test's own, the load lasts as long as the rounds, and each request has a key.

    Raises:
        HarnessFault: the test could not begin.
        OSError: the history can't be written.
    """
    with terminated_as_interrupted(), folder_of_chaos() as keeper:
        with ServerProcess(keeper.folder, chaos.command) as server:
            result = _run(plan, chaos, watch, server, history)
        return kept_as_evidence(result, keeper)


def _run(plan: Plan, chaos: Chaos, watch: Watch, server: ServerProcess, history: Path | None) -> Result:
    server.start()
    server.wait_ready(START_PATIENCE)
    plan = replace(plan, url=server.url, queue=None, total=None, keys=True)
    with contextlib.ExitStack() as stack:
        load = Load(plan, watch, history, stack)
        moments = Random(chaos.seed)  # noqa: S311  # repeatable, not secret
        rounds = _Rounds(load, server, moments, chaos.rounds)
        with load.until_interrupted():
            load.start()
            rounds.run()
        with load.until_interrupted():
            rounds.settle()
        result = load.finish(rounds.audits)
        return replace(result, remarks=(f"{rounds.told}; seed {chaos.seed}.", *result.remarks))


class _Rounds:
    """Kills the server and starts it again, while the load runs in its own threads."""

    def __init__(self, load: Load, server: ServerProcess, random: Random, rounds: int) -> None:
        self._kills = {"in rounds": 0, "more while it started": 0, "between the audits": 0}
        self._load = load
        self._server = server
        self._random = random
        self._rounds = rounds
        self._until = time.monotonic() + START_PATIENCE + rounds * ROUND_LIMIT

    @property
    def told(self) -> str:
        """How often the server was killed, and when, as lines for the reader."""
        when = ", ".join(f"{count:,} {name}" for name, count in self._kills.items() if count)
        return counted(sum(self._kills.values()), "kills") + (f": {when}" if when else "")

    def run(self) -> None:
        """Run all rounds; a failure ends them and becomes the fault of the load."""
        try:
            for number in range(1, self._rounds + 1):
                if not self._round(number):
                    return
        except HarnessFault as fault:
            self._load.crowd.signals.fail(str(fault))

    def _round(self, number: int) -> bool:
        """Let the server answer, kill it, start it again; False when the load has ended."""
        before = self._load.crowd.tally()
        if not self._answers_more(before["answers"]):
            return False
        life = self._random.uniform(0, _LONGEST_LIFE)
        self._load.is_done(life)
        self._kill("in rounds")
        down, killed = time.monotonic(), time.monotonic_ns()
        self._server.start()
        if self._random.random() < _KILLED_IN_START:
            self._load.is_done(self._random.uniform(0, _LONGEST_START))
            self._kill("more while it started")
            self._server.start()
        self._server.wait_ready(START_PATIENCE)
        self._load.restarted(killed, time.monotonic_ns())
        after = self._load.crowd.tally()
        self._load.watch.say(
            f"round {number}/{self._rounds}: killed {life:.2f} s after it answered, "
            f"back after {time.monotonic() - down:.2f} s; "
            f"{counted(after['lost'] - before['lost'], 'replies')} lost, "
            f"{counted(after['items'], 'items')} in all"
        )
        return True

    def _answers_more(self, answers: int) -> bool:
        """Wait until a client was answered since the start: killing an idle server proves little."""
        crowd = self._load.crowd
        while crowd.tally()["answers"] <= answers:
            self._server.check_alive()
            if time.monotonic() > self._until:
                raise HarnessFault(f"{self._rounds} rounds took too long")
            if self._load.is_done(_GLANCE) or crowd.signals.stopping:
                return False
        return True

    def _kill(self, when: str) -> None:
        self._server.check_alive()
        self._server.kill()
        self._kills[when] += 1

    def settle(self) -> None:
        """Make sure that the server runs, and wait until every request has its answer."""
        try:
            self._up()
        except HarnessFault as fault:
            self._load.crowd.signals.fail(str(fault))
        self._load.quiet(self._load.plan.patience)

    def audits(self) -> tuple[Audit, ...]:
        """The audit, and the audit after one more kill: the counters must be those on disk."""
        self._up()
        before = self._load.target.audit()
        self._kill("between the audits")
        killed = time.monotonic_ns()
        self._up()
        self._load.restarted(killed, time.monotonic_ns())
        return before, self._load.target.audit()

    def _up(self) -> None:
        if not self._server.running:
            self._server.kill()
            self._server.start()
        self._server.wait_ready(START_PATIENCE)


def folder_of_chaos() -> Keeper:
    """A folder for a test's own servers: nothing that works in it outlives this process."""
    return Keeper(Path(tempfile.mkdtemp(prefix="dibs-chaos-")))


def kept_as_evidence(result: Result, keeper: Keeper) -> Result:
    """The result, after which the folder stays if there is something to look at."""
    keeper.keep = result.exit_code in {EXIT_VIOLATED, EXIT_FAULT}
    kept = (f"The server's data and log were kept in {keeper.folder}",) if keeper.keep else ()
    return replace(result, remarks=(*result.remarks, *kept))


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the test as Ctrl-C does, so that the server is never left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

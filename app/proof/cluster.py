"""The load test with several servers on one PostgreSQL, while the one after the other fails.

The load never pauses: its clients are spread over all servers, and each goes to the next one, with the same
key, where its own does not answer. So at the end each request has its answer, and the checker has to find a
history without a flaw, whoever owned the ledger meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from .chaos import folder_of_chaos, kept_as_evidence, terminated_as_interrupted
from .errors import HarnessFault
from .faults import OF_SERVERS, Cluster, Fault, in_turn, inflicted
from .load import Load, Result
from .members import Members
from .plan import Plan
from .postgres import Postgres
from .progress import Watch
from .records import Audit
from .values import counted

ROUND_LIMIT: Final = 60.0
"""Seconds that a fault may take on average, with all that follows; past that the test gives up."""

_LONGEST_CALM = 0.6
_GLANCE = 0.01


@dataclass(frozen=True, slots=True)
class ClusterChaos:
    """How many servers there are, and what happens to them: ``rounds`` faults that ``seed`` decides.

    ``data`` is the URL of a database that is there already, whose server is left in peace; None: one of the
    test's own. ``command`` replaces ``dibs serve``, for tests; see `Members`.
    """

    rounds: int = 35
    seed: int = 0
    servers: int = 3
    data: str | None = None
    kinds: Sequence[Fault] = tuple(Fault)
    command: Sequence[str] | None = None


def run_cluster(plan: Plan, chaos: ClusterChaos, watch: Watch, *, history: Path | None = None) -> Result:
    """Run the load against servers on one database, and let them and the database fail in turn.

    The plan's ``url``, ``others``, ``queue``, ``total`` and ``keys`` are ignored, as in `run_chaos`.

    Raises:
        HarnessFault: the test could not begin.
        OSError: the history can't be written.
    """
    if not Path("/proc/self/cwd").exists():
        raise HarnessFault("--cluster needs Linux, whose /proc tells which processes are PostgreSQL's")
    with terminated_as_interrupted(), folder_of_chaos() as keeper:
        keeper.folder.chmod(0o755)
        with contextlib.ExitStack() as stack:
            data, postgres = chaos.data, None
            if data is None:
                postgres = stack.enter_context(Postgres(keeper.folder / "postgres"))
                postgres.start()
                data = postgres.url
            members = stack.enter_context(Members(keeper.folder, data, chaos.servers, chaos.command))
            result = _run(plan, chaos, watch, Cluster(members, postgres), history)
        return kept_as_evidence(result, keeper)


def _run(plan: Plan, chaos: ClusterChaos, watch: Watch, cluster: Cluster, history: Path | None) -> Result:
    members = cluster.members
    members.start()
    url, *others = members.urls
    plan = replace(plan, url=url, others=tuple(others), several=False, queue=None, total=None, keys=True)
    with contextlib.ExitStack() as stack:
        load = Load(plan, watch, history, stack)
        rounds = _Rounds(load, chaos, cluster)
        with load.until_interrupted():
            load.start()
            rounds.run()
        with load.until_interrupted():
            rounds.settle()
        result = load.finish(rounds.audits)
        return replace(result, remarks=(*rounds.told, *result.remarks))


class _Rounds:
    """Lets the servers and their database fail, while the load runs in its own threads.

    It owns what was ``seen`` of each kind of fault: for how long it lasted, and how long nobody was answered.
    """

    def __init__(self, load: Load, chaos: ClusterChaos, cluster: Cluster) -> None:
        self._load = load
        self._cluster = cluster
        self._members = cluster.members
        self._seed = chaos.seed
        self._random = Random(chaos.seed)  # noqa: S311  # repeatable, not secret
        kinds = chaos.kinds if cluster.postgres else [kind for kind in chaos.kinds if kind in OF_SERVERS]
        self._faults = list(in_turn(kinds, chaos.rounds, self._random))
        self._until = time.monotonic() + ROUND_LIMIT * (1 + chaos.rounds)
        self._seen: dict[Fault, list[tuple[float, float]]] = {}
        self._since = time.monotonic_ns()
        cluster.members.news()

    @property
    def told(self) -> Iterator[str]:
        """What was done to the servers, and for how long nobody was answered, as lines for the reader."""
        terms = self._members.terms
        span = f"; terms {min(terms)} to {max(terms)}" if terms else ""
        faults = counted(sum(map(len, self._seen.values())), "faults")
        yield f"{faults}; {len(self._members.servers)} servers{span}; seed {self._seed}."
        for fault, seen in self._seen.items():
            lasted, silence = map(max, zip(*seen, strict=True))
            yield (
                f"{fault}: {counted(len(seen), 'times')}, mended after {lasted:.2f} s at most; "
                f"nobody was answered for {silence:.2f} s at most."
            )

    def run(self) -> None:
        """Inflict all faults; a failure ends them and becomes the fault of the load."""
        try:
            for number, fault in enumerate(self._faults, start=1):
                if not self._round(number, fault):
                    return
        except HarnessFault as problem:
            self._load.crowd.signals.fail(str(problem))

    def _round(self, number: int, fault: Fault) -> bool:
        """Let the servers answer, then fail, then be well again; False when the load has ended."""
        crowd = self._load.crowd
        calm = time.monotonic() + self._random.uniform(0, _LONGEST_CALM)
        answers = crowd.tally()["answers"]
        if not self._waits(lambda: time.monotonic() > calm and crowd.tally()["answers"] > answers):
            return False
        crowd.signals.silence()
        self._since, before, terms = time.monotonic_ns(), crowd.tally(), len(self._members.terms)
        began = time.monotonic()
        over = began + self._random.uniform(*fault.lasts)
        with inflicted(fault, self._cluster, self._random):
            going = self._waits(lambda: time.monotonic() > over, failing=True)
        lasted = time.monotonic() - began
        answers = crowd.tally()["answers"]
        going = going and self._waits(
            lambda: crowd.tally()["answers"] > answers and self._members.all_ready()
        )
        silence, after = crowd.signals.silence(), crowd.tally()
        self._seen.setdefault(fault, []).append((lasted, silence))
        self._load.watch.say(
            f"fault {number}/{len(self._faults)}: {fault}, mended after {lasted:.2f} s; "
            f"{silence:.2f} s without an answer, "
            f"{counted(len(self._members.terms) - terms, 'takeovers')}, "
            f"{counted(after['lost'] - before['lost'], 'replies')} lost, "
            f"{counted(after['items'], 'items')} in all"
        )
        return going

    def _waits(self, holds: Callable[[], bool], *, failing: bool = False) -> bool:
        """Wait until something holds; False when the load has ended. ``failing``: a server may be down."""
        while not holds():
            if not failing:
                self._members.check_alive()
            if time.monotonic() > self._until:
                raise HarnessFault(f"{len(self._faults)} faults took too long")
            if self._load.is_done(_GLANCE) or self._load.crowd.signals.stopping:
                return False
            self._see_terms()
        return True

    def _see_terms(self) -> None:
        """Note a new term, since leases may last longer in it: a takeover, from the fault until now."""
        if self._members.news():
            self._load.taken_over(self._since, time.monotonic_ns())

    def settle(self) -> None:
        """Make sure that all servers run, and wait until every request has its answer."""
        try:
            self._up()
        except HarnessFault as problem:
            self._load.crowd.signals.fail(str(problem))
        self._load.quiet(self._load.plan.patience)
        self._see_terms()

    def audits(self) -> tuple[Audit, ...]:
        """The audit, and that of the next owner: the counters must be those in the database."""
        self._up()
        before = self._load.target.audit()
        self._since = time.monotonic_ns()
        self._members.owner().kill()
        self._up()
        self._see_terms()
        return before, self._load.target.audit()

    def _up(self) -> None:
        if self._cluster.postgres is not None:
            self._cluster.postgres.mend()
        self._members.start()

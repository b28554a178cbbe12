"""The jobs of a lease iterator, from the server's hand-out to its last word on each.

No I/O here, and no waiting: flows and consumers look at the jobs under one lock, and ring when they changed.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType

from .affinity import Affinity
from .answers import Lease
from .errors import ClientError
from .flow import Bell, Stop
from .job import BEGUN, DONE, OVER, READY, HeldLease, Job
from .options import Options
from .outbox import Outbox
from .pace import Demand, Pace
from .text import Default
from .verbs import Counts, Verdict


class Jobs:
    """The jobs of one lease iterator. Every method may be called from any thread; one lock guards all.

    Args:
        queue: The queue's name.
        options: Those of the lease iterator.
        came: Rings for consumers: jobs came, or the end did.
        wanted: Rings for the fetcher: there is something to fetch, or an end.
        changed: Rings for the keeper: there is something to send, or an end.
        clock: Monotonic seconds.
        default: Makes JSON of what JSON can't carry.

    Attributes:
        ready: Jobs that were fetched and not begun, in order.
        leases: The leases of all jobs that the server has not settled.
        outbox: Jobs whose end the server has not confirmed.
        begun: How many jobs are with consumers.
        wakes: The time at which the keeper looks again by itself.
        broken: Whether an exception ends the loop, so that what was handed out may be its cause.
        exhausted: Whether the queue has no more.
        error: Why there are no more, to be raised.
    """

    def __init__(
        self,
        queue: str,
        options: Options,
        *,
        came: Bell,
        wanted: Bell,
        changed: Bell,
        clock: Callable[[], float],
        default: Default | None = None,
    ) -> None:
        self.queue = queue
        self.ttl = options.ttl
        self.on_error = options.on_error
        self.default = default
        self.clock = clock
        self.came = came
        self.wanted = wanted
        self.changed = changed
        self.stop = Stop(wanted, changed)
        self.affinity = Affinity(queue)
        self.pace = Pace(options.batch, options.prefetch, options.ttl)
        self.demand = Demand(self.pace, options.in_hand)
        self.counts = Counts()
        self.lock = threading.RLock()  # a finalizer may come in the middle of anything, in the same thread
        self.ready: deque[Job] = deque()
        self.leases: list[HeldLease] = []
        self.outbox = Outbox(options.ttl, clock)
        self.begun = 0
        self.wakes = math.inf
        self.broken = False
        self.exhausted = False
        self.error: ClientError | None = None
        self._trace: TracebackType | None = None  # of the error as it came, before anybody raised it here
        self._at_once = False  # whether the error is raised before what is ready was handed out
        self._returned: float | None = None  # since when a consumer is away with its job

    # -- the consumer

    def enter(self) -> Job | None:
        """The consumer is back and wants the next job, if one is there."""
        with self.lock:
            now = self.clock()
            if self._returned is not None:
                self.pace.away += now - self._returned
                self.pace.jobs += 1
                self._returned = None
            return self._begin(now)

    def begin(self) -> Job | None:
        """The next job; None: none yet. A job whose lease may have run out waits for its heartbeat's answer.

        Raises:
            ClientError: Why there are no more.
        """
        with self.lock:
            return self._begin(self.clock())

    @property
    def ended(self) -> bool:
        """Whether there are no more jobs: stopped, or exhausted and all of our own is settled."""
        with self.lock:
            all_said = not self.ready and not self.outbox.unsaid and self.error is None
            return self.stop.begun or (self.exhausted and all_said)

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand: all that was fetched is settled, and the server has said so."""
        with self.lock:
            return not self.ready and not self.begun and not self.outbox.unsaid

    def wait(self, change: int) -> None:
        """A consumer begins or stops to wait for a job."""
        with self.lock:
            self.demand.waiting += change
            self.nudge()

    def flush(self, change: int) -> None:
        """Somebody begins or ends to wait until all is said."""
        with self.lock:
            self.demand.flushing += change
        self.changed.ring()

    def settle(self, job: Job, verdict: Verdict) -> bool:
        """Decide how a job ends; False: that was decided before."""
        self.affinity.check_job()
        with self.lock:
            if job.stage >= DONE or job.taken:
                return False
            self._leave(job)
            self.finish(job, verdict)
            return True

    def extend(self, job: Job, ttl: float) -> None:
        """Keep a job for ``ttl`` at a time from now on, apart from the rest of its lease."""
        self.affinity.check_job()
        with self.lock:
            if job.stage >= DONE or job.taken:
                return
            whole = job.held
            self.leases.append(whole.split(job, ttl))
            self._tidy(whole)
        self.changed.ring()

    # -- the fetcher

    def look(self) -> int:
        """How many items to fetch now; if any, the fetch begins with this."""
        with self.lock:
            self.demand.called = False
            wanted = self._wanted()
            self.demand.fetching = wanted > 0
            return wanted

    def poll(self, *, polling: bool) -> None:
        """The fetcher begins or ends a wait: meanwhile what is done can't go with it."""
        self.demand.polling = polling
        if polling and self.outbox:
            self.changed.ring()

    def arrived(self, lease: Lease, sent: float, asked: int) -> None:
        """A lease was given, by a request that was sent at ``sent``."""
        held = HeldLease(lease.token, self.ttl, self.clock())
        held.kept(sent, lease.expires_in)
        with self.lock:
            self.leases.append(held)
            held.whole = len(lease.items)
            held.jobs = {seq: Job(self, held, seq, value, attempt) for seq, value, attempt in lease.items}
            for seq, parent in lease.traceparents.items():
                held.jobs[seq].traceparent = parent
            self.ready.extend(held.jobs.values())
            self.pace.fetched(asked, len(lease.items))
            late = self.stop.begun or self.due < self.wakes
        self.came.ring()
        if late:
            self.changed.ring()

    def end(self) -> None:
        """The queue is exhausted."""
        self.exhausted = True
        self.came.ring()

    def fail(self, error: ClientError, *, at_once: bool = False) -> None:
        """No more will come. What is ready is still handed out, unless ``at_once``."""
        with self.lock:
            if self.error is None:
                self.error, self._trace = error, error.__traceback__
            self._at_once = self._at_once or at_once
        self.came.ring()

    def finished(self, now: float) -> bool:
        """Whether the last of all has been said, or the time for that is over."""
        if self.stop.deadline is None:
            return False
        said = self.demand.fetcher_left and not self.ready and not self.outbox.unsaid
        return said or now >= self.stop.deadline

    @property
    def due(self) -> float:
        """The time at which the keeper has something to send even if nothing rings."""
        with self.lock:
            dues = [held.beat_at for held in self.leases]
            if self.outbox.due is not None:
                dues.append(self.outbox.due)
            if self.ready and self.pace.stay is not None:
                dues.append(self.ready[0].held.arrived + self.pace.stay)
            return min(dues, default=math.inf)

    # -- the server's word

    def over(self, jobs: Sequence[Job], outcome: str) -> None:
        """The server has said what became of jobs of one lease."""
        held = jobs[0].held
        for job in jobs:
            job.stage = OVER
            job.outcome = outcome
            held.jobs.pop(job.seq, None)
        setattr(self.counts, outcome, getattr(self.counts, outcome) + len(jobs))
        self._tidy(held)

    def lose(self, job: Job) -> bool:
        """A job's lease has ended; whether a consumer has it, or had."""
        with self.lock:
            if job.taken or job.stage == OVER:
                return False
            begun = job.stage != READY
            self._leave(job)
            job.taken = True
            self.over([job], "lost")
            self.nudge()
            return begun

    def finish(self, job: Job, verdict: Verdict) -> None:
        """Let a job that is in nobody's hand end so."""
        with self.lock:
            job.verdict = verdict
            job.stage = DONE
            if self.outbox.add(job) and (self.outbox.crowded or self.pace.slow or self.due < self.wakes):
                self.changed.ring()
            demand = self.demand
            if demand.polling or self.stop.begun or demand.flushing or demand.fetcher_left or demand.in_hand:
                self.nudge()

    def nudge(self) -> None:
        """Ring for a fetch, when there is none and one is wanted; and for what no fetch will take along.

        Not for every job: who was rung for is not rung for again before it has looked.
        """
        demand = self.demand
        if not demand.called and not demand.fetching and self._wanted() > 0:
            demand.called = True
            self.wanted.ring()
        if self.outbox and self.alone:
            self.changed.ring()

    # -- inside, under the lock

    def _wanted(self) -> int:
        if self.stop.begun or self.exhausted or self.error is not None or self.outbox.crowded:
            return 0
        return self.demand.items(len(self.ready), self.begun)

    @property
    def alone(self) -> bool:
        """Whether no fetch will take along what is done, or somebody waits for that."""
        return self.stop.begun or not self.demand.takes_along(len(self.ready))

    def _begin(self, now: float) -> Job | None:
        ready, demand = self.ready, self.demand
        if self.error is not None and (self._at_once or not ready):
            raise self.error.with_traceback(self._trace)
        if self.stop.begun or not ready or ready[0].held.due <= now:
            return None
        job = ready.popleft()
        job.stage = BEGUN
        self.begun += 1
        self.counts.begun += 1
        self._returned = now
        demand.overstayed = False
        if not demand.fetching and (demand.waiting or len(ready) < self.pace.prefetch):
            self.nudge()
        return job

    def _leave(self, job: Job) -> None:
        if job.stage == BEGUN:
            self.begun -= 1
        elif job.stage == READY:
            self.ready.remove(job)

    def _tidy(self, held: HeldLease) -> None:
        if not held.jobs and held in self.leases:
            self.leases.remove(held)

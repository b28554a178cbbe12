"""What a lease iterator has in hand: jobs, their leases, and what is to be told about them.

No I/O here, and no waiting: flows and consumers look at it under one lock, and ring when it changed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..iterators import fork
from .answers import Lease
from .calls import NACKS
from .errors import ClientError, ForkedClient, ServerRefused
from .flow import Bell
from .held import Counts, Held
from .job import BEGUN, DONE, OVER, READY, RELEASE, Job, Verdict, log
from .outbox import Outbox
from .pace import Pace
from .text import Default, fit

OnRefused = Callable[[Job, ServerRefused], Mapping[str, Any] | None]


class Hand:
    """The jobs of one lease iterator. Every method may be called from any thread.

    Args:
        queue: The queue's name.
        ttl: Seconds of a lease.
        pace: How much to fetch.
        jobs: Rings for consumers: jobs came, or the end did.
        work: Rings for the flows: there is something to send, or to end.
        clock: Monotonic seconds.
        in_hand: At most so many jobs that are fetched and not settled.
        on_error: What ``with job`` does with an exception.
        on_lost: Told of jobs whose lease was lost.
    """

    def __init__(
        self,
        queue: str,
        ttl: float,
        pace: Pace,
        *,
        jobs: Bell,
        work: Bell,
        clock: Callable[[], float],
        in_hand: int | None = None,
        on_error: Literal["nack", "raise"] = "nack",
        on_lost: Callable[[Job], object] | None = None,
        default: Default | None = None,
    ) -> None:
        self.queue = queue
        self.ttl = ttl
        self.pace = pace
        self.jobs = jobs
        self.work = work
        self.clock = clock
        self.on_error = on_error
        self.default = default  # makes JSON of what JSON can't carry
        self.counts = Counts()
        self.lock = threading.RLock()  # a finalizer may come in the middle of anything, in the same thread
        self.ready: deque[Job] = deque()
        self.outbox = Outbox(ttl, clock)
        self.helds: list[Held] = []
        self.waiting = 0
        self.begun = 0
        self.fetching = False
        self.polling = False
        self.fetcher_left = False
        self.flushing = 0
        self.stopping = False
        self.broken = False
        self.deadline: float | None = None
        self.exhausted = False
        self.error: ClientError | None = None
        self._at_once = False
        self._called = False  # the fetcher was rung for, and has not looked since
        self._overstayed = False  # fetch nothing more before the consumer is back
        self._process = fork.process()
        self.check_loop: Callable[[], None] = lambda: None  # set where tasks settle
        self.late = False  # a heartbeat was, and that was told
        self._in_hand = in_hand
        self._on_lost = on_lost or (lambda _: None)
        self.on_refused: OnRefused = lambda job, error: None
        self._returned: float | None = None

    # -- the process

    @property
    def forked(self) -> bool:
        """Whether this is a child of the process that leases."""
        return fork.process() is not self._process

    def check_place(self) -> None:
        """Raise where nothing can be said of the jobs any more: in a forked child, or in another loop.

        Raises:
            ForkedClient, OtherLoop: What is settled here would never be sent.
        """
        self.refuse_child()
        self.check_loop()

    def refuse_child(self) -> None:
        """Raise in a forked child, before any lock: a thread of the parent may have held it at the fork.

        Raises:
            ForkedClient: This is a child. What is leased is the parent's: it may settle it at this moment.
        """
        if self.forked:
            raise ForkedClient(
                f"this lease of {self.queue} belongs to the parent process, which alone can settle or extend "
                "it (call queue.lease() in this process)"
            )

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
            return self.stopping or (
                self.exhausted and not self.ready and not self.outbox.unsaid and self.error is None
            )

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand: all that was fetched is settled, and the server has said so."""
        with self.lock:
            return not self.ready and not self.begun and not self.outbox.unsaid

    def wait(self, change: int) -> None:
        """A consumer begins or stops to wait for a job."""
        with self.lock:
            self.waiting += change
            self.nudge()

    def settle(self, job: Job, verdict: Verdict) -> bool:
        """Decide how a job ends; False: that was decided before."""
        self.check_place()
        with self.lock:
            if job.stage >= DONE or job.taken:
                return False
            self._leave(job)
            self._end(job, verdict)
            return True

    def extend(self, job: Job, ttl: float) -> None:
        """Keep a job for ``ttl`` at a time from now on, apart from the rest of its lease."""
        self.check_place()
        with self.lock:
            if job.stage >= DONE or job.taken:
                return
            whole = job.held
            self.helds.append(whole.split(job, ttl))
            self._tidy(whole)
        self.work.ring()

    # -- what flows ask

    def look(self) -> int:
        """How many items to fetch now; if any, the fetch begins with this."""
        with self.lock:
            self._called = False
            wanted = self.wanted()
            self.fetching = wanted > 0
            return wanted

    def wanted(self) -> int:
        """How many items are wanted."""
        ready, waiting, pace = len(self.ready), self.waiting, self.pace
        if self.stopping or self.exhausted or self.error is not None or self.outbox.crowded:
            return 0
        if ready >= waiting and (ready >= pace.prefetch or self._overstayed):
            return 0
        most = pace.batch if pace.fixed else max(pace.batch, min(waiting - ready, pace.bound))
        return most if self._in_hand is None else max(0, min(most, self._in_hand - ready - self.begun))

    def next_due(self) -> float | None:
        """When something is to be sent even if nothing rings."""
        with self.lock:
            dues = [held.beat_at for held in self.helds]
            if self.outbox.due is not None:
                dues.append(self.outbox.due)
            if self.ready and self.pace.stay is not None:
                dues.append(self.ready[0].held.arrived + self.pace.stay)
            return min(dues, default=None)

    def should_settle(self, now: float) -> bool:
        """Whether what is done is to be sent without waiting for the next fetch."""
        due = self.outbox.due
        return due is not None and (now >= due or self.pace.slow or self.outbox.crowded or self._alone)

    def finished(self, now: float) -> bool:
        """Whether the last of all has been said, or the time for that is over."""
        if self.deadline is None:
            return False
        said = self.fetcher_left and not self.ready and not self.outbox.unsaid
        return said or now >= self.deadline

    # -- what flows tell

    def poll(self, *, polling: bool) -> None:
        """The fetcher begins or ends a wait: meanwhile what is done can't go with it."""
        self.polling = polling
        if polling and self.outbox:
            self.work.ring()

    def flush(self, change: int) -> None:
        """Somebody begins or ends to wait until all is said."""
        with self.lock:
            self.flushing += change
        self.work.ring()

    def arrived(self, lease: Lease, sent: float, asked: int) -> None:
        """A lease was given, by a request that was sent at ``sent``."""
        held = Held(lease.token, self.ttl, self.clock())
        held.kept(sent, lease.expires_in)
        with self.lock:
            self.helds.append(held)
            held.whole = len(lease.items)
            held.jobs = {seq: Job(self, held, seq, value, attempt) for seq, value, attempt in lease.items}
            self.ready.extend(held.jobs.values())
            self.pace.fetched(asked, len(lease.items))
        self.jobs.ring()
        self.work.ring()

    def end(self) -> None:
        """The queue is exhausted."""
        self.exhausted = True
        self.jobs.ring()

    def fail(self, error: ClientError, *, at_once: bool = False) -> None:
        """No more will come. What is ready is still handed out, unless ``at_once``."""
        with self.lock:
            self.error = self.error or error
            self._at_once = self._at_once or at_once
        self.jobs.ring()

    def stop(self, deadline: float | None = None) -> None:
        """Begin nothing more. With a deadline: that is the end, and by then all is to be said.

        It may come from a finalizer in the middle of anything, so it only leaves word.
        """
        if deadline is not None and self.deadline is None:
            self.deadline = deadline
        self.stopping = True
        self.work.ring()
        self.jobs.ring()

    def shed(self, now: float) -> bool:
        """Give back what was fetched at another pace, or behind a job that takes long: others may be idle.

        Whether there was any.
        """
        with self.lock:
            stay, ready = self.pace.stay, self.ready
            if stay is None or not ready or ready[0].held.arrived + stay > now:
                return False
            while ready and ready[0].held.arrived + stay <= now:
                self._end(ready.popleft(), RELEASE)
            self._overstayed = True
            self.pace.overstayed()
            return True

    def give_back(self) -> None:
        """After a stop: release what is ready; at the very end, also what was handed out and never settled.

        What was entered (``with job``) is nacked instead, and all that was handed out where an exception ends
        the loop: that counts as an attempt, as an item that ends its workers must not go round for ever.
        """
        with self.lock:
            while self.ready:
                self._end(self.ready.popleft(), RELEASE)
            if self.deadline is None or not self.begun:
                return
            left = Verdict(NACKS, error="its worker stopped without settling it")
            for job in [job for held in self.helds for job in held.jobs.values() if job.stage == BEGUN]:
                self.begun -= 1
                self._end(job, left if job.entered or self.broken else RELEASE)

    def over(self, jobs: Sequence[Job], outcome: str) -> None:
        """The server has said what became of jobs of one lease."""
        held = jobs[0].held
        for job in jobs:
            job.stage = OVER
            job.outcome = outcome
            held.jobs.pop(job.seq, None)
        setattr(self.counts, outcome, getattr(self.counts, outcome) + len(jobs))
        self._tidy(held)

    def lose(self, job: Job) -> None:
        """A job's lease has ended: say so, whatever the job is at."""
        with self.lock:
            if job.taken or job.stage == OVER:
                return
            begun = job.stage != READY
            self._leave(job)
            job.taken = True
            self.over([job], "lost")
            self.nudge()
        if not begun:
            return
        log.warning("%r: others may do it again", job)
        try:
            self._on_lost(job)
        except Exception:
            log.exception("on_lost failed for %r", job)

    def refused(self, job: Job, error: ServerRefused, *, alone: bool = False) -> None:
        """A job's end was refused: it is nacked instead, so that the refusal is seen with the item.

        ``alone``: what this job said was at fault, and the others can go on.
        """
        how: Mapping[str, Any] = {}
        try:
            how = self.on_refused(job, error) or how
        except Exception:
            log.exception("on_refused failed for %r", job)
        with self.lock:
            self._end(job, Verdict(NACKS, error=fit(str(error)), fallback=True, **how))
        if alone:
            log.warning("%r failed, as its end was refused: %s", job, error)
        else:
            self.fail(error, at_once=True)

    def nudge(self) -> None:
        """Ring for a fetch, when there is none and one is wanted; and for what no fetch will take along.

        Not for every job: who was rung for is not rung for again before it has looked.
        """
        if not self._called and not self.fetching and self.wanted() > 0:
            self._called = True
            self.work.ring()
        elif self.outbox and self._alone:
            self.work.ring()

    # -- inside

    def _begin(self, now: float) -> Job | None:
        ready = self.ready
        if self.error is not None and (self._at_once or not ready):
            raise self.error
        if self.stopping or not ready or ready[0].held.due <= now:
            return None
        job = ready.popleft()
        job.stage = BEGUN
        self.begun += 1
        self.counts.begun += 1
        self._returned = now
        self._overstayed = False
        if not self.fetching and (self.waiting or len(ready) < self.pace.prefetch):
            self.nudge()
        return job

    def _end(self, job: Job, verdict: Verdict) -> None:
        job.verdict = verdict
        job.stage = DONE
        if self.outbox.add(job):
            self.work.ring()
        if self.polling or self.stopping or self.flushing or self.fetcher_left or self._in_hand is not None:
            self.nudge()

    def _leave(self, job: Job) -> None:
        if job.stage == BEGUN:
            self.begun -= 1
        elif job.stage == READY:
            self.ready.remove(job)

    def _tidy(self, held: Held) -> None:
        if not held.jobs and held in self.helds:
            self.helds.remove(held)

    @property
    def _alone(self) -> bool:
        """Whether no fetch will take along what is done, or somebody waits for that."""
        idle = self.polling and (self.waiting > 0 or not self.ready)
        return idle or self.fetcher_left or self.stopping or self.flushing > 0

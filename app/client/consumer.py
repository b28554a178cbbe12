"""A lease iterator, put together: its jobs, a fetcher, a keeper, and what its consumers wait for."""

from __future__ import annotations

from collections.abc import Callable

from .errors import ClientError
from .fetcher import Fetcher
from .flow import Bell, Flow, Listen, Terms, log
from .job import Job
from .jobs import Jobs
from .keeper import Keeper
from .options import Options
from .records import LeaseAsk
from .settling import Settling
from .text import Default


class Consumer:
    """The flows of one lease iterator.

    Args:
        queue: The queue's name.
        worker: Who leases.
        terms: How long a request is sent again while nobody answers.
        options: Those of the lease iterator.
        bell: Makes a bell.
        default: Makes JSON of what JSON can't carry.
    """

    def __init__(
        self,
        queue: str,
        worker: str,
        terms: Terms,
        options: Options,
        *,
        bell: Callable[[], Bell],
        default: Default | None = None,
    ) -> None:
        self._clock = terms.tempo.clock
        self.jobs = jobs = Jobs(
            queue,
            options,
            came=bell(),
            wanted=bell(),
            changed=bell(),
            clock=self._clock,
            default=default,
        )
        terms = terms.until(jobs.stop)
        self.settling = Settling(jobs, terms, options.on_lost)
        self.keeper = Keeper(jobs, self.settling)
        ask = LeaseAsk(1, options.ttl, options.wait, worker)
        self.fetcher = Fetcher(jobs, self.keeper, self.settling, terms, ask, options.until_empty)
        self.grace = options.grace

    # -- the consumer's own thread or task

    def next_job(self) -> Flow[Job | None]:
        """Wait for the next job; None: there are no more."""
        jobs = self.jobs
        jobs.wait(+1)
        try:
            while True:
                seen = jobs.came.rings
                job = jobs.begin()
                if job is not None or jobs.ended:
                    return job
                yield Listen(jobs.came, seen)
        finally:
            jobs.wait(-1)

    def flush(self, seconds: float | None) -> Flow[bool]:
        """Wait until all that is done is settled, at most so long; whether it is."""
        jobs, clock = self.jobs, self._clock
        until = None if seconds is None else clock() + seconds
        jobs.flush(+1)
        try:
            while True:
                seen = jobs.came.rings
                if not jobs.outbox.unsaid or jobs.error is not None:
                    return not jobs.outbox.unsaid
                left = None if until is None else until - clock()
                if left is not None and left <= 0:
                    return False
                yield Listen(jobs.came, seen, left)
        finally:
            jobs.flush(-1)

    def stop(self, *, closing: bool = False) -> None:
        """Begin nothing more. ``closing``: within ``grace`` seconds all is to be said."""
        self.jobs.stop.set(self._clock() + self.grace if closing else None)
        self.jobs.came.ring()

    def tell_late(self) -> None:
        """Warn that closing took too long."""
        log.warning(
            "%s: the server did not answer in time while closing; the leases that are left run out",
            self.jobs.queue,
        )

    # -- the background

    def flows(self) -> dict[str, Flow[None]]:
        """The flows of the background, by name; keeping ends last."""
        return {"fetch": self._guarded(self.fetcher.fetch()), "keep": self._guarded(self.keeper.keep())}

    def _guarded(self, flow: Flow[None]) -> Flow[None]:
        """Run a flow; tell the consumer of any exception that ends it."""
        try:
            yield from flow
        except Exception as error:
            log.exception("the client broke")
            broken = error if isinstance(error, ClientError) else ClientError(f"the client broke: {error!r}")
            self.jobs.fail(broken, at_once=True)

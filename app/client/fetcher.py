"""The fetcher of a lease iterator.

It settles what is done together with the next lease, one round trip; where nothing is done or nothing came,
it waits in a long poll. The keeper never waits for it: no slow source and no long poll costs a lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from . import calls
from .answers import Lease
from .errors import ClientError, Exhausted, LimitExceeded, ServerRefused
from .flow import Aborted, Flow, Listen, Terms
from .jobs import Jobs
from .keeper import Keeper
from .persist import PATIENT, persist
from .records import LeaseAsk
from .settling import REST, Entry, Settling

_ENDING: Final = frozenset({"exhausted", "closed"})
_SHORT_WAIT: Final = 1.0
_LOOK: Final = 0.1
"""Seconds between looks at a queue that is empty while jobs of it are in hand."""
_EARLY: Final = 3
"""A pause of so many doublings where a poll came back empty before its time."""


@dataclass
class Fetcher:
    """Fetches the jobs of one lease iterator.

    Attributes:
        jobs: Where they go.
        keeper: Makes the entries that a request takes along.
        settling: Sends them.
        terms: How long a request is sent again while nobody answers.
        ask: What a lease request says; ``max`` is decided each time.
        until_empty: End also when the queue has nothing now, and nothing of its own is in hand.
        ending: Whether the queue's source has ended: then a poll is short.
    """

    jobs: Jobs
    keeper: Keeper
    settling: Settling
    terms: Terms
    ask: LeaseAsk
    until_empty: bool
    ending: bool = False

    def fetch(self) -> Flow[None]:
        """Fetch whenever something is wanted, until stopped."""
        jobs = self.jobs
        try:
            while True:
                seen = jobs.wanted.rings  # first: a stop between looking and this would be slept through
                if jobs.stop.begun:
                    return
                wanted = jobs.look()
                if wanted:
                    yield from self._fetch(wanted)
                else:
                    yield Listen(jobs.wanted, seen)
        finally:
            jobs.demand.fetcher_left = True
            jobs.changed.ring()

    def _fetch(self, wanted: int) -> Flow[None]:
        jobs, ask = self.jobs, replace(self.ask, max=wanted)
        try:
            sent = self.terms.tempo.clock()
            entries = [] if jobs.pace.slow else self.keeper.entries(sent, done=True)
            if entries:
                lease = yield from self._settle_and_lease(entries, ask)
            elif self.until_empty:
                lease = yield from self._look(ask)
            else:
                lease = yield from self._poll(ask)
            if lease is not None:
                self.ending = lease.state in _ENDING
                jobs.arrived(lease, sent, wanted)
        except Exhausted:
            jobs.end()
        except Aborted:
            return
        except ClientError as error:
            if not self._lower(error, wanted):
                jobs.fail(error)
        finally:
            jobs.demand.fetching = False

    def _settle_and_lease(self, entries: Sequence[Entry], ask: LeaseAsk) -> Flow[Lease | None]:
        settlement = yield from self.settling.settle(entries, replace(ask, wait=0.0))
        if settlement is None:
            return None
        self.ending = settlement.state in _ENDING
        refusal = settlement.refusal
        if refusal is not None and not refusal.retryable:
            raise refusal
        if refusal is not None:
            yield from self._rest(refusal)
        return settlement.lease

    def _look(self, ask: LeaseAsk) -> Flow[Lease | None]:
        """Ask without waiting; it ends where nothing is there and nothing in hand could come back or push."""
        jobs = self.jobs
        idle, seen = jobs.idle, jobs.changed.rings  # before: what was settled since may have pushed
        lease = yield from self._poll(replace(ask, wait=0.0))
        if lease is None and idle:
            jobs.end()
        elif lease is None:
            jobs.poll(polling=True)  # what is done meanwhile is the keeper's to settle
            yield Listen(jobs.changed, seen, _LOOK)
            jobs.poll(polling=False)
        return lease

    def _poll(self, ask: LeaseAsk) -> Flow[Lease | None]:
        """Wait at the server until something can be claimed.

        If the poll is ended by a stop, only its key can tell whether something was handed out meanwhile:
        asked again, without waiting, so that it can be given back.
        """
        terms, clock, queue = self.terms, self.terms.tempo.clock, self.jobs.queue
        ask = replace(ask, wait=min(ask.wait, _SHORT_WAIT)) if self.ending else ask
        self.jobs.poll(polling=True)
        try:
            with terms.sessions.lent() as key:
                began = clock()
                try:
                    call = calls.lease(queue, ask)
                    lease = yield from persist(call, terms, key=key, endless=PATIENT, abortable=True)
                except Aborted as aborted:
                    if not aborted.reached:
                        raise
                    return (yield from persist(calls.lease(queue, replace(ask, wait=0.0)), terms, key=key))
            if lease is None and clock() - began < ask.wait / 2:
                yield from terms.pause(self.terms.tempo.step(_EARLY, None))
            return lease
        finally:
            self.jobs.poll(polling=False)

    def _lower(self, error: ClientError, wanted: int) -> bool:
        """Ask for less from now on, where a server's limits are lower than ours; False if that can't help."""
        if not isinstance(error, LimitExceeded):
            return False
        if error.field == "wait" and error.longest < self.ask.wait:
            self.ask = replace(self.ask, wait=error.longest)
            return True
        return error.field in {"max", "lease.max"} and self.jobs.pace.bounded(wanted, error.most)

    def _rest(self, refusal: ServerRefused) -> Flow[None]:
        """The queue gives nothing for a while; what is done is the keeper's until then."""
        pause = self.terms.tempo.step(0, refusal.retry_after or REST)
        if self.terms.on_wait is not None:
            self.terms.on_wait(pause, str(refusal))
        self.jobs.poll(polling=True)
        yield from self.terms.pause(pause)
        self.jobs.poll(polling=False)

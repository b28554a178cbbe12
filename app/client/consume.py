"""What a lease iterator does: a flow that fetches, and one that keeps.

*The fetcher* settles what is done together with the next lease, one round trip; where nothing is done or
nothing came, it waits in a long poll. *The keeper* sends heartbeats, and settles what should not wait for the
fetcher. Neither waits for the other, so a slow source or a long poll never costs a lease.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal

from . import calls
from .answers import Lease, Settlement
from .errors import ClientError, Exhausted, Invalid, LimitExceeded, ServerRefused
from .flow import Aborted, Bell, Flow, Listen, Terms
from .hand import Hand
from .job import Job
from .keys import Key
from .pace import Pace
from .parcel import Part, abandon, compose, conclude, reject
from .persist import PATIENT, persist
from .records import LeaseAsk
from .text import Default

_ENDING: Final = frozenset({"exhausted", "closed"})
_SHORT_WAIT: Final = 1.0
_REST: Final = 1.0
_LOOK: Final = 0.1
"""Seconds between looks at a queue that is empty while jobs of it are in hand."""
_LEAST_TTL: Final = 0.001
_HURRY: Final = 5.0
"""Seconds for a settle on a connection that hangs, at least; else a third of the ttl."""
_EARLY: Final = 3
"""A pause of so many doublings where a poll came back empty before its time."""


class WorkTerms(Terms):
    """Patience that ends with the time for closing; a pause that ends when closing begins."""

    def __init__(self, terms: Terms, hand: Hand) -> None:
        super().__init__(terms.tempo, terms.patience, terms.on_wait, terms.contact, terms.sessions)
        self._hand = hand

    def deadline(self, began: float) -> float:
        """Until when a request that is asked since ``began`` is sent again."""
        last = super().deadline(began)
        return last if self._hand.deadline is None else min(last, self._hand.deadline)

    def pause(self, seconds: float) -> Flow[None]:
        """Wait, but not into a stop."""
        hand, stopping = self._hand, self._hand.stopping
        until = min(self.tempo.clock() + seconds, math.inf if hand.deadline is None else hand.deadline)
        while True:
            seen = hand.work.rings  # first: a stop between looking and this would be slept through
            left = until - self.tempo.clock()
            if hand.stopping != stopping or left <= 0:
                return
            yield Listen(hand.work, seen, left)


class Consumer:
    """The flows of one lease iterator.

    Args:
        hand: What it has in hand.
        ask: What a lease request says; ``max`` is decided each time.
        terms: How long a request is sent again while nobody answers.
        grace: Seconds that closing may take.
        until_empty: End also when the queue has nothing now, and nothing of its own is in hand.
    """

    def __init__(
        self, hand: Hand, ask: LeaseAsk, terms: Terms, grace: float, *, until_empty: bool = False
    ) -> None:
        self.hand = hand
        self.grace = grace
        self._ask = ask
        self._tempo = terms.tempo
        self._terms = WorkTerms(terms, hand)
        self._ending = False
        self._until_empty = until_empty

    # -- the consumer's own thread or task

    def next_job(self) -> Flow[Job | None]:
        """Wait for the next job; None: there are no more."""
        hand = self.hand
        hand.wait(+1)
        try:
            while True:
                seen = hand.jobs.rings
                job = hand.begin()
                if job is not None or hand.ended:
                    return job
                yield Listen(hand.jobs, seen)
        finally:
            hand.wait(-1)

    def flush(self, seconds: float | None) -> Flow[bool]:
        """Wait until all that is done is settled, at most so long; whether it is."""
        hand, clock = self.hand, self._tempo.clock
        until = None if seconds is None else clock() + seconds
        hand.flush(+1)
        try:
            while True:
                seen = hand.jobs.rings
                if not hand.outbox.unsaid or hand.error is not None:
                    return not hand.outbox.unsaid
                left = None if until is None else until - clock()
                if left is not None and left <= 0:
                    return False
                yield Listen(hand.jobs, seen, left)
        finally:
            hand.flush(-1)

    # -- the fetcher

    def fetch(self) -> Flow[None]:
        """Fetch whenever something is wanted, until stopped."""
        hand = self.hand
        try:
            while True:
                seen = hand.work.rings  # first, as in a pause
                if hand.stopping:
                    return
                wanted = hand.look()
                if wanted:
                    yield from self._fetch(wanted)
                else:
                    yield Listen(hand.work, seen)
        finally:
            hand.fetcher_left = True
            hand.work.ring()

    def _fetch(self, wanted: int) -> Flow[None]:
        hand, ask = self.hand, replace(self._ask, max=wanted)
        try:
            sent = self._tempo.clock()
            parts = [] if hand.pace.slow else compose(hand, sent, done=True)
            if parts:
                lease = yield from self._settle_and_lease(parts, ask)
            elif self._until_empty:
                lease = yield from self._look(ask)
            else:
                lease = yield from self._poll(ask)
            if lease is not None:
                self._ending = lease.state in _ENDING
                hand.arrived(lease, sent, wanted)
        except Exhausted:
            hand.end()
        except Aborted:
            return
        except ClientError as error:
            if not hand.pace.bounded(wanted, _allowed(error)):
                hand.fail(error)
        finally:
            hand.fetching = False

    def _settle_and_lease(self, parts: Sequence[Part], ask: LeaseAsk) -> Flow[Lease | None]:
        settlement = yield from self.settle(parts, replace(ask, wait=0.0))
        if settlement is None:
            return None
        self._ending = settlement.state in _ENDING
        refusal = settlement.refusal
        if refusal is not None and not refusal.retryable:
            raise refusal
        if refusal is not None:
            yield from self._rest(refusal)
        return settlement.lease

    def _look(self, ask: LeaseAsk) -> Flow[Lease | None]:
        """Ask without waiting; it ends where nothing is there and nothing in hand could come back or push."""
        hand = self.hand
        idle, seen = hand.idle, hand.work.rings  # before it is asked: what was settled since may have pushed
        lease = yield from self._poll(replace(ask, wait=0.0))
        if lease is None and idle:
            hand.end()
        elif lease is None:
            hand.poll(polling=True)  # what is done meanwhile is the keeper's to settle
            yield Listen(hand.work, seen, _LOOK)
            hand.poll(polling=False)
        return lease

    def _poll(self, ask: LeaseAsk) -> Flow[Lease | None]:
        """Wait at the server until something can be claimed.

        If the poll is ended by a stop, only its key can tell whether something was handed out meanwhile:
        asked again, without waiting, so that it can be given back.
        """
        with self._terms.sessions.lent() as key:
            ask = replace(ask, wait=min(ask.wait, _SHORT_WAIT)) if self._ending else ask
            return (yield from self._poll_with(ask, key))

    def _poll_with(self, ask: LeaseAsk, key: Key) -> Flow[Lease | None]:
        hand, queue = self.hand, self.hand.queue
        hand.poll(polling=True)
        try:
            began = self._tempo.clock()
            call = calls.lease(queue, ask)
            lease = yield from persist(call, self._terms, key=key, endless=PATIENT, abortable=True)
            if lease is None and self._tempo.clock() - began < ask.wait / 2:
                yield from self._terms.pause(self._tempo.step(_EARLY, None))
        except Aborted as aborted:
            if not aborted.reached:
                raise
            lease = yield from persist(calls.lease(queue, replace(ask, wait=0.0)), self._terms, key=key)
        finally:
            hand.poll(polling=False)
        return lease

    def _rest(self, refusal: ServerRefused) -> Flow[None]:
        """The queue gives nothing for a while; what is done is the keeper's until then."""
        pause = self._tempo.step(0, refusal.retry_after or _REST)
        if self._terms.on_wait is not None:
            self._terms.on_wait(pause, str(refusal))
        self.hand.poll(polling=True)
        yield from self._terms.pause(pause)
        self.hand.poll(polling=False)

    # -- the keeper

    def keep(self) -> Flow[None]:
        """Keep the leases alive, and settle, until all is said or the time for that is over."""
        hand, clock = self.hand, self._tempo.clock
        while True:
            seen = hand.work.rings
            if hand.stopping:
                hand.give_back()
            now = clock()
            if hand.finished(now):
                return
            parts = compose(hand, now, done=hand.shed(now) or hand.should_settle(now))
            if parts:
                yield from self.settle(parts)
            else:
                due = hand.next_due()
                yield Listen(hand.work, seen, None if due is None else max(0.0, due - clock()))

    # -- both

    def settle(self, parts: Sequence[Part], ask: LeaseAsk | None = None) -> Flow[Settlement | None]:
        """Send entries, and take in what became of them. None: that is not known, or was found out singly.

        While the server can't be reached the consumer is told, and the same request is sent again, with its
        key, until closing ends: under another key an ack that was lost on its way back would look stale.
        """
        with self._terms.sessions.lent() as key:
            return (yield from self._settle_with(parts, ask, key))

    def _settle_with(self, parts: Sequence[Part], ask: LeaseAsk | None, key: Key) -> Flow[Settlement | None]:
        hand = self.hand
        call = calls.settle(hand.queue, [(part.kind, part.text) for part in parts], ask)
        call = replace(call, request=call.request._replace(within=max(_HURRY, hand.ttl / 3)))
        sent = self._tempo.clock()
        while True:
            try:
                asked = self._tempo.clock()
                settlement = yield from persist(call, self._terms, key=key)
            except ServerRefused as refused:
                if not refused.retryable:
                    yield from self._part_by_part(parts, ask, refused)
                    return None
                hand.fail(refused, at_once=True)
            except ClientError as error:
                hand.fail(error, at_once=True)
            else:
                hand.pace.travelled(self._tempo.clock() - asked)
                conclude(hand, parts, settlement, sent)
                return settlement
            if hand.finished(self._tempo.clock()):
                abandon(hand, parts)
                return None
            yield from self._terms.pause(_REST)

    def _part_by_part(
        self, parts: Sequence[Part], ask: LeaseAsk | None, refused: ServerRefused
    ) -> Flow[None]:
        """One wrong entry refuses a whole request: find it, so that the others are settled."""
        if ask is not None:
            yield from self.settle(parts)
            if (refused.field or "").startswith("lease"):
                raise refused
        elif len(parts) > 1 and isinstance(refused, Invalid):
            middle = len(parts) // 2
            yield from self.settle(parts[:middle])
            yield from self.settle(parts[middle:])
        else:
            reject(self.hand, parts, refused)


def _allowed(error: ClientError) -> int:
    """How many items a server lets one request ask for, if that is what it refused; else 0."""
    if not isinstance(error, LimitExceeded) or error.field not in {"max", "lease.max"}:
        return 0
    most = str(error.limit).rpartition("..")[2]
    return int(most) if most.isdecimal() else 0


OnError = Literal["nack", "raise"]
OnLost = Callable[[Job], None]


def consumer(
    queue: str,
    worker: str,
    terms: Terms,
    bells: tuple[Bell, Bell],
    *,
    batch: int | None,
    ttl: float,
    prefetch: int | None,
    in_hand: int | None,
    wait: float,
    on_error: OnError,
    on_lost: OnLost | None,
    grace: float,
    until_empty: bool,
    default: Default | None,
) -> Consumer:
    """Put a consumer together from the arguments of ``RemoteQueue.lease``.

    Raises:
        ValueError: An argument is out of range.
    """
    _check("batch", batch, 1)
    _check("prefetch", prefetch, 0)
    _check("in_hand", in_hand, 1)
    for name, seconds, least in (("ttl", ttl, _LEAST_TTL), ("wait", wait, 0)):
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"{name} must be a number of seconds from {least} up, not {seconds!r}")
        if not least <= seconds < math.inf:
            raise ValueError(f"{name} must be a number of seconds from {least} up, not {seconds}")
    if on_error not in {"nack", "raise"}:
        raise ValueError(f"on_error {on_error!r}: nack or raise")
    jobs, work_bell = bells
    hand = Hand(
        queue,
        ttl,
        Pace(batch, prefetch, ttl),
        jobs=jobs,
        work=work_bell,
        clock=terms.tempo.clock,
        in_hand=in_hand,
        on_error=on_error,
        on_lost=on_lost,
        default=default,
    )
    return Consumer(hand, LeaseAsk(1, ttl, wait, worker), terms, grace, until_empty=until_empty)


def _check(name: str, value: int | None, least: int) -> None:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number from {least} up, not {value!r}")
    if value is not None and value < least:
        raise ValueError(f"{name} {value}: at least {least}")

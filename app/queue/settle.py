"""Settling: acks, nacks, extends, releases, and the next lease, in one transaction and one round trip."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

from ..errors import DibsError, LimitExceeded, QueueExhausted, Refused, SourceBusy, Stopping
from ..ledger.ops import Recalled, Remember, Take
from ..ledger.pending import Pending
from ..ledger.work import Ack, Claim, Entry, Extend, Nack, Release, Settle, Settlement, Span
from .answers import LeaseAsk, Leased, SettleAnswer
from .desk import Track, outcome, recall
from .exchange import Exchanging
from .handout import HandOuts, request_of

NEXT = "\n"
"""What a key is followed by where the next lease came after its settling, in an op of its own; no key that a
caller can send has it."""


FEW = 1_000
"""Entries, or ranges, that are checked on the event loop; more would keep it from everyone else."""


_NOT_DEAD = ", dead=False)"


@dataclass(slots=True)
class _Request:
    """One settle request under way. ``remember``, ``track`` and ``text`` (its digest) belong to its key."""

    entries: tuple[Entry, ...]
    lease: LeaseAsk | None
    remember: Remember | None = None
    track: Track = lambda pending: None
    text: str = ""

    @property
    def comes_back(self) -> bool:
        """Whether the request lets items wait again at once, so that the next lease begins with them."""
        return any(
            isinstance(entry, Release) or (isinstance(entry, Nack) and entry.delay == 0)
            for entry in self.entries
        )


class Settles(HandOuts):
    """The part of a queue that settles leased items."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.exchanging = Exchanging(self, self.rounds)

    async def settle(
        self, entries: tuple[Entry, ...], *, lease: LeaseAsk | None = None, key: str | None = None
    ) -> SettleAnswer:
        """Settle, and hand out the next lease if one is asked for. Stale items change nothing.

        Raises:
            LimitExceeded: an item is named twice, or a field is over its limit; nothing was changed.
            LedgerFull, LedgerUnavailable: the disk is at fault; nothing was changed.
            OutcomeUnknown: perhaps something was; ask again with the same key.
        """
        if len(entries) <= FEW and sum(len(entry.seqs or ()) for entry in entries) <= FEW:
            request = self._request(entries, lease, key)
        else:
            request = await asyncio.to_thread(self._request, entries, lease, key)
        if key is None:
            answered = await self._settle(request)
        else:
            answered = await self._settle_once(key, request, self._replay_settling)
        return self._metered(answered)

    def _request(self, entries: tuple[Entry, ...], lease: LeaseAsk | None, key: str | None) -> _Request:
        self._check(entries, lease)
        request = _Request(tuple(map(in_order, entries)), lease)
        if key is not None:
            request.text = _digest(request)
        return request

    async def _settle_once(
        self, key: str, request: _Request, replay: Callable[[Recalled], SettleAnswer]
    ) -> SettleAnswer:
        async def run(remember: Remember, track: Track) -> SettleAnswer:
            request.remember, request.track = remember, track
            later = await self._later_lease(request, key)
            if later is not None:  # its settling changed nothing, so only the lease was filed
                return replace(await self._alone(request), lease=later, replayed=True)
            return await self._settle(request)

        answered = await self.once_for(key, request.text, run, replay)
        if not answered.replayed or request.lease is None or answered.lease is not None:
            return answered
        later = await self._later_lease(request, key)
        return replace(answered, lease=later, refusal=None if later else self._why_none())

    async def _later_lease(self, request: _Request, key: str) -> Leased | None:
        """The lease that came after its settle, in an op of its own, perhaps just now."""
        if request.lease is None:
            return None
        async with self.keys.hold(key + NEXT, request_of(request.lease), self._limits.commit_patience):
            recalled = recall(self._engine, self.row, key + NEXT)
        handed = recalled and self._replay(recalled, ask=self._leasing(request.lease))
        return handed if isinstance(handed, Leased) else None

    def _why_none(self) -> Refused | None:
        """Why there is no lease, as far as the queue knows without another request."""
        refusal = self._barred() or self._draw.gate.refusal()
        return None if isinstance(refusal, QueueExhausted) and self.claims.due is not None else refusal

    def _metered(self, answered: SettleAnswer) -> SettleAnswer:
        if not answered.replayed:
            self.meter.settle(answered.entries)
        if answered.lease is not None:
            self.meter.handed(answered.lease.count, replayed=answered.lease.replayed, seconds=None)
        return answered

    # -- the ways to the ledger

    async def _settle(self, request: _Request) -> SettleAnswer:
        if self._stopping:
            raise Stopping("the server is going down", retry_after=1.0)
        if request.lease is None:
            return await self._alone(request)
        barred = self._barred()
        if barred is not None:
            answered = await self._alone(request)
            return replace(answered, refusal=barred)
        if self.claims.contended:  # those who wait come first
            answered = await self._alone(request)
        elif self.spec is None or request.comes_back or self.claims.worth_knowing():
            answered = await self._with_claim(request, request.lease)
        else:
            answered = await self._with_fresh(request, request.lease)
        if answered.lease is not None:
            return answered
        return await self._next_lease(answered, request, request.remember.key if request.remember else None)

    def _op(self, request: _Request, lease: Claim | Take | None, remember: Remember | None) -> Settle:
        return Settle(self.row.id, request.entries, random.random(), lease, self.item_key_ttl, remember)  # noqa: S311

    async def _alone(self, request: _Request) -> SettleAnswer:
        pending = self.commit(self._op(request, None, request.remember), self.claims.settled)
        request.track(pending)
        return self._answer(await outcome(pending, self._limits), None)

    async def _with_claim(self, request: _Request, lease: LeaseAsk) -> SettleAnswer:
        ask = self._leasing(lease)
        ask.remember = request.remember
        op = self._op(request, self._claim_op(ask), request.remember)
        pending: Pending[Settlement] = self.commit(op, self.claims.settled_and_claimed)
        request.track(pending)
        try:
            settlement = await outcome(pending, self._limits)
        except asyncio.CancelledError:
            self._give_back(pending, ask)
            raise
        finally:
            self.claims.arm()
        claimed = settlement.claimed
        handed = self._handed(ask, claimed) if claimed and claimed.spans else None
        return self._answer(settlement, handed if isinstance(handed, Leased) else None)

    async def _with_fresh(self, request: _Request, lease: LeaseAsk) -> SettleAnswer:
        """Draw, and settle in the op that records the draw; a slow source doesn't hold up the settle."""
        ask = self._leasing(lease)
        ask.remember = request.remember
        ask.settle = partial(self._op, request)
        ask.settled = self._answer
        ask.begin()
        ask.patience = self._limits.settle_patience
        self._begin(ask)
        request.track(ask.pending)
        try:
            answered: SettleAnswer | None = await self._outcome(ask)
        except DibsError:
            if ask.enqueued:
                raise
            answered = None  # the draw was refused before it came to the line
        except asyncio.CancelledError:
            if ask.enqueued:
                self._give_back(ask.pending, ask)
            else:  # the acks of a client that has gone are done, too
                request.track(self.commit(self._op(request, None, request.remember), self.claims.settled))
            raise
        return answered if answered is not None else await self._alone(request)

    async def _next_lease(self, answered: SettleAnswer, request: _Request, key: str | None) -> SettleAnswer:
        """The next lease after a settle that is on disk, in an op of its own; or why there is none."""
        lease = request.lease
        assert lease is not None  # noqa: S101  # asked for
        ask = self._leasing(lease)
        try:
            if key is None:
                handed = await self._ask(ask, lease.wait)
            else:
                run = partial(self._ask_with_key, ask, lease.wait)
                replay = partial(self._replay, ask=ask)
                handed = await self.once_for(key + NEXT, request_of(lease), run, replay, checked=True)
        except (DibsError, TimeoutError) as refusal:
            error = refusal if isinstance(refusal, DibsError) else SourceBusy(str(refusal), retry_after=1.0)
            return replace(answered, state=self.state, refusal=error)
        return replace(answered, state=self.state, lease=handed, now=self._engine.now())

    def _answer(self, settlement: Settlement | None, handed: Leased | None) -> SettleAnswer:
        if settlement is None:
            raise RuntimeError("the lease is on disk, but after a failure nobody knows what was settled")
        return SettleAnswer(self.name, self.state, settlement.entries, self._engine.now(), handed)

    def _replay_settling(self, recalled: Recalled) -> SettleAnswer:
        """The same answer again, with the lease that was given in the same transaction."""
        settlement = recalled.work
        assert isinstance(settlement, Settlement)  # noqa: S101  # filed under a settle's request
        answered = replace(self._answer(settlement, None), replayed=True)
        claimed = settlement.claimed
        if claimed is None or claimed.due is None:
            return answered
        spans = claimed.spans
        if not spans:
            first = recalled.outcome["first"]
            spans = (Span(first, first + len(recalled.values) - 1),)
        return replace(answered, lease=self.replayed_lease(recalled, claimed.due, spans))

    # -- for many workers at once (see ``exchange``)

    @property
    def trades_at_once(self) -> bool:
        """Whether leases can be settled and given now, and no waiting request comes first."""
        return not self._leaving and self._barred() is None and not self.claims.contended

    async def lease_after(self, answered: SettleAnswer, lease: LeaseAsk) -> SettleAnswer:
        """The next lease for a worker whose settle is on disk and found no item; without a key."""
        after = await self._next_lease(answered, _Request((), lease), None)
        if after.lease is not None:
            self.meter.handed(after.lease.count, replayed=False, seconds=None)
        return after

    # -- before anything is spent

    def _check(self, entries: tuple[Entry, ...], lease: LeaseAsk | None) -> None:
        limits = self._limits
        limits.check_entries(entries)
        if lease is not None:
            limits.check_lease(lease)
        for entry in entries:
            if isinstance(entry, Nack):
                limits.check_text("error", entry.error, limits.error_bytes)
                limits.check_seconds("delay", (entry.delay or 0) / 1000, limits.delay)
            elif isinstance(entry, Extend):
                limits.check_seconds("ttl", entry.ttl / 1000, limits.ttl, least=0.001)
            elif isinstance(entry, Ack):
                for result in entry.push:
                    limits.check_seconds("push.delay", result.delay / 1000, limits.delay)
                    limits.check_count("push.priority", result.priority + 1, 10)
        check_named_once(entries)


def check_named_once(entries: tuple[Entry, ...]) -> None:
    """Raise if an item is named twice under one token: by two ranges, or by the whole lease and a range.

    Under two tokens it may be: one of them at most is live.
    """
    whole = {entry.token for entry in entries if entry.seqs is None}
    if len(whole) < sum(entry.seqs is None for entry in entries):
        raise LimitExceeded("a lease is named twice in one request", field="token", limit="once")
    if any(entry.token in whole for entry in entries if entry.seqs is not None):
        raise LimitExceeded("a lease is named whole and by seqs in one request", field="token", limit="once")
    ranges = sorted((entry.token, *span) for entry in entries for span in entry.seqs or ())
    for _, first, last in ranges:
        if not 1 <= first <= last:
            raise LimitExceeded(f"seqs [{first}, {last}] is no range", field="seqs", limit="1 ≤ first ≤ last")
    for (token, _, last), (other, first, _) in pairwise(ranges):
        if token == other and first <= last:
            raise LimitExceeded(f"item {first} is named twice in one request", field="seqs", limit="once")


def in_order(entry: Entry) -> Entry:
    """The entry with its ranges in ascending order, as the ledger needs them."""
    return entry if entry.seqs is None else entry._replace(seqs=tuple(sorted(entry.seqs)))


def _digest(request: _Request) -> str:
    """The digest by which two settles under the same key are told apart; their texts can be long.

    Release 0.3 filed digests of the same texts, so a request under way over an upgrade has its answer.
    """
    entries = ", ".join(map(_text, request.entries)) + ("," if len(request.entries) == 1 else "")
    lease = request_of(request.lease) if request.lease else ""
    return "settle " + hashlib.blake2b(f"({entries}) {lease}".encode(), digest_size=16).hexdigest()


def _text(entry: Entry) -> str:
    """An entry in the words of release 0.3: a field that it did not have is left out where it is not set."""
    text = repr(entry)
    return text.removesuffix(_NOT_DEAD) + ")" if text.endswith(_NOT_DEAD) else text

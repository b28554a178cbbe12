"""Settling: the holders of tokens ack, nack, extend or release their items.

A token is live while its run has it and ``now < due``; whatever is not live is stale. Where that is told,
what has expired is taken from the token for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..serve import Ask
from ..work import (
    ERROR_LEAST,
    ERRORS_BYTES,
    Ack,
    Entry,
    Extend,
    Nack,
    Refusal,
    Release,
    Settled,
    Verdict,
)
from . import claims, pushing, runs
from .accounts import Account
from .history import Held, caller_of, record
from .holding import Holding
from .rows import ALONE, Acked, Run
from .transaction import Transaction
from .verdicts import STALE, Verdicts

GONE = "\n"
"""The end of a token that was taken away: no token that is given out has it."""

# As its own constructor does, in a third of the time.
_settled: Callable[[Any], Settled] = partial(tuple.__new__, Settled)

Told = tuple[tuple[Settled, ...], ...]
"""What became of each entry."""

Change = Callable[[Run], tuple[Verdict, int | None, Run | None]]
"""The outcome for a part of a run: the verdict, its due, and the part afterwards; None: it is done."""


def whole(queue: int, entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """The tokens, with their queue, of which these entries say nothing but that all of their items are done.

    Those can be acked ahead of the others, many in one statement.
    """
    plain, tokens = [], []
    for entry in entries:
        tokens.append(entry.token)
        if type(entry) is Ack and entry.seqs is None and not entry.push:
            plain.append((queue, entry.token))
    if len(set(tokens)) == len(tokens):  # as a rule
        return plain
    times = Counter(tokens)
    return [held for held in plain if times[held[1]] == 1]


class Settling:
    """Settles entries of one queue, in their order. ``_held``: what each token holds that was looked at.

    ``_ahead``: what tokens held whose items were acked before all other entries. ``_stale``: tokens of
    which somebody is told that they hold something no longer.
    """

    def __init__(
        self, tx: Transaction, account: Account, key_ttl: int, ahead: Mapping[str, list[Acked]]
    ) -> None:
        self._tx = tx
        self._account = account
        self._queue = account.id
        self._acks: list[Held] = []
        self._ahead = ahead
        self._chance, self._caller = 0.0, ""
        self._key_ttl = key_ttl
        self._errors = 0  # bytes that may still be written
        self._held: dict[str, Holding] = {}
        self._stale: set[str] = set()
        for held in ahead.values():
            for run in held:
                account.acked += run.last - run.first + 1
                if run.kept or run.history:
                    runs.done(tx, run.queue, run.first, run.last, run)

    def settle(self, ask: Ask) -> Told:
        """Apply the entries of one caller; return what became of each."""
        entries = ask.entries
        self._chance, self._errors = ask.chance, ERRORS_BYTES
        self._caller = caller_of(ask)
        if len(entries) == 1:  # as a rule
            entry = entries[0]
            settled: Told = (_VERBS[type(entry)](self, entry),)
        else:
            settled = tuple([_VERBS[type(entry)](self, entry) for entry in entries])
        if self._acks:
            record(self._tx, self._account, "acked", self._acks, ask)
            self._acks = []
        return settled

    def write(self) -> None:
        """Write what the entries have changed."""
        for holding in self._held.values():
            holding.write(self._tx, self._queue)
        if self._stale:
            self._take_away()

    def _take_away(self) -> None:
        """Take its token from what has expired, since its holder is told: so it never is that token's again.

        What expired alone has failed, and waits or is dead. What expired together stays so, under a token
        that nobody was given.
        """
        tx, queue = self._tx, self._queue
        for run in tx.runs.lapsed(queue, list(self._stale), tx.now):
            if run.spent(tx.now, self._account.settings):
                claims.bury(tx, self._account, run)
                continue
            left = run._replace(token=f"{run.token}{GONE}")
            if run.most <= ALONE:
                left = runs.expired(tx, queue, run).waits(run.due, run.attempt)
            runs.rewrite(tx, queue, run, (left,))

    def _told_stale(self, entry: Entry) -> tuple[Settled, ...]:
        self._stale.add(entry.token)
        return STALE

    def ack(self, entry: Ack) -> tuple[Settled, ...]:
        """Ack the items of an entry; with results, all of it or nothing."""
        held = self._ahead.get(entry.token)
        if held is None:
            return self._ack_with_push(entry) if entry.push else self._apply(entry, self._acked)
        if not held:
            return self._told_stale(entry)
        if self._account.history:
            self._acks += [(run.first, run.last, run.worker) for run in held]
        if len(held) == 1:  # as a rule; spare it the list
            run = held[0]
            return (_settled(("acked", run.first, run.last, None, None, None)),)
        told = Verdicts()
        for run in sorted(held):
            told.add("acked", run.first, run.last)
        return told.all()

    def _acked(self, run: Run) -> tuple[Verdict, None, None]:
        account = self._account
        account.acked += run.last - run.first + 1
        if account.history:
            self._acks.append((run.first, run.last, run.worker))
        runs.done(self._tx, self._queue, run.first, run.last, run)
        return "acked", None, None

    def _ack_with_push(self, entry: Ack) -> tuple[Settled, ...]:
        pieces = self._holding(entry.token).pieces(entry.seqs)
        if not pieces:
            return self._told_stale(entry)
        reason, target = self._refusal(entry)
        if not all(held for _, _, held in pieces):
            self._stale.add(entry.token)
            reason = reason or "stale"
        if reason is not None:
            told = Verdicts()
            for first, last, held in pieces:
                if held:
                    told.add("refused", first, last, reason=reason, target=target)
                else:
                    told.add("stale", first, last)
            return told.all()
        settled = self._apply(entry, self._acked)
        for result in entry.push:
            account = self._tx.named(result.queue)
            assert account is not None  # noqa: S101  # it took the result a moment ago
            pushing.push_result(self._tx, account, result, self._key_ttl, self._caller)
        return settled

    def _refusal(self, entry: Ack) -> tuple[Refusal | None, str | None]:
        """The first target that does not take its result, and why."""
        for ahead, result in enumerate(entry.push):
            reason = pushing.refusal(self._tx.named(result.queue), ahead)
            if reason is not None:
                return reason, result.queue
        return None, None

    def nack(self, entry: Nack) -> tuple[Settled, ...]:
        """Nack items: they wait for their next attempt, or are dead without one. A long error is cut."""
        tx, settings = self._tx, self._account.settings
        error = self._error(entry) if len(entry.error) > ERROR_LEAST // 4 else entry.error

        def nacked(run: Run) -> tuple[Verdict, int | None, Run]:
            after = runs.failed(tx, self._queue, run, error, tx.now)
            if entry.dead or settings.buries(run.attempt):
                return "dead", None, self._account.bury(after, tx.now)
            delay = settings.delay(run.attempt, self._chance) if entry.delay is None else entry.delay
            return "nacked", tx.now + delay, after.waits(tx.now + delay, run.attempt)

        return self._apply(entry, nacked)

    def _error(self, entry: Nack) -> str:
        """The error as it is kept for each item: in what room the nacks before have left."""
        pieces = self._holding(entry.token).pieces(entry.seqs)
        items = sum(last - first + 1 for first, last, held in pieces if held)
        error = runs.shortened(entry.error, max(self._errors // max(items, 1), ERROR_LEAST))
        self._errors = max(self._errors - items * len(error.encode()), 0)
        return error

    def extend(self, entry: Extend) -> tuple[Settled, ...]:
        """Extend a lease, under the same token."""
        due = self._tx.lease(entry.ttl)

        def extended(run: Run) -> tuple[Verdict, int, Run]:
            return "extended", due, run._replace(due=due, ttl=entry.ttl)

        return self._apply(entry, extended)

    def release(self, entry: Release) -> tuple[Settled, ...]:
        """Release items: they wait again, and the hand-out does not count."""
        now = self._tx.now

        def released(run: Run) -> tuple[Verdict, None, Run]:
            return "released", None, run.waits(now, run.attempt - 1)

        return self._apply(entry, released)

    def _holding(self, token: str) -> Holding:
        """The items that a token holds, read once."""
        holding = self._held.get(token)
        if holding is None:
            held = self._tx.runs.held(self._queue, token, self._tx.now)
            holding = self._held[token] = Holding(held)
        return holding

    def _apply(self, entry: Entry, change: Change) -> tuple[Settled, ...]:
        """Change the items of an entry that its token holds; the others are stale."""
        holding = self._holding(entry.token)
        pieces = holding.pieces(entry.seqs)
        if not pieces:
            return self._told_stale(entry)
        told = Verdicts()
        for first, last, held in pieces:
            if not held:
                self._stale.add(entry.token)
                told.add("stale", first, last)
                continue
            verdict, due, part = change(holding.take(first, last))
            told.add(verdict, first, last, due)
            if part is not None:
                (holding.leave if part.token is None else holding.keep)(part)
        return told.all()


_VERBS: dict[type, Callable[[Settling, Any], tuple[Settled, ...]]] = {
    Ack: Settling.ack,
    Nack: Settling.nack,
    Extend: Settling.extend,
    Release: Settling.release,
}

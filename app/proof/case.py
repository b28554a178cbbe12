"""The case: a folded history as the rules look at it. Each view of it is made once, when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple, TypeVar

from .fold import Done, fold
from .holdings import Act, Holding, Holdings, hold
from .owned import Gap, Owners, allowed_in, gaps_of, own
from .records import Audit, Do, History, Inside, Note, Push, Pushed, Sighting, Take, Taken
from .values import Span, Value, gaps, size


class Item(NamedTuple):
    """An item of a push, with its name (its own key) or None, and whether the server knew it already."""

    seq: int
    value: Value
    name: str | None
    known: bool
    done: Done[Push, Pushed]

    def seen(self) -> Sighting:
        """The push as a finding names it."""
        return self.done.request.seen()


class Case:
    """A history with its requests folded. Everything in it is made from what clients sent and received."""

    def __init__(self, history: History) -> None:
        self.requests = [line for line in history.lines if not isinstance(line, Note)]
        self.folded = fold(history.lines)
        self.header = history.header
        self.end = history.end
        self.audits: tuple[Audit, ...] = self.end.audits if self.end else ()
        self.inside: tuple[Inside, ...] | None = self.end.inside if self.end else None

    # -- takes

    @cached_property
    def answers(self) -> list[Done[Take, Taken]]:
        """Every hand-out that handed out something."""
        return [done for done in self.folded.takes.done if done.answer.pieces]

    @cached_property
    def owners(self) -> Owners:
        """The owners of all items that were taken."""
        return own(self.answers)

    @cached_property
    def seqs(self) -> int:
        """How many different seqs were handed out."""
        return size(one.piece.span for one in self.owners.first)

    @cached_property
    def window(self) -> Span | None:
        """The seqs that the cursor passed; if nobody read it, from the lowest seq seen to the highest."""
        owners, before = self.owners.first, self.header.cursor
        first = before + 1 if before is not None else (owners[0].piece.first if owners else None)
        last = self.audits[-1].cursor if self.audits else (owners[-1].piece.last if owners else None)
        return None if first is None or last is None else (first, last)

    @cached_property
    def others(self) -> int | None:
        """How many seqs of the window other clients may have taken, or jumped over. None: any number."""
        header = self.header
        if header.taken is None or not self.audits:
            return 0 if header.exclusive else None
        last = self.audits[-1]
        jumped = max(0, last.jumped - (header.jumped or 0))
        return jumped + (0 if header.exclusive else max(0, last.taken - header.taken - self.seqs))

    @cached_property
    def gaps(self) -> list[Gap]:
        """The missing seqs of the window, ascending."""
        if self.window is None:
            return []
        missing = list(gaps((one.piece.span for one in self.owners.first), *self.window))
        allowed = allowed_in(missing, self.folded.takes.open, self.answers)
        return list(gaps_of(missing, allowed, self.others))

    # -- work

    @cached_property
    def items(self) -> list[Item]:
        """Every item in the answers to producers."""
        return [
            Item(seq, value, name, at in done.answer.known, done)
            for done in self.folded.pushes.done
            for at, (seq, value, name) in enumerate(
                zip(done.answer.seqs, done.request.asked.values, done.request.asked.names, strict=True)
            )
        ]

    @cached_property
    def pushed(self) -> dict[int, Item]:
        """The first push of each seq."""
        return {item.seq: item for item in reversed(self.items) if not item.known}

    @cached_property
    def held(self) -> Holdings:
        """Who held which item, and when."""
        return hold(self.folded.exchanges)

    @cached_property
    def acks(self) -> dict[int, tuple[Act, ...]]:
        """The acks that took effect of each item, the first one first."""
        found = {}
        for seq, holdings in self.held.by_seq.items():
            acks = [act for one in holdings for act in one.acts if act.do is Do.ACK and act.worked]
            if acks:
                first = min(acks, key=lambda act: act.until)
                found[seq] = (first, *(act for act in acks if act is not first))
        return found

    @cached_property
    def gone(self) -> dict[int, bool]:
        """Items that are neither acked nor inside, ascending; whether a lost reply may have acked them."""
        left = {item.seq for item in self.inside or ()}
        known = self.pushed.keys() | self.held.by_seq.keys()
        return {seq: self.maybe_acked(seq) for seq in sorted(known - self.acks.keys() - left)}

    @cached_property
    def unseen(self) -> dict[int, list[int]]:
        """The attempts of each item that only a later attempt tells of."""
        return {seq: missing for seq, holdings in self.held.by_seq.items() if (missing := _missing(holdings))}

    @property
    def unseen_may_be(self) -> int:
        """How many items requests without a reply may have been handed."""
        return sum(left.most for left in self.folded.exchanges.open)

    def maybe_acked(self, seq: int) -> bool:
        """Whether a request without a reply may have acked an item."""
        holdings = self.held.by_seq.get(seq, ())
        return any(act.do is Do.ACK and act.verdict is None for one in holdings for act in one.acts)


def _missing(holdings: list[Holding]) -> list[int]:
    seen = {holding.attempt for holding in holdings}
    return [attempt for attempt in range(1, min(max(seen), 10_000)) if attempt not in seen]


E = TypeVar("E", Holding, Done[Take, Taken])


def overtaken(
    effects: Iterable[E], low: Callable[[E], int], high: Callable[[E], int]
) -> Iterator[tuple[E, E]]:
    """Pairs of an effect that had arrived before another was sent, and that other, if it is the lower one.

    One sweep in the order of sending, O(n log n): whatever had arrived by then is summed up by its highest.
    Replies that arrived in the very nanosecond of sending count as concurrent.
    """
    by_sending = sorted(effects, key=lambda one: one.since)
    by_arrival = iter(sorted(by_sending, key=lambda one: one.until))
    arriving, top, highest = next(by_arrival, None), None, 0
    for one in by_sending:
        while arriving is not None and arriving.until < one.since:
            if top is None or high(arriving) > highest:
                top, highest = arriving, high(arriving)
            arriving = next(by_arrival, None)
        if top is not None and low(one) < highest:
            yield top, one

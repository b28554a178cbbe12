"""Damage on purpose: a checker that never says no proves nothing, so it is shown a wrong history.

Each damage is clean: it breaks one promise and leaves everything else as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, TypeVar

from .case import Case
from .errors import PlantError
from .fold import LONG_AGO, Done
from .holdings import Act, Holding
from .kinds import Damage, damages
from .owned import arrived_before
from .records import (
    Came,
    Do,
    Entry,
    Exchange,
    Exchanged,
    History,
    Lease,
    Line,
    Note,
    Outcome,
    Request,
    Take,
    Taken,
)
from .spans import Span, shown

T = TypeVar("T")
_TOKEN: Final = "planted"  # noqa: S105  # not a secret


@dataclass(frozen=True, slots=True)
class Ground:
    """A history to damage, and what happened in it."""

    history: History
    case: Case
    random: Random

    def choose(self, able: Sequence[T], problem: str) -> T:
        """One of those that the damage can be done to."""
        if not able:
            raise PlantError(problem)
        return self.random.choice(able)

    def changed(self, request: Request[Any, Any], change: Callable[[Request[Any, Any]], Any]) -> History:
        """The history with all attempts of one request changed."""
        lines: list[Any] = list(self.history.lines)
        lines = [change(line) if _is_of(line, request) else line for line in lines]
        return replace(self.history, lines=lines)

    def with_line(self, line: Line) -> History:
        """The history with one line more."""
        return replace(self.history, lines=[*self.history.lines, line])


def plant(history: History, damage: Damage, random: Random) -> tuple[History, str]:
    """Damage a copy of a history.

    Returns:
        The damaged history, and a sentence that describes the damage.

    Raises:
        PlantError: the history is too short, too concurrent or of the wrong kind for this damage.
    """
    kind = history.header.kind
    if damage.kind is not kind:
        raise PlantError(f"this is a history of {kind}, which knows {damages(kind)}")
    case = Case(history)
    if not (case.answers or case.held.by_seq):
        raise PlantError("nothing was handed out in this history")
    return _PLANTERS[damage](Ground(history, case, random))


def _duplicate(ground: Ground) -> tuple[History, str]:
    """A second client gets the same items at the same time."""
    answer = ground.random.choice(ground.case.answers)
    request = answer.request
    copy = replace(
        request,
        client="planted",
        key=None if request.key is None else f"planted-{request.key}",
        invoked=request.invoked if answer.since == LONG_AGO else answer.since,
        completed=answer.until,
        replay=False,
        line=0,
    )
    return ground.with_line(copy), f"{_shown(answer)} of {_whose(answer)} went to a second client too"


def _skip(ground: Ground) -> tuple[History, str]:
    """A request disappears with all its attempts, where no request without a reply could own its items."""
    header, answers = ground.history.header, ground.case.answers
    low = 0 if header.cursor is not None else min(one.answer.lowest for one in answers)
    high = max(one.answer.highest for one in answers)
    top = min([high + bool(ground.case.audits), *arrived_before(ground.case.folded.takes.open, answers)])
    able = [one for one in answers if low < one.answer.lowest and one.answer.highest < top]
    chosen = ground.choose(able, "no request can be left out unnoticed: the history is too short for a skip")
    left = [line for line in ground.history.lines if not _is_of(line, chosen.request)]
    # Nobody else is in a planted history: the server's counters are not to excuse the gap.
    alone = replace(header, exclusive=True, taken=None, jumped=None)
    return History(alone, left, ground.history.end), f"{_shown(chosen)} of {_whose(chosen)} went to nobody"


def _reorder(ground: Ground) -> tuple[History, str]:
    """Two requests swap their items, though the first was answered before the second was sent."""
    answers = ground.case.answers
    soonest = min(one.until for one in answers)
    later = [one for one in answers if one.since > soonest]
    second = ground.choose(
        later, "all requests of this history were in the air at once: nothing has an order"
    )
    first = ground.random.choice([one for one in answers if one.until < second.since])

    def swapped(line: Any) -> Any:
        for mine, other in ((first, second), (second, first)):
            if _is_of(line, mine.request):
                answer = line.answer and other.answer
                return replace(line, answer=answer, asked=other.request.asked)
        return line

    told = (
        f"{_whose(first)} and {_whose(second)}, which was sent after the first had its answer, "
        f"swapped {_shown(first)} and {_shown(second)}"
    )
    return replace(ground.history, lines=[swapped(line) for line in ground.history.lines]), told


def _acks(ground: Ground) -> list[tuple[Holding, Act]]:
    """The items that certainly have one ack only, with that ack."""
    found = []
    for seq, holdings in ground.case.held.by_seq.items():
        if not ground.case.maybe_acked(seq):
            acts = [(one, act) for one in holdings for act in one.acts if act.do is Do.ACK and act.worked]
            found += acts[:1]
    return found


def _lost(ground: Ground) -> tuple[History, str]:
    """An ack was never sent, and the item is not in the queue all the same."""
    holding, act = ground.choose(_acks(ground), "nothing was acked in this history")
    damaged = ground.changed(act.request, lambda line: _without(line, holding))
    return damaged, f"{holding.seq} (line {act.request.line}) was acked by nobody"


def _without(request: Request[Exchange, Exchanged], holding: Holding) -> Request[Exchange, Exchanged]:
    """A settle that leaves out one item."""
    seq, answer = holding.seq, request.answer
    entries: list[Entry] = []
    outcomes: list[tuple[Came, ...]] = []
    for at, entry in enumerate(request.asked.entries):
        came = answer.outcomes[at] if answer else ()
        if entry.token != holding.token or entry.do is not Do.ACK:
            left, kept = entry, came
        else:
            asked = [one[:2] for one in came if one.first] if entry.seqs is None else entry.seqs
            left = replace(entry, seqs=tuple(_cut(asked, seq)))
            kept = tuple(one._replace(first=a, last=b) for one in came for a, b in _cut([one[:2]], seq))
        if left.seqs != ():
            entries.append(left)
            outcomes.append(kept)
    answer = answer and replace(answer, outcomes=tuple(outcomes))
    return replace(request, asked=replace(request.asked, entries=tuple(entries)), answer=answer)


def _cut(spans: Sequence[Any], seq: int) -> Iterator[Span]:
    """The spans without one seq."""
    for first, last in spans:
        parts = [(first, seq - 1), (seq + 1, last)] if first and first <= seq <= last else [(first, last)]
        yield from (part for part in parts if not part[0] or part[0] <= part[1])


def _two_owners(ground: Ground) -> tuple[History, str]:
    """A second client is given the item while the first one's lease is live, and forgets it."""
    able = [
        holding
        for holding, _ in _acks(ground)
        if _is_last(ground, holding) and holding.until + 2 < holding.sure_until
    ]
    holding = ground.choose(able, "nobody held an item for certain in this history")
    at = ground.random.randrange(holding.until + 1, holding.sure_until - 1)
    told = f"{holding.seq}, leased by client {holding.done.request.client}, went to a second client too"
    return ground.with_line(_handed_out(holding, at)), told


def _acked_again(ground: Ground) -> tuple[History, str]:
    """An item is handed out again after its ack was answered."""
    able = [(holding, act) for holding, act in _acks(ground) if _is_last(ground, holding)]
    holding, act = ground.choose(able, "nothing was acked in this history")
    request = act.request
    told = f"{holding.seq}, acked by client {request.client} (line {request.line}), went out once more"
    return ground.with_line(_handed_out(holding, request.completed + 1)), told


def _is_last(ground: Ground, holding: Holding) -> bool:
    """Whether one more attempt contradicts nothing that came later, nor the most that are allowed."""
    most = ground.history.header.max_attempts
    last = ground.case.held.by_seq[holding.seq][-1]
    return holding is last and (most is None or holding.attempt < most)


def _handed_out(holding: Holding, at: int) -> Request[Exchange, Exchanged]:
    """A hand-out of the item to a client of its own, at this instant; too short for anything else."""
    lease = Lease(_TOKEN, 0, (holding.seq,), (holding.value,), (holding.attempt + 1,))
    asked, answer = Exchange((), 1, 0), Exchanged((), lease)
    return Request("planted", "planted", at, at, Outcome.OK, asked, answer)


def _value(ground: Ground) -> tuple[History, str]:
    """One hand-out carries another value than was pushed, where the reply to that push is known."""
    able = [holding for holding in ground.case.held if holding.seq in ground.case.items.by_seq]
    problem = "nothing that was pushed, with a reply, was handed out in this history"
    holding = ground.choose(able, problem)

    def revalued(line: Request[Exchange, Exchanged]) -> Request[Exchange, Exchanged]:
        if line.answer is None or line.answer.lease is None:
            return line
        lease = line.answer.lease
        values = tuple(
            '"planted"' if seq == holding.seq else value
            for seq, value in zip(lease.seqs, lease.values, strict=True)
        )
        return replace(line, answer=replace(line.answer, lease=replace(lease, values=values)))

    request = holding.done.request
    told = f"{holding.seq} (line {request.line}) was handed out with another value"
    return ground.changed(request, revalued), told


def _is_of(line: Line, request: Request[Any, Any]) -> bool:
    """Whether a line is an attempt of a request."""
    if line is request:
        return True
    return not isinstance(line, Note) and line.key is not None and line.key == request.key


def _shown(answer: Done[Take, Taken]) -> str:
    return shown((answer.answer.lowest, answer.answer.highest))


def _whose(answer: Done[Take, Taken]) -> str:
    return f"client {answer.request.client} (line {answer.request.line})"


_PLANTERS: Final[dict[Damage, Callable[[Ground], tuple[History, str]]]] = {
    Damage.DUPLICATE: _duplicate,
    Damage.SKIP: _skip,
    Damage.REORDER: _reorder,
    Damage.LOST: _lost,
    Damage.TWO_OWNERS: _two_owners,
    Damage.ACKED_AGAIN: _acked_again,
    Damage.VALUE: _value,
}

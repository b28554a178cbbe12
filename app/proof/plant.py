"""Damage on purpose: a checker that never says no proves nothing, so it is shown a wrong history.

Each damage is clean: it breaks one promise and leaves everything else as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, TypeVar

from .case import Case
from .errors import PlantError
from .fold import LONG_AGO, Done
from .holdings import Act, Holding
from .kinds import Damage, damages
from .owned import arrived_before
from .records import (
    Do,
    Exchange,
    Exchanged,
    History,
    Lease,
    Line,
    Outcome,
    Push,
    Pushed,
    Request,
    Take,
    Taken,
)
from .values import shown

T = TypeVar("T")
Exchanges = Request[Exchange, Exchanged]
_TOKEN: Final = "planted"  # noqa: S105  # not a secret


class Ground:
    """A copy of a history, to be damaged, and what happened in it."""

    def __init__(self, history: History, random: Random) -> None:
        self.case = Case(history)
        self.header = history.header
        self.lines: list[Any] = list(history.lines)
        self.random = random

    def choose(self, able: Sequence[T], problem: str) -> T:
        """One of those that the damage can be done to."""
        if not able:
            raise PlantError(problem)
        return self.random.choice(able)

    def change(self, request: Request[Any, Any], change: Callable[[Any], Line | None]) -> None:
        """Change all attempts of one request; None leaves them out."""
        changed = (change(line) if _is_of(line, request) else line for line in self.lines)
        self.lines = [line for line in changed if line is not None]

    def add(self, asked: Any, answer: Any, at: int) -> None:
        """Add a request of a client of its own, answered at this instant: too short for anything else."""
        self.lines.append(Request("planted", "planted", at, at, Outcome.OK, asked, answer))


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
    ground = Ground(history, random)
    if not (ground.case.answers or ground.case.held.by_seq):
        raise PlantError("nothing was handed out in this history")
    told = _PLANTERS[damage](ground)
    return History(ground.header, ground.lines, history.end), told


def _duplicate(ground: Ground) -> str:
    """A second client gets the same items at the same time."""
    answer = ground.random.choice(ground.case.answers)
    request = replace(answer.request, client="planted", completed=answer.until, replay=False, line=0)
    key = None if request.key is None else f"planted-{request.key}"
    invoked = request.invoked if answer.since == LONG_AGO else answer.since
    ground.lines.append(replace(request, key=key, invoked=invoked))
    return f"{_shown(answer)} of {_whose(answer)} went to a second client too"


def _skip(ground: Ground) -> str:
    """A request disappears with all its attempts, where no request without a reply could own its items."""
    header, answers = ground.header, ground.case.answers
    low = 0 if header.cursor is not None else min(one.answer.lowest for one in answers)
    high = max(one.answer.highest for one in answers)
    top = min([high + bool(ground.case.audits), *arrived_before(ground.case.folded.takes.open, answers)])
    able = [one for one in answers if low < one.answer.lowest and one.answer.highest < top]
    chosen = ground.choose(able, "no request can be left out unnoticed: the history is too short for a skip")
    ground.change(chosen.request, lambda _: None)
    # Nobody else is in a planted history: the server's counters are not to excuse the gap.
    ground.header = replace(header, exclusive=True, taken=None, jumped=None)
    return f"{_shown(chosen)} of {_whose(chosen)} went to nobody"


def _reorder(ground: Ground) -> str:
    """Two requests swap their items, though the first was answered before the second was sent."""
    answers = ground.case.answers
    soonest = min(one.until for one in answers)
    problem = "all requests of this history were in the air at once: nothing has an order"
    second = ground.choose([one for one in answers if one.since > soonest], problem)
    first = ground.random.choice([one for one in answers if one.until < second.since])
    _give(ground, first.request, second)
    _give(ground, second.request, first)
    order = f"{_whose(first)} and {_whose(second)}, which was sent after the first had its answer"
    return f"{order}, swapped {_shown(first)} and {_shown(second)}"


def _give(ground: Ground, request: Request[Take, Taken], other: Done[Take, Taken]) -> None:
    asked = other.request.asked
    ground.change(request, lambda line: replace(line, asked=asked, answer=line.answer and other.answer))


def _acks(ground: Ground) -> list[tuple[Holding, Act]]:
    """The items that certainly have one ack only, with that ack."""
    found = []
    for seq, holdings in ground.case.held.by_seq.items():
        if not ground.case.maybe_acked(seq):
            acts = [(one, act) for one in holdings for act in one.acts if act.do is Do.ACK and act.worked]
            found += acts[:1]
    return found


def _lost(ground: Ground) -> str:
    """One more item was pushed, with an answer, and the queue never had it."""
    case = ground.case
    item = ground.choose([*case.pushed.values()], "no push of this history has a reply")
    seq = 1 + max([*case.pushed, *case.held.by_seq, *(one.seq for one in case.inside or ())])
    ground.add(Push(('"planted"',), (None,)), Pushed((seq,), frozenset()), item.done.until)
    return f"{seq} was pushed by one more client, and nobody ever saw it"


def _two_owners(ground: Ground) -> str:
    """A second client is given the item while the first one's lease is live, and forgets it."""
    able = [one for one, _ in _acks(ground) if _is_last(ground, one) and one.until + 2 < one.sure_until]
    holding = ground.choose(able, "nobody held an item for certain in this history")
    _hand_out(ground, holding, ground.random.randrange(holding.until + 1, holding.sure_until - 1))
    return f"{holding.seq}, leased by client {holding.done.request.client}, went to a second client too"


def _acked_again(ground: Ground) -> str:
    """An item is handed out again after its ack was answered."""
    able = [(holding, act) for holding, act in _acks(ground) if _is_last(ground, holding)]
    holding, act = ground.choose(able, "nothing was acked in this history")
    request = act.request
    _hand_out(ground, holding, request.completed + 1)
    return f"{holding.seq}, acked by client {request.client} (line {request.line}), went out once more"


def _is_last(ground: Ground, holding: Holding) -> bool:
    """Whether one more attempt contradicts nothing that came later, nor the most that are allowed."""
    most = ground.header.max_attempts
    last = ground.case.held.by_seq[holding.seq][-1]
    return holding is last and (most is None or holding.attempt < most)


def _hand_out(ground: Ground, holding: Holding, at: int) -> None:
    """Hand out the item to a client of its own, which forgets it."""
    lease = Lease(_TOKEN, 0, (holding.seq,), (holding.value,), (holding.attempt + 1,))
    ground.add(Exchange((), 1, 0), Exchanged((), lease), at)


def _value(ground: Ground) -> str:
    """One hand-out carries another value than was pushed, where the reply to that push is known."""
    able = [holding for holding in ground.case.held if holding.seq in ground.case.pushed]
    holding = ground.choose(able, "nothing that was pushed, with a reply, was handed out in this history")
    lease = holding.lease
    values = tuple(
        '"planted"' if seq == holding.seq else value
        for seq, value in zip(lease.seqs, lease.values, strict=True)
    )

    def revalued(line: Exchanges) -> Exchanges:
        answer = line.answer
        if answer is None or answer.lease is None:
            return line
        return replace(line, answer=replace(answer, lease=replace(answer.lease, values=values)))

    ground.change(holding.done.request, revalued)
    return f"{holding.seq} (line {holding.done.request.line}) was handed out with another value"


def _is_of(line: Any, request: Request[Any, Any]) -> bool:
    """Whether a line is an attempt of a request."""
    return line is request or (request.key is not None and getattr(line, "key", None) == request.key)


def _shown(answer: Done[Take, Taken]) -> str:
    return shown((answer.answer.lowest, answer.answer.highest))


def _whose(answer: Done[Take, Taken]) -> str:
    return f"client {answer.request.client} (line {answer.request.line})"


_PLANTERS: Final[dict[Damage, Callable[[Ground], str]]] = {
    Damage.DUPLICATE: _duplicate,
    Damage.SKIP: _skip,
    Damage.REORDER: _reorder,
    Damage.LOST: _lost,
    Damage.TWO_OWNERS: _two_owners,
    Damage.ACKED_AGAIN: _acked_again,
    Damage.VALUE: _value,
}

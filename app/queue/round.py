"""The asks of one queue in one batch, and what each of them is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import DibsError
from ..ledger.serve import Serve, Served
from .answers import Answer, Values
from .rounds import guarded

if TYPE_CHECKING:
    from .replies import Replies
    from .supply import Supply
    from .values import Computing
    from .waiting import Waiting


class Home(Protocol):
    """The line of a round's asks."""

    name: str
    supply: Supply
    computing: Computing
    replies: Replies

    def park(self, waiting: Waiting, why: str) -> bool:
        """Let an ask that got nothing wait on; False if it may not."""

    def tried(self, *, all_served: bool) -> None:
        """Note whether all parked asks that were tried were served."""

    def add(self, waiting: Waiting) -> None:
        """Add an ask to the line again."""

    @property
    def stopped_early(self) -> bool:
        """Whether there is more to find, which a bound on burying has kept a claim from."""


class AskedRound:
    """A round of one queue. ``tried``: how many of the ``asked`` had been parked."""

    __slots__ = ("_answers", "_line", "_moved", "_nothing", "asked", "op", "tried")

    def __init__(self, line: Home, op: Serve, asked: list[Waiting], tried: int) -> None:
        self._line = line
        self.op = op
        self.asked = asked
        self.tried = tried
        self._answers: list[tuple[Waiting, Answer | DibsError]] = []
        self._nothing: list[tuple[Waiting, str]] = []
        self._moved: list[Waiting] = []

    def settle(self, outcome: Any, now: int) -> None:
        """Take what came of each ask: park those that may wait, and keep the answers of the others."""
        if isinstance(outcome, DibsError):
            outcome = [outcome] * len(self.asked)
        name, answers = self._line.name, self._answers
        all_values = self._values(outcome)
        unserved = 0
        for waiting, served, values in zip(self.asked, outcome, all_values, strict=True):
            if waiting.done:
                continue  # it was told that nobody knows
            if isinstance(served, DibsError):
                answers.append((waiting, served))
                continue
            if served.entries:
                waiting.entries = served.entries
            if values is not None or served.why is None or (served.entries and not waiting.ask.handout):
                answers.append((waiting, Answer(name, served, values or (), None, now)))
            else:
                unserved += 1
                self._got_nothing(waiting, served.why or "empty")
        if self.tried:
            self._line.tried(all_served=not unserved)

    def _values(self, outcome: Sequence[Served | DibsError]) -> list[Values | None]:
        """The values of all that was handed out; those of a computed source in one pull."""
        line = self._line
        found: list[Values | None] = [None] * len(outcome)
        fresh: list[tuple[int, int]] = []
        first = total = 0
        for at, served in enumerate(outcome):
            handed = None if isinstance(served, DibsError) else served.handed
            if handed is None:
                continue
            if handed.fresh and not served.replayed:  # type: ignore[union-attr]  # it has a hand-out
                begin, last, _ = handed.spans[0]
                first = first or begin
                fresh.append((at, last - begin + 1))
                total += last - begin + 1
                found[at] = handed.values
            else:
                found[at] = line.computing.of(handed, bare=self._block(at))
        if total:
            self._share(line.supply.granted(first, total), fresh, found)
        return found

    def _share(self, values: Values | None, fresh: list[tuple[int, int]], found: list[Values | None]) -> None:
        """Give each hand-out its part of the values that were pulled for all."""
        if values is None:
            return
        computing, begin = self._line.computing, 0
        for at, size in fresh:
            part = values[begin : begin + size]
            found[at] = part if not computing.wide or self._block(at) else computing.shown(part)
            begin += size

    def _block(self, at: int) -> bool:
        """Whether an ask is for a block, whose answer has its bounds alone."""
        handout = self.op.asks[at].handout
        return handout is not None and handout.block

    def _got_nothing(self, waiting: Waiting, why: str) -> None:
        if waiting.entries and waiting.ask.settled is None:
            waiting.ask = waiting.ask._replace(entries=(), settled=waiting.entries)
        if why == "moved":
            self._moved.append(waiting)
        elif not self._line.park(waiting, why):
            self._nothing.append((waiting, why))

    def tell(self) -> None:
        """Send the answers."""
        line = self._line
        replies = line.replies
        for waiting, answer in self._answers:
            if type(answer) is Answer:
                guarded(replies.answer, waiting, answer)
            else:
                guarded(replies.refuse, waiting, answer)
        for waiting, why in self._nothing:
            if why == "empty" and not waiting.ask.handout.block and line.stopped_early:  # type: ignore[union-attr]
                guarded(line.add, waiting)
            else:
                guarded(replies.nothing, waiting, why)
        for waiting in self._moved:
            guarded(line.add, waiting)

    def give_up(self, error: DibsError) -> None:
        """Tell all callers that nobody knows what became of their asks."""
        for waiting in self.asked:
            if not waiting.done:
                guarded(self._line.replies.refuse, waiting, error)

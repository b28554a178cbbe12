"""The keys of a batch: what is filed under them, and what is to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from ..serve import Key, Place, Why
from ..work import FOREVER
from .rows import Answer, Name, Position
from .transaction import Transaction

DAY: Final = 86_400_000
HOUR: Final = 3_600_000

MOST: Final = 100_000
"""Sessions that are remembered; then all are forgotten, and looked up again when they come."""


class Owner(Protocol):
    """What runs a request of a batch, and knows its outcome in the end."""

    def supersede(self, at: int) -> None:
        """A later request of the same session is in the batch: this one is not run."""

    def outcome(self, at: int) -> Any:
        """What came of a request, once it was run."""


class Leader(NamedTuple):
    """The request of a batch that runs for its key: others with the same key get its outcome."""

    key: Key
    owner: Owner
    at: int


# As their own constructors do, in a third of the time.
_leader: Callable[[Any], Leader] = partial(tuple.__new__, Leader)
_answer: Callable[[Any], Answer] = partial(tuple.__new__, Answer)

Ruling = Why | Answer | Leader | None
"""What is to be done with a request: refuse it, give the filed answer or that of another one, or run it."""


class Case:
    """One name of a batch: the ``answer`` that is filed, or how far its session is known to have come.

    ``leader``: the request that runs for it. ``filed``: the answer of one before it goes to the same row.
    """

    __slots__ = ("answer", "filed", "leader", "name", "position")

    def __init__(self, name: Name, position: Position | None) -> None:
        self.name = name
        self.position = position
        self.answer: Answer | None = None
        self.leader: Leader | None = None
        self.filed = False


class Keys:
    """Looks the keys of a batch up, at once; rules on each request that has one; files what comes of it.

    ``cases``: those of all names that were wanted.
    """

    __slots__ = ("_positions", "_tx", "cases")

    def __init__(self, tx: Transaction, wanted: Iterable[tuple[Name, Key]]) -> None:
        """Read what is filed under these keys, but where it is known how far a session has come."""
        self._tx = tx
        self._positions = positions = tx.positions
        self.cases: dict[Name, Case] = {}
        if len(positions) >= MOST:
            positions.clear()
        now, unknown = tx.now, {}
        for name, key in wanted:
            case = self.cases.get(name)
            if case is None:
                case = self.cases[name] = Case(name, positions.get(name))
            position = case.position
            if position is None or position.expires <= now or key.n == position.n:
                unknown[name] = case
        if unknown:
            self._look_up(unknown)

    def _look_up(self, unknown: dict[Name, Case]) -> None:
        found = self._tx.store.answers.find(list(unknown))
        for name, case in unknown.items():
            case.answer = answer = found.get(name)
            case.position = None  # the file says more, also where the answer has expired
            if answer is None:
                self._positions.pop(name, None)
            elif answer.n and answer.sound:
                self._positions[name] = Position(answer.id, answer.n, answer.request, answer.expires)

    def case(self, name: Name) -> Case:
        """What is known of a name; looked up now, if it was not wanted before."""
        case = self.cases.get(name)
        if case is None:
            case = self.cases[name] = Case(name, None)
            self._look_up({name: case})
        return case

    def rule(self, case: Case, key: Key, owner: Owner, at: int) -> Ruling:
        """Rule on a request by what is filed under its key, and by who has it in the same batch.

        None: it is run, and others with its key get what comes of it.
        """
        ruling: Ruling = None
        if case.leader is not None:
            ruling = _rule_after(case.leader, key)
        elif case.answer is not None:
            ruling = self._rule_on(case.answer, key)
        elif (position := case.position) is not None and not 0 < position.n < key.n:  # as a rule it is later
            ruling = _ruled(key.beside(position.n, position.digest), None)
        if ruling is None:
            case.leader = _leader((key, owner, at))
        return ruling

    def _rule_on(self, answer: Answer, key: Key) -> Ruling:
        if not answer.sound:
            return "damaged"
        if answer.expires <= self._tx.now:
            return None
        return _ruled(key.beside(answer.n, answer.request), answer)

    def file(self, case: Case, key: Key, ttl: int, outcome: str, values: str | None) -> None:
        """File what came of a request under its key, in place of what may be there.

        A session's answer is kept for a day at most, up to a full hour: for as long the index of its expiry
        is left alone.
        """
        _, digest, n, _ = key
        if n:
            expires = self._tx.now + min(ttl, DAY)
            expires += -expires % HOUR
        else:
            expires = min(self._tx.now + ttl, FOREVER)
        known = case.answer or case.position
        if known is None:
            self._tx.store.answers.file(case.name, _answer((0, digest, outcome, values, expires, True, n)))
            self._tx.learned += 1
            return
        before, longer = known.n, expires != known.expires or case.filed
        answer = _answer((known.id, digest, outcome, values, expires, True, n))
        self._tx.store.answers.refile(case.name, answer, n=before, longer=longer)
        case.filed = True
        if not n:
            return
        if case.position is not None:
            case.position.reach(n, digest, expires)
        else:
            self._positions[case.name] = Position(known.id, n, digest, expires)


def _rule_after(leader: Leader, key: Key) -> Ruling:
    ruling = _ruled(key.beside(leader.key.n, leader.key.digest), leader)
    if ruling is None:
        leader.owner.supersede(leader.at)
    return ruling


def _ruled(place: Place, same: Answer | Leader | None) -> Ruling:
    """The ruling on a request by its place after the one before it; ``same``: on one that was sent again."""
    if place == "same":
        return same
    return None if place == "later" else place

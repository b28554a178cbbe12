"""How each transaction of the owner gets into PostgreSQL, and what it means when it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..inbox import BoundInbox, TakenIn
from ..ops import CommitFailed, EngineFailed, OpFailed
from ..serve import Serve
from ..sqlite.elsewhere import Passing
from .arrays import array_of
from .changes import Packed, packed, statements_of
from .fence import Fenced, Position
from .inbox import calls_of
from .pipeline import Broken, Failed, Statement, Unsafe
from .shipped import Sent, Shipped
from .tables import TABLES

if TYPE_CHECKING:
    from ..serve import Applied
    from ..sqlite.recording import Changed, Recording, Touched
    from .lookups import LookUps

COPIES_MOST: Final = 100_000
"""Rows of keys of items that memory has copies of, at most."""

_OF_THE_INBOX: Final = {TakenIn, BoundInbox}
"""Outcomes that say what a transaction does to the inbox."""

_FULL: Final = ("53100", "54")
"""SQLSTATEs: the disk is full, a limit of the program was met."""
_OF_AN_OP: Final = ("21", "22", "23", "42", "QD")
"""Classes of SQLSTATEs for which the statement is at fault, or a constraint that it breaks.

QD: somebody else has taken rows out of the inbox."""

_DIFFERS: Final = {"22012", "23505"}
"""SQLSTATEs by which a row that is to go is not there, or one that is new is there already."""


class Undecided(NamedTuple):
    """A transaction of which nobody knows whether it is there.

    Its number, what it touched in memory, and what was sent: ledger time, and the statements.
    """

    n: int
    touched: Sequence[Touched]
    clock: int
    statements: Sequence[Statement]


class Keeping:
    """See :class:`~..sqlite.elsewhere.Elsewhere`.

    It owns the position, through which all is written. ``now`` is ledger time, which goes on while the
    machine sleeps. ``trust`` (milliseconds): for how long after a transaction that is there was sent this
    server takes itself for the owner. ``undecided``: the transaction whose COMMIT was not answered.
    ``ahead``: the number of one that is there, until memory has it, too. ``fenced`` is called when another
    server turns out to be the owner. The last ``kept_bytes`` of what was ``shipped`` stay in memory.
    """

    def __init__(
        self,
        position: Position,
        recording: Recording,
        look_ups: LookUps,
        *,
        now: Callable[[], int],
        trust: int,
        kept_bytes: int,
        fenced: Callable[[str], None],
    ) -> None:
        self.position = position
        self.shipped = Shipped(position.n, kept_bytes)
        self.recording = recording
        self.look_ups = look_ups
        self.passing = Passing()
        self.undecided: Undecided | None = None
        self.ahead: int | None = None
        self._now = now
        self._sent = now() - trust  # loading may have taken long: the first step makes sure
        self._copies = 0
        self._trust = trust
        self._fenced = fenced

    def number(self) -> int:
        """The number of the last transaction that is there."""
        return self.position.n

    @property
    def many(self) -> bool:
        """Whether memory has copies of so many keys of items that all are to be forgotten."""
        return self._copies + self.look_ups.found > COPIES_MOST

    def begin(self) -> None:
        """A transaction begins in memory."""
        if self.many:
            self._copies = self.look_ups.found = 0
        self.recording.begin()
        self.look_ups.begin()
        self.passing.begin()

    def changed(self) -> bool:
        """Whether the transaction has changed anything."""
        return bool(self.look_ups.removals) or not self.passing.empty or not self.recording.empty

    @property
    def age(self) -> int:
        """Milliseconds since the last transaction that is known to be there was sent."""
        return self._now() - self._sent

    @property
    def sure(self) -> bool:
        """Whether this server may take itself for the owner without asking: its session has not ended."""
        return self.age < self._trust and not self.position.pipeline.ended()

    def beat(self) -> None:
        """Step the position, and write nothing else.

        Raises:
            EngineFailed: that failed.
        """
        self.recording.end()
        self._step(self._now())

    def goes_on(self, position: Position, sent: int, *, there: bool | None) -> None:
        """Go on from a position that was stepped, by a session that may be another one.

        ``sent`` is when, in ledger time; ``there``: whether the undecided transaction is there. None: nobody
        can tell, so what the database loses from here on can't be written back on top of what was before.
        """
        if self.undecided is not None and there is None:
            self.shipped.forget(position.n)
        elif self.undecided is not None and there:
            self.shipped.add(Sent(self.undecided.n, self.undecided.clock, self.undecided.statements))
        before, self.position = self.position, position
        before.starve()  # only now: a feed that comes after this sees that there is another position
        self._sent, self.undecided, self.ahead = sent, None, None
        self.look_ups.look_anew()

    def standing(self, number: int, *, there: bool) -> int:
        """The number of a caller's last transaction, once it is known whether the undecided one is there.

        ``number`` is the one that memory has. It tells nothing of the undecided one: a transaction that has
        changed nothing in the end had the same. Nor does the position, which was stepped since.
        """
        if self.undecided is not None:
            return self.undecided.n - (0 if there else 1)
        return number if self.ahead is None else self.ahead

    def ship(self, applied: Applied) -> None:
        """Write what the transaction has changed.

        One that has changed nothing is told only by an owner that was one a moment ago; else it is asked.
        """
        statements = list(self.look_ups.removals)
        for outcome in applied.outcomes:
            if type(outcome) in _OF_THE_INBOX:
                statements += [
                    Statement(text, [array_of(kind, values) for kind, values in columns])
                    for text, columns in calls_of(outcome)
                ]
        changes = self.recording.changes()
        self._copies += _copied(changes)
        shipped = list(packed([*changes, *self.passing.changes()]))
        statements += statements_of(shipped)
        if statements or not self.sure:
            self._step(applied.now, statements, shipped)
            self.ahead = self.position.n if statements else None

    def _step(self, clock: int, statements: Sequence[Statement] = (), changes: Sequence[Packed] = ()) -> None:
        sent = self._now()
        try:
            self.position.step(clock, statements, changes=changes)
        except (Fenced, Failed, Broken, Unsafe) as error:
            raise self._meaning(error, clock, statements) from error
        self._sent = sent
        self.shipped.add(Sent(self.position.n, clock, statements))

    def _meaning(self, error: Exception, clock: int, statements: Sequence[Statement]) -> Exception:
        """What an error means for the transaction."""
        if isinstance(error, Fenced):
            self._fenced(str(error))
            return EngineFailed(str(error))
        if isinstance(error, Failed):
            if error.state.startswith(_OF_AN_OP):
                return OpFailed(str(error))
            return EngineFailed(str(error), full=error.state.startswith(_FULL))
        self.undecided = Undecided(self.position.n + 1, self.recording.touched(), clock, statements)
        return CommitFailed(str(error))


def differs(failed: OpFailed, ops: Sequence[Any]) -> bool:
    """Whether an op that was applied alone tells that memory has other rows than PostgreSQL."""
    cause = failed.__cause__
    alone = len(ops) == 1 and (not isinstance(ops[0], Serve) or len(ops[0].asks) <= 1)
    return alone and isinstance(cause, Failed) and cause.state in _DIFFERS


def _copied(changes: Sequence[Changed]) -> int:
    """How many more rows memory has of tables that are not loaded."""
    return sum([len(of.rows) - len(of.gone) for of in changes if not TABLES[of.table].loaded])

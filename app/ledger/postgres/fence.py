"""The fence: each transaction steps the position of the ledger from n to n + 1, or fails as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from .pipeline import Failed, Pipeline, Statement

if TYPE_CHECKING:
    from .changes import Packed

# An INSERT of n + 1 alone would be no fence, once older rows are deleted: an owner two positions behind would
# get in. The row of this term has to be there, and is taken away.
STEP: Final = """
WITH gone AS (DELETE FROM position WHERE n = $1::int8 AND term = $2::int8 RETURNING n)
INSERT INTO position (n, term, clock) VALUES ((SELECT n + 1 FROM gone), $3::int8, $4::int8)
"""
# From n to a number of ours, where those in between changed nothing.
_LEAP: Final = STEP.replace("n + 1", "$5::int8")
_NOT_THERE: Final = "23502"
"""The SQLSTATE of a null in a column that takes none: there was no row to step from."""


class Fenced(Exception):
    """The position is not where this owner left it: somebody else has taken over, or data was lost."""


class Mark(NamedTuple):
    """Which transaction one is: its number, the term, the clock that it wrote."""

    n: int
    term: int
    clock: int

    def __str__(self) -> str:
        """As it is told to people."""
        return f"transaction {self.n} of term {self.term}"


class Feeds(Protocol):
    """What sends each transaction to the server that keeps a copy of the owner's memory."""

    def send(self, n: int, clock: int, before: int, changes: Sequence[Packed]) -> None:
        """Send one, and wait for nothing; see ``shipments.py``."""

    def close(self) -> None:
        """Send nothing more."""


class Position:
    """Where the ledger is, and the only way to write to it. ``n`` is the number of the last transaction.

    It owns the pipeline of the owner's writing session. ``clock`` is the ledger time that the last
    transaction wrote: together with ``n`` and ``term`` it tells which one that was, since of several that
    were tried with one number no two have the same (``tried`` is that of the last one that failed). ``feed``
    is told what each is to change before it is committed; one that is not may be sent, and is then followed
    by another one with its number.
    """

    def __init__(self, pipeline: Pipeline, n: int, term: int, clock: int) -> None:
        self.pipeline = pipeline
        self.n = n
        self.term = term
        self.clock = clock
        self.feed: Feeds | None = None
        self.tried = 0

    def step(
        self,
        clock: int,
        statements: Sequence[Statement] = (),
        *,
        changes: Sequence[Packed] = (),
        term: int = 0,
        to: int = 0,
    ) -> None:
        """Write one transaction, the next one; ``clock`` is ledger time. ``term``: a new one begins with it.

        ``changes`` are those of the statements, for the feed. ``to`` is its number where others before it are
        left out, which changed nothing; nobody is fed then.

        Raises:
            Fenced: the ledger belongs to another owner; nothing is there.
            Failed, Broken, Unsafe: as Pipeline.transaction.
        """
        clock = max(clock, self.tried + 1)
        if (feed := self.feed) is not None:
            feed.send(self.n + 1, clock, self.clock, changes)
        leap = (to,) if to else ()
        numbers = self.n, self.term, term or self.term, clock, *leap
        step = Statement(
            _LEAP if leap else STEP, [number.to_bytes(8, "big", signed=True) for number in numbers]
        )
        try:
            self.pipeline.transaction((step, *statements))
        except BaseException as error:
            self.tried = clock
            if not isinstance(error, Failed):
                self.starve()
            elif error.at == 0 and error.state == _NOT_THERE:
                self.starve()
                raise Fenced(f"transaction {self.n} of term {self.term} is not the newest one") from error
            raise
        self.n = to or self.n + 1
        self.term = term or self.term
        self.clock = clock

    def starve(self) -> None:
        """Feed no copy any more: nobody knows what has become of what was sent."""
        feed, self.feed = self.feed, None
        if feed is not None:
            feed.close()

    def resumed(self, pipeline: Pipeline, n: int) -> Position:
        """The position as a session found it at ``n``, which may be another one; it is to be stepped."""
        self.starve()
        found = Position(pipeline, n, self.term, self.clock)
        found.tried = self.tried
        return found

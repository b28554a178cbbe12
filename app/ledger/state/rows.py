"""Rows of the ledger, as the algorithms read and write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from ..looks import HistoryVerb
from ..serve import Holder
from ..work import Parcel, QueueSettings, Result

WAITING, LEASED, DEAD = 0, 1, 2
"""The states of a run."""

_STATE: Final = 2
"""The first column after the seqs: from there on, a run tells the state of its items."""

ALONE = 1
"""The largest answer whose expiry tells which item its worker may have died of."""


class Run(NamedTuple):
    """Consecutive items that share a state: a row of the table of runs, but for its queue.

    ``worker`` is who has or had it last. ``history``: how many failures an item of it has at most. ``kept``:
    its values are in blocks. ``most``: how many items the answer had that leased it, and ``began`` when that
    was; 0: it is not leased.
    """

    first: int
    last: int
    state: int
    due: int
    ttl: int = 0
    attempt: int = 0
    token: str | None = None
    worker: str = ""
    priority: int = 0
    history: int = 0
    kept: int = 0
    most: int = 0
    began: int = 0

    @property
    def size(self) -> int:
        """How many items these are."""
        return self.last - self.first + 1

    def part(self, first: int, last: int) -> Run:
        """A part of the run, in the same state."""
        return _run((first, last, *self[_STATE:]))

    def goes_on(self, before: Run) -> bool:
        """Whether these items come right after those of another run, in the same state."""
        return before.last + 1 == self.first and before[_STATE:] == self[_STATE:]

    def leased(  # noqa: PLR0917  # in about the order of the columns
        self, first: int, last: int, due: int, holder: Holder, attempt: int, history: int, most: int
    ) -> Run:
        """A part of the run as its holder has it from now until ``due``, in an answer of ``most`` items."""
        token, ttl, worker = holder
        priority, kept, began = self.priority, self.kept, due - ttl
        return _run(
            (first, last, LEASED, due, ttl, attempt, token, worker, priority, history, kept, most, began)
        )

    def waits(self, due: int, attempt: int) -> Run:
        """The run as waiting until ``due``; its last worker stays known."""
        return self._replace(state=WAITING, due=due, ttl=0, attempt=attempt, token=None, most=0, began=0)

    def buried(self, now: int) -> Run:
        """The run as dead since ``now``."""
        return self._replace(state=DEAD, due=now, ttl=0, token=None, most=0, began=0)

    def lapsed(self, now: int) -> bool:
        """Whether the run's lease has expired."""
        return self.state == LEASED and self.due <= now

    def of_many(self, now: int) -> bool:
        """Whether the run expired together with others: nobody knows of which its worker died."""
        return self.most > ALONE and self.lapsed(now)

    def spent(self, now: int, settings: QueueSettings) -> bool:
        """Whether the run is dead, though not yet written so: it expired alone, at its last attempt."""
        return self.most <= ALONE and self.lapsed(now) and settings.buries(self.attempt)

    def next_attempt(self, now: int) -> int:
        """The attempt of its next hand-out: an answer of many that expired has used none."""
        return self.attempt + (not self.of_many(now))


# As its own constructor does, in a third of the time.
_run: Callable[[Any], Run] = partial(tuple.__new__, Run)


def pushed(now: int, how: Parcel | Result) -> Run:
    """Items that are pushed ``now``, before they have their seqs; those of alike ones are the same object."""
    return _pushed(now + how.delay, how.priority)


@lru_cache(maxsize=64)
def _pushed(due: int, priority: int) -> Run:
    """The run, which the pushes of one transaction share, as a rule; to build it takes longer."""
    return _run((0, 0, WAITING, due, 0, 0, None, "", priority, 0, 1, 0, 0))


FRESH: Final = Run(0, 0, WAITING, 0), Run(0, 0, WAITING, 0, kept=1)
"""What is leased out of a source: as nobody had it before. The second: its values are kept."""


class Acked(NamedTuple):
    """A run that was acked with all that its token held."""

    queue: int
    token: str
    first: int
    last: int
    history: int
    kept: int
    worker: str


class Block(NamedTuple):
    """The values of consecutive items: JSON texts, one a line. Not ``sound``: they are not what was kept."""

    first: int
    last: int
    texts: bytes
    sound: bool


class ItemKey(NamedTuple):
    """The key of an item, which is one in a generation of a queue."""

    queue: int
    generation: int
    key: str


class Name(NamedTuple):
    """What an answer is filed under: a key, of one caller, in one generation of a queue."""

    queue: int
    generation: int
    caller: str
    key: str


class Answer(NamedTuple):
    """A filed answer: ``outcome`` and ``values`` are JSON. Not ``sound``: it is not what was filed.

    ``id`` finds its row again; it stays as long as the answer does. ``n``: the number of the request in a
    session that counts them; else 0.
    """

    id: int
    request: str
    outcome: str
    values: str | None
    expires: int
    sound: bool
    n: int = 0


class Position:
    """How far a session has come: the request that was answered last, and the ``id`` of its answer."""

    __slots__ = ("digest", "expires", "id", "n")

    def __init__(self, row: int, n: int, digest: str, expires: int) -> None:
        self.id = row
        self.reach(n, digest, expires)

    def reach(self, n: int, digest: str, expires: int) -> None:
        """Note that a later request was answered."""
        self.n, self.digest, self.expires = n, digest, expires


class Failed(NamedTuple):
    """One failed attempt of consecutive items."""

    first: int
    last: int
    attempt: int
    at: int
    worker: str
    error: str
    began: int


class Record(NamedTuple):
    """Consecutive items that one answer took or acked, of a queue's name and generation, until it expires."""

    name: str
    generation: int
    first: int
    last: int
    verb: HistoryVerb
    at: int
    caller: str
    key: str | None
    worker: str
    expires: int

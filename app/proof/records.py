"""The records of a history, plain data: a header, a record for each request, notes, an end.

A request has what was asked and, if it was answered, the answer; its kind is the class of what was asked.
Times are nanoseconds of one monotonic clock, the same for all clients of a history; so are durations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import AliasChoices, Field

from .fields import Count, Duration, Flag, Outcomes, Positive, Seqs, Spans, Values, Whole
from .kinds import Kind
from .values import Piece, Span


class Outcome(StrEnum):
    """What the client knows of a request. Only ``unknown`` leaves open whether it took effect."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Header:
    """The header: the queue of the history, and its counters before the first request.

    ``exclusive``: nobody else takes from the queue meanwhile, so each missing seq is the server's.
    ``distinct``: the source yields no value twice, so a value seen twice was handed out twice.
    ``start`` and ``step``: of an arithmetic source, whose value at each seq is known; else None.
    ``max_attempts`` None: no item is ever dead. A counter is None where nobody asked. ``several``: servers
    answered, and which of them owned may have changed unseen.
    """

    queue: str
    kind: Kind = Kind.TAKES
    url: str = ""
    source: str = ""
    instance: str | None = None
    server: str | None = None
    started_at: str | None = None
    cursor: Count | None = None
    taken: Count | None = None
    jumped: Count | None = None
    acked: Count = 0
    exclusive: Flag = True
    distinct: Flag = True
    start: Whole | None = None
    step: Whole | None = None
    max_attempts: Positive | None = None
    several: Flag = False


class Sighting(NamedTuple):
    """A request as a finding names it. ``line`` is 0 for a planted one.

    ``invoked`` is None where nothing says when it began (a replay whose first request was not seen).
    """

    line: int
    client: str
    key: str | None
    invoked: int | None
    completed: int


A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Request(Generic[A, R]):
    """One request as its client saw it. ``line`` is where it stands in the file, 0 when in none.

    ``answer`` is there if the outcome is ``ok``.
    """

    client: str
    key: str | None
    invoked: Whole
    completed: Whole
    outcome: Outcome
    asked: A
    answer: R | None = None
    replay: Flag = False
    error: str | None = None
    line: int = 0

    def seen(self) -> Sighting:
        """The request as a finding names it."""
        return Sighting(self.line, self.client, self.key, self.invoked, self.completed)


@dataclass(frozen=True, slots=True)
class Take:
    """A request for up to ``most`` items for good."""

    most: Annotated[int, Field(strict=True, ge=1, validation_alias="count")]


@dataclass(frozen=True, slots=True)
class Taken:
    """The items of a take."""

    pieces: tuple[Piece, ...]

    @property
    def lowest(self) -> int:
        """The lowest seq; there must be one."""
        return min(self.pieces).first

    @property
    def highest(self) -> int:
        """The highest seq; there must be one."""
        return self.pieces[0].last if len(self.pieces) == 1 else max(piece.last for piece in self.pieces)

    @property
    def size(self) -> int:
        """How many items there are."""
        return sum(piece.size for piece in self.pieces)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The seqs."""
        return tuple(piece.span for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Push:
    """A push of items, each with a name (the item's own key) or None."""

    values: Values
    names: tuple[str | None, ...]
    most: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """The seqs of the pushed items. ``known``: positions of those that the server knew already."""

    seqs: Seqs
    known: frozenset[Count]


class Do(StrEnum):
    """The action of an entry."""

    ACK = "ack"
    NACK = "nack"
    EXTEND = "extend"
    RELEASE = "release"


DONE = {
    Do.ACK: frozenset({"acked"}),
    Do.NACK: frozenset({"nacked", "dead"}),
    Do.EXTEND: frozenset({"extended"}),
    Do.RELEASE: frozenset({"released"}),
}
"""The verdicts that say that an entry took effect."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a settle. ``seqs`` None: all that the token holds. ``ttl`` is an extension's."""

    do: Do
    token: str
    seqs: Spans | None = None
    ttl: Duration = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Items handed out together, a value and an attempt each; ``expires_in`` counts from the reply."""

    token: str
    expires_in: Duration
    seqs: Seqs
    values: Values
    attempts: tuple[Whole, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """Entries to settle, and the next lease; either may be absent. ``most`` 0: no lease was asked for."""

    entries: tuple[Entry, ...]
    most: Annotated[int, Field(strict=True, ge=0, validation_alias="max")]
    ttl: Duration


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What came of each entry, and what was leased."""

    outcomes: tuple[Outcomes, ...]
    lease: Lease | None = None

    @property
    def size(self) -> int:
        """How many items were leased."""
        return len(self.lease.seqs) if self.lease else 0


@dataclass(frozen=True, slots=True)
class Note:
    """An action of the test beside its requests: from ``at`` to ``until``.

    ``crash``: the holder of ``token`` forgot it. ``late``: it means to settle too late. ``restart``: the
    server was killed, and answered again. ``takeover``: one of several servers failed, and another one owned.
    """

    what: Literal["crash", "late", "restart", "takeover"]
    at: Whole
    until: Whole
    client: str = ""
    token: str = ""

    @property
    def lets_leases_last(self) -> bool:
        """Whether a lease that was live then may end later than it was told."""
        return self.what in {"restart", "takeover"}


class Inside(NamedTuple):
    """An item that is still in the queue at the end."""

    seq: Whole
    state: str
    attempt: Whole


@dataclass(frozen=True, slots=True)
class Audit:
    """The server's own counters, read while this load was not asking."""

    cursor: Count
    taken: Count
    jumped: Count
    balanced: Flag
    acked: Count = 0
    purged: Count = 0
    waiting: Count = 0
    leased: Count = 0
    dead: Count = 0
    overlaps: Count = 0
    base: Count = 0

    @property
    def adds_up(self) -> bool:
        """Whether the counters add up, so that each item is in one place."""
        gone = self.taken + self.acked + self.purged + self.jumped
        return self.base + gone + self.inside == self.cursor

    @property
    def inside(self) -> int:
        """How many items are not done."""
        return self.waiting + self.leased + self.dead

    @property
    def lasting(self) -> dict[str, int]:
        """The counters that time alone doesn't change."""
        names = ("cursor", "taken", "acked", "purged", "jumped", "inside")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class End:
    """The last line. ``lines``: how many there are between it and the header.

    ``audits``: after the load; two when the server was restarted between them. ``inside``: every item that is
    still in the queue; None where nobody looked. ``steady``: the server was restarted by nobody but the
    harness, which noted it; so a lease can't have been prolonged unseen.
    """

    lines: Annotated[int, Field(strict=True, ge=0, validation_alias=AliasChoices("lines", "requests"))]
    audits: tuple[Audit, ...] = ()
    inside: tuple[Inside, ...] | None = None
    steady: Flag = False


Line = Request[Any, Any] | Note


@dataclass(slots=True)
class History:
    """A whole history in memory."""

    header: Header
    lines: list[Line] = field(default_factory=list)
    end: End | None = None

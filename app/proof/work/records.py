"""The records of a history of work, plain data: a header, one record per request, notes, one end.

Times are nanoseconds of one monotonic clock, the same for all clients of a history; so are durations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from ..records import Outcome
from ..spans import Span
from ..verdict import Sighting

WORK_FORMAT = 2
"""The version of a history of work; version 1 is a history of takes."""

Value = int | str
"""A JSON value's identity: see ``dibs.proof.records.identity``."""


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
class WorkHeader:
    """The header: the queue of the history, and its counters before the first request.

    The queue is the test's own. ``max_attempts`` None: no item is ever dead.
    """

    queue: str
    url: str = ""
    instance: str | None = None
    server: str | None = None
    started_at: str | None = None
    max_attempts: int | None = None
    cursor: int = 0
    acked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as its client saw it. ``line`` is where it stands in the file, 0 when in none."""

    client: str
    key: str | None
    invoked: int
    completed: int
    outcome: Outcome
    replay: bool = False
    error: str | None = None
    line: int = 0

    def seen(self) -> Sighting:
        """The request as a finding names it."""
        return Sighting(self.line, self.client, self.key, self.invoked, self.completed)

    def told(self) -> object:
        """What makes a replay the same answer."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest(Request):
    """A push of items, each with a name (the item's own key) or None; then their seqs.

    ``known``: positions of those that the server knew already.
    """

    values: tuple[Value, ...]
    names: tuple[str | None, ...]
    seqs: tuple[int, ...] = ()
    known: frozenset[int] = frozenset()

    def told(self) -> object:
        """What makes a replay the same answer."""
        return self.seqs, self.known


class Entry(NamedTuple):
    """One entry of a settle. ``seqs`` None: all that the token holds. ``ttl`` is an extension's."""

    do: Do
    token: str
    seqs: tuple[Span, ...] | None = None
    ttl: int = 0


class Came(NamedTuple):
    """The outcome of a range of an entry. ``first`` None: the token held nothing.

    ``expires_in``: the seconds of an extension, from the reply on.
    """

    first: int | None
    last: int | None
    verdict: str
    expires_in: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Items handed out together, a value and an attempt each; ``expires_in`` counts from the reply."""

    token: str
    expires_in: int
    seqs: tuple[int, ...]
    values: tuple[Value, ...]
    attempts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkRequest(Request):
    """Entries to settle, and the next lease; either may be absent. ``most`` 0: no lease was asked for."""

    entries: tuple[Entry, ...] = ()
    most: int = 0
    ttl: int = 0
    outcomes: tuple[tuple[Came, ...], ...] = ()
    lease: Lease | None = None

    def told(self) -> object:
        """What makes a replay the same answer: everything but what counts from the reply."""
        outcomes = tuple(tuple(came[:3] for came in entry) for entry in self.outcomes)
        lease = self.lease
        return outcomes, lease and (lease.token, lease.seqs, lease.values, lease.attempts)


class Note(NamedTuple):
    """An action of the test beside its requests: from ``at`` to ``until``.

    ``crash``: the holder of ``token`` forgot it. ``late``: it means to settle too late. ``restart``: the
    server was killed, and answered again.
    """

    what: Literal["crash", "late", "restart"]
    at: int
    until: int
    client: str = ""
    token: str = ""


class Inside(NamedTuple):
    """An item that is still in the queue at the end."""

    seq: int
    state: str
    attempt: int


@dataclass(frozen=True, slots=True)
class WorkAudit:
    """The server's own counters, read while this load was not asking."""

    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    overlaps: int
    balanced: bool

    @property
    def adds_up(self) -> bool:
        """Whether the counters add up, so that each item is in one place."""
        places = (self.taken, self.acked, self.purged, self.jumped, self.waiting, self.leased, self.dead)
        return sum(places) == self.cursor and not self.overlaps and self.balanced

    @property
    def inside(self) -> int:
        """How many items are not done."""
        return self.waiting + self.leased + self.dead


@dataclass(frozen=True, slots=True)
class WorkEnd:
    """The last line.

    ``inside``: every item that is still in the queue; None where nobody looked. ``steady``: the server was
    restarted by nobody but the harness, which noted it; so a lease can't have been prolonged unseen.
    """

    lines: int
    inside: tuple[Inside, ...] | None = None
    audits: tuple[WorkAudit, ...] = ()
    steady: bool = False


Line = PushRequest | WorkRequest | Note


@dataclass(slots=True)
class WorkHistory:
    """A whole history in memory."""

    header: WorkHeader
    lines: list[Line] = field(default_factory=list)
    end: WorkEnd | None = None

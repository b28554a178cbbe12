"""The answers of a server, one frozen record each. Durations are in seconds.

Unknown members of an answer are ignored: the paths are version 1 and only grow. A member that a record has a
default for may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from .errors import ServerRefused
from .records import QueueSettings

Json = Any
R = TypeVar("R")
State = str
"""``open``, ``starting``, ``paused``, ``exhausted``, ``failed`` or ``closed``; more may come."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception that a source raised, and the seq that it did not give.

    ``where``: its place in the source's own code, for those who may operate the queue; else empty.
    """

    type: str
    message: str
    seq: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as the ledger has it.

    ``source`` is None if producers push. ``configured`` tells what defined the queue last: ``file`` or
    ``http``, or ``gone`` if the server's configuration file had it once and no longer has it. ``members`` has
    everything that the server answered.
    """

    queue: str
    source: str | None
    args: Mapping[str, Json]
    state: str
    paused: bool
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    created_at: datetime
    failure: Failure | None
    settings: QueueSettings
    configured: str
    members: Mapping[str, Json] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Audit:
    """Independent counters of one moment. ``balanced``: no item is missing, and none is there twice.

    ``base``: the cursor at which the queue was created, in the place of a deleted one.
    """

    queue: str
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    delayed: int
    overlaps: int
    balanced: bool
    base: int = 0


@dataclass(frozen=True, slots=True)
class Backup:
    """A consistent copy of the ledger: its path on the server's machine, its size in bytes."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed attempt of an item: a nack, or a lease that expired."""

    attempt: int
    at: datetime
    worker: str
    error: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """Consecutive items that one answer took or acked (``verb``), in one generation of the queue.

    ``key`` is that request's Idempotency-Key, or None; ``worker`` is the worker that held acked items.
    """

    generation: int
    first: int
    last: int
    verb: str
    at: datetime
    caller: str
    key: str | None
    worker: str


@dataclass(frozen=True, slots=True)
class QueueItem:
    """An item inside a queue; or a single item that is done, if the queue keeps a history.

    ``due_at`` is the time since or from when the item can be handed out, when its lease ends, or since when
    it is dead. ``error`` is that of its last failed attempt. Only the answer for a single item has
    ``history``. ``done`` says who took or acked an item that is done (whose ``value`` is None if it is no
    longer kept). Only the answer for a single item has ``traceparent``, with which it was pushed.
    """

    seq: int
    value: Json
    state: str
    attempt: int = 0
    priority: int = 0
    due_at: datetime | None = None
    worker: str | None = None
    error: str | None = None
    history: tuple[FailedAttempt, ...] = ()
    done: HistoryEntry | None = None
    traceparent: str | None = None


class LeasedItem(NamedTuple):
    """An item under a lease; ``attempt`` counts its hand-outs, this one included."""

    seq: int
    value: Json
    attempt: int


_LEASED: Final = itemgetter(*LeasedItem._fields)


@dataclass(frozen=True, slots=True)
class Lease:
    """Items that the client holds until ``expires_in`` seconds after the server answered.

    ``traceparents`` has those with which items were pushed, by their seqs.
    """

    queue: str
    state: State
    token: str
    expires_in: float
    items: tuple[LeasedItem, ...]
    traceparents: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a range. ``seqs`` None: the token held nothing. Refusals have ``queue``, ``reason``."""

    seqs: tuple[int, int] | None
    outcome: str
    reason: str | None = None
    queue: str | None = None
    expires_in: float | None = None
    due_at: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer to a settle: the ``outcomes`` of each entry, in the order of the request.

    ``lease`` is the next lease, or None; then ``refusal`` says why, or is None if the queue is empty.
    """

    queue: str
    state: State
    outcomes: tuple[tuple[Outcome, ...], ...]
    lease: Lease | None = None
    refusal: ServerRefused | None = None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What of an NDJSON stream was pushed; ``ranges`` have the seqs of its new items."""

    queue: str
    lines: int
    bytes: int
    accepted: int
    duplicates: int
    ranges: tuple[tuple[int, int], ...]


# -- reading


def read(kind: type[R], answer: Mapping[str, Json]) -> R:
    """The record of this kind that an answer has."""
    by = _READ_BY.get(kind, {})
    names: Iterable[str] = getattr(kind, "__slots__")  # noqa: B009
    given = {name: answer[name] for name in names if name in answer}
    for name in by.keys() & given.keys():
        given[name] = None if given[name] is None else by[name](given[name])
    return kind(**given)


def reader(kind: type[R]) -> Callable[[Mapping[str, Json]], R]:
    """The reader of answers that have such a record."""
    return partial(read, kind)


def read_info(answer: Mapping[str, Json]) -> QueueInfo:
    """What an answer says of a queue."""
    return read(QueueInfo, {"configured": "http", **answer, "members": answer})


def _each(read: Callable[[Any], R]) -> Callable[[Iterable[Any]], tuple[R, ...]]:
    return lambda members: tuple(map(read, members))


_READ_BY: Final[Mapping[type, Mapping[str, Callable[[Any], Any]]]] = {
    QueueInfo: {
        "created_at": datetime.fromisoformat,
        "failure": reader(Failure),
        "settings": QueueSettings.of,
    },
    FailedAttempt: {"at": datetime.fromisoformat},
    HistoryEntry: {"at": datetime.fromisoformat},
    QueueItem: {
        "due_at": datetime.fromisoformat,
        "history": _each(reader(FailedAttempt)),
        "done": reader(HistoryEntry),
    },
    Lease: {"items": lambda items: tuple(map(LeasedItem._make, map(_LEASED, items)))},
    Outcome: {"seqs": tuple},
    Uploaded: {"ranges": _each(tuple)},
}

"""The requests to the server and its answers, one frozen record each. Durations are in seconds.

A request writes itself as JSON (``to_json``); an answer is read by ``of``. Unknown members of an answer are
ignored: the paths are version 1 and only grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from .errors import ServerRefused

Seqs = Sequence[tuple[int, int]]
"""Ranges of seqs, both ends included."""

State = str
"""``open``, ``starting``, ``paused``, ``exhausted``, ``failed`` or ``closed``; more may come."""

Json = Any
"""A JSON object, as ``json`` reads and writes it."""


# -- requests


@dataclass(frozen=True, slots=True)
class LeaseAsk:
    """Asks for up to ``max`` items for ``ttl`` seconds, waiting up to ``wait`` seconds for the first one."""

    max: int = 1
    ttl: float = 30.0
    wait: float = 0.0
    worker: str = ""

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return {"max": self.max, "ttl": self.ttl, "wait": self.wait, "worker": self.worker}


@dataclass(frozen=True, slots=True)
class Result:
    """An item that an ack pushes into another queue, in the ack's transaction."""

    queue: str
    value: Json
    key: str | None = None
    delay: float = 0.0
    priority: int = 0

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return {"queue": self.queue, **NewItem(self.value, self.key, self.delay, self.priority).to_json()}


@dataclass(frozen=True, slots=True)
class Ack:
    """The items are done. ``seqs`` None: all items that the token still holds."""

    token: str
    seqs: Seqs | None = None
    push: Sequence[Result] = ()

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return _entry(self.token, self.seqs, push=[result.to_json() for result in self.push] or None)


@dataclass(frozen=True, slots=True)
class Nack:
    """The items failed. ``delay`` None: the queue's back-off. ``error``: up to 8 KiB. ``dead``: for good."""

    token: str
    seqs: Seqs | None = None
    delay: float | None = None
    error: str = ""
    dead: bool = False

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        error, dead = self.error or None, self.dead or None
        return _entry(self.token, self.seqs, delay=self.delay, error=error, dead=dead)


@dataclass(frozen=True, slots=True)
class Extend:
    """The items take longer: their lease ends ``ttl`` seconds from now."""

    token: str
    ttl: float
    seqs: Seqs | None = None

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return _entry(self.token, self.seqs, ttl=self.ttl)


@dataclass(frozen=True, slots=True)
class Release:
    """The items were not begun: they wait again at once, and the hand-out does not count as an attempt."""

    token: str
    seqs: Seqs | None = None

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return _entry(self.token, self.seqs)


Entry = Ack | Nack | Extend | Release


def _entry(token: str, seqs: Seqs | None, **more: Json) -> dict[str, Json]:
    entry: dict[str, Json] = {"token": token}
    if seqs is not None:
        entry["seqs"] = seqs
    entry.update((name, value) for name, value in more.items() if value is not None)
    return entry


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to push. A ``key`` that is known already pushes nothing; ``delay`` in seconds."""

    value: Json
    key: str | None = None
    delay: float = 0.0
    priority: int = 0

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        item: dict[str, Json] = {"value": self.value}
        if self.key is not None:
            item["key"] = self.key
        if self.delay:
            item["delay"] = self.delay
        if self.priority:
            item["priority"] = self.priority
        return item


# -- answers


class Item(NamedTuple):
    """An item that was taken for good."""

    seq: int
    value: Json


class LeasedItem(NamedTuple):
    """An item under a lease; ``attempt`` counts its hand-outs, this one included."""

    seq: int
    value: Json
    attempt: int


_LEASED = itemgetter(*LeasedItem._fields)


@dataclass(frozen=True, slots=True)
class Lease:
    """Items that the client holds until ``expires_in`` seconds after the server answered."""

    queue: str
    state: State
    token: str
    expires_in: float
    items: tuple[LeasedItem, ...]

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(
            answer["queue"],
            answer["state"],
            answer["token"],
            float(answer["expires_in"]),
            tuple(map(LeasedItem._make, map(_LEASED, answer["items"]))),
        )


Verdict = Literal["acked", "nacked", "extended", "released", "dead", "stale", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a range. ``seqs`` None: the token held nothing. Refusals have ``queue``, ``reason``."""

    seqs: tuple[int, int] | None
    outcome: str
    reason: str | None = None
    queue: str | None = None
    expires_in: float | None = None
    due_at: str | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        seqs = answer["seqs"]
        return cls(
            None if seqs is None else (seqs[0], seqs[1]),
            answer["outcome"],
            answer.get("reason"),
            answer.get("queue"),
            answer.get("expires_in"),
            answer.get("due_at"),
        )


@dataclass(frozen=True, slots=True)
class Pushed:
    """One pushed item: its seq, and whether its key was known (then it is the first push's seq)."""

    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class PushReport:
    """How many items were pushed, and how many were known already by their keys."""

    accepted: int = 0
    duplicates: int = 0

    def __add__(self, other: PushReport) -> PushReport:
        return PushReport(self.accepted + other.accepted, self.duplicates + other.duplicates)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What of an NDJSON stream was pushed; ``ranges`` have the seqs of its new items."""

    queue: str
    lines: int
    bytes: int
    accepted: int
    duplicates: int
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(
            answer["queue"],
            answer["lines"],
            answer["bytes"],
            answer["accepted"],
            answer["duplicates"],
            tuple((first, last) for first, last in answer["ranges"]),
        )


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

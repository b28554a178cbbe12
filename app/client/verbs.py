"""The verbs of a settle: what each says in a request, as a record and as the verdict on a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from .records import Json, Result, Seqs
from .text import encode

Kind = str


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


def _entry(token: str, seqs: Seqs | None, **more: Json) -> dict[str, Json]:
    entry: dict[str, Json] = {"token": token}
    if seqs is not None:
        entry["seqs"] = seqs
    entry.update((name, value) for name, value in more.items() if value is not None)
    return entry


Entry = Ack | Nack | Extend | Release

ACKS: Final = "acks"
NACKS: Final = "nacks"
EXTENDS: Final = "extends"
RELEASES: Final = "releases"


class Verb(NamedTuple):
    """A verb: its list in a request, and the outcomes with which a server says that items ended so."""

    kind: Kind
    ends: tuple[str, ...] = ()


VERBS: Final[Mapping[type[Entry], Verb]] = {
    Ack: Verb(ACKS, ("acked",)),
    Nack: Verb(NACKS, ("nacked", "dead")),
    Extend: Verb(EXTENDS),
    Release: Verb(RELEASES, ("released",)),
}
"""In the order in which a server applies their lists."""

ENDED: Final = {verb.kind: verb.ends[0] for verb in VERBS.values() if verb.ends}
"""What is said of a job with a verdict of this kind."""


class Verdict(NamedTuple):
    """How a job ends, as the client tells the server.

    ``push`` has the JSON texts of results, ``traceparent`` is theirs. ``fallback`` is told instead if the
    server refuses this verdict.
    """

    kind: Kind
    push: tuple[str, ...] = ()
    error: str = ""
    delay: float | None = None
    dead: bool = False
    fallback: bool = False
    traceparent: str | None = None

    @property
    def size(self) -> int:
        """About how many bytes of a request the verdict takes."""
        return sum(map(len, self.push)) + len(self.error)

    @property
    def members(self) -> list[str]:
        """What the verdict says in the JSON of a request, beside the token and the seqs."""
        said = [f'"push":[{",".join(self.push)}]'] if self.push else []
        said += [f'"error":{encode(self.error)}'] if self.error else []
        said += [f'"delay":{self.delay}'] if self.delay is not None else []
        return [*said, '"dead":true'] if self.dead else said


ACK: Final = Verdict(ACKS)
RELEASE: Final = Verdict(RELEASES)


@dataclass
class Counts:
    """How many jobs of a lease iterator ended in each way, as the server confirmed.

    ``begun``: handed to the consumer. ``lost``: their leases ended early, begun or not.
    """

    begun: int = 0
    acked: int = 0
    nacked: int = 0
    dead: int = 0
    released: int = 0
    lost: int = 0

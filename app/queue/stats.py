"""The statistics as they are told: of the server, of its ledger, of a queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .answers import Failure


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the last samples, in seconds (or items, if the name says so). Null before the first."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue, since the server started, except for what the ledger counts.

    That is ``cursor``, ``taken``, ``acked``, and the items inside: ``waiting_items`` (delayed ones too),
    ``leased``, ``dead``; ``oldest_waiting``: for how many seconds the first could have been handed out, null
    where none could.
    """

    queue: str
    state: str
    cursor: int
    taken: int
    acked: int
    waiting_items: int
    leased: int
    dead: int
    oldest_waiting: float | None
    pushed: int
    settled: int
    nacked: int
    requests: int
    handed_out: int
    replays: int
    refused: int
    rate: float
    in_flight: int
    waiting: int
    buffered: int
    threads: int
    pulls: int
    contended: int
    wait: Percentiles
    hold: Percentiles
    answer: Percentiles
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class LedgerStats:
    """The committer: how many ops shared a sync, how long one took, and all of them: ``commit_time``.

    ``ops_per_commit`` is null before the first commit.
    """

    engine: str
    path: str
    commits: int
    syncs: int
    ops: int
    ops_per_commit: float | None
    commit_time: float
    commit: Percentiles
    batch: Percentiles
    reopened: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RestoredFrom:
    """The backup that the ledger was restored from; ``held``: nothing is handed out until it is accepted."""

    backup: str
    made_at: str
    held: bool


@dataclass(frozen=True, slots=True)
class ServerStats:
    """A server of the ledger. ``seen``: so many seconds ago. ``note`` says why it can't own, if it can't.

    ``lag``: by how many transactions its warm copy of the owner's memory is behind; null where it has none.
    ``troubles``: what else is not well with it, such as that it can't reach the owner.
    """

    url: str
    version: str
    owner: bool
    seen: float
    note: str
    lag: int | None
    troubles: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ClusterStats:
    """The cluster, as the server at ``url`` sees it, which has this ``role``.

    ``owner`` is the URL of the newest owner, ``term`` the number of its term, which has lasted for
    ``lasts`` seconds; ``position`` the number of the newest transaction, ``position_age`` seconds old.
    ``takeovers`` are the terms that began within the last hour. Commits wait for ``standbys_needed`` of the
    ``standbys`` of the database; vacuum is held back there for ``vacuum_held`` transactions. ``warnings`` are
    sentences for an operator.
    """

    role: str
    url: str
    owner: str | None
    term: int
    lasts: float
    position: int
    position_age: float
    takeovers: int
    servers: Sequence[ServerStats]
    standbys: int
    standbys_needed: int
    vacuum_held: int
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole server, and a page of its queues by name; ``next`` is the ``after`` of the next page.

    ``processor_time``: what its process has used since it began; a second of one core is one. ``ledger``
    and ``cluster`` are null for a caller that has roles for some queues only; ``cluster`` is also where one
    server has the ledger for itself.
    """

    uptime: float
    processor_time: float
    requests: int
    handed_out: int
    replays: int
    refused: int
    pushed: int
    settled: int
    nacked: int
    rate: float
    in_flight: int
    waiting: int
    ledger: LedgerStats | None
    restored: RestoredFrom | None
    queue_count: int
    queues: Sequence[QueueStats]
    next: str | None
    cluster: ClusterStats | None

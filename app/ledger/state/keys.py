"""The keys of a batch: what is filed under them, and what is to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

from ..serve import Key, Why
from ..work import expiry
from .rows import Answer, Name
from .sequences import Position, Sequences
from .transaction import Transaction

DAY: Final = 86_400_000
HOUR: Final = 3_600_000


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


Ruling = Why | Answer | Leader | None
"""What is to be done with a request: refuse it, give the filed answer or that of another one, or run it."""


class Keys:
    """Looks the keys of a batch up, at once; rules on each request that has one; files what comes of it."""

    __slots__ = ("_found", "_leaders", "_sequences", "_tx", "_wanted")

    def __init__(self, tx: Transaction, sequences: Sequences) -> None:
        self._tx = tx
        self._sequences = sequences
        self._wanted: dict[Name, None] = {}
        self._found: dict[Name, Answer] = {}
        self._leaders: dict[Name, Leader] = {}

    def want(self, name: Name, key: Key) -> None:
        """Look this key up, unless it is known how far its session has come."""
        position = self._sequences.get(name)
        if position is None or position.expires <= self._tx.now or key.n == position.n:
            self._wanted[name] = None

    def look_up(self) -> None:
        """Read what is filed under all keys that are wanted."""
        if self._wanted:
            self._read(self._wanted)
            self._wanted = {}

    def _read(self, wanted: Iterable[Name]) -> None:
        names = list(wanted)
        found = self._tx.store.answers.find(names)
        self._found.update(found)
        for name in names:
            answer = found.get(name)
            if answer is None:
                self._sequences.drop(name)
            elif answer.n and answer.sound:
                self._sequences.put(name, Position(answer.n, answer.request, answer.expires, answer.id))

    def find(self, name: Name) -> Answer | None:
        """What is filed under one key that was not wanted before."""
        self._read((name,))
        answer = self._found.get(name)
        return answer if answer is not None and answer.sound and answer.expires > self._tx.now else None

    def rule(self, name: Name, key: Key) -> Ruling:
        """Rule on a request by what is filed under its key, and by who has it in the same batch."""
        leader = self._leaders.get(name)
        if leader is not None:
            return _rule_after(leader, key)
        answer = self._found.get(name)
        if answer is None:
            position = self._sequences.get(name)
            return None if position is None else _refusal(position.n, key)
        if not answer.sound:
            return "damaged"
        if answer.expires <= self._tx.now:
            return None
        same = answer.n == key.n and answer.request == key.digest
        return answer if same else _refusal(answer.n, key)

    def lead(self, name: Name, key: Key, owner: Owner, at: int) -> None:
        """Note that a request is run for its key."""
        self._leaders[name] = Leader(key, owner, at)

    def file(self, name: Name, key: Key, ttl: int, outcome: str, values: str | None) -> None:
        """File what came of a request under its key, in place of what may be there.

        A session's answer is kept for a day at most, up to a full hour: the index of its expiry stays as it
        is for as long.
        """
        now, n = self._tx.now, key.n
        expires = expiry(now, min(ttl, DAY) if n else ttl)
        if n:
            expires += -expires % HOUR
        known = self._found.get(name)
        row, before = (known.id, known.expires) if known is not None else self._row(name)
        answer = Answer(row, key.digest, outcome, values, expires, True, n)
        if not row:
            self._tx.store.answers.file(name, answer, now, replace=True)
            self._tx.learned += 1
            return
        self._tx.store.answers.refile(name, answer, before)
        if n:
            self._sequences.put(name, Position(n, key.digest, expires, row))

    def _row(self, name: Name) -> tuple[int, int]:
        """The row of a session's answer, and its expiry; 0 if there is none."""
        position = self._sequences.get(name)
        return (0, 0) if position is None else (position.row, position.expires)


def _rule_after(leader: Leader, key: Key) -> Ruling:
    if (leader.key.n, leader.key.digest) == (key.n, key.digest):
        return leader
    refusal = _refusal(leader.key.n, key)
    if refusal is None:
        leader.owner.supersede(leader.at)
    return refusal


def _refusal(n: int, key: Key) -> Why | None:
    """Why a request can't be answered where another one, with this number, was; None for a later one."""
    if (n > 0) != (key.n > 0) or n == key.n:
        return "key-reused"
    return "key-superseded" if key.n < n else None

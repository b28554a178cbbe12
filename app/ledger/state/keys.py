"""The keys of a batch: what is filed under them, and what is to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from ..serve import Key, Why
from ..work import expiry
from .rows import Answer, Name
from .sequences import Position
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


# As their own constructors do, in a third of the time.
_leader: Callable[[Any], Leader] = partial(tuple.__new__, Leader)
_answer: Callable[[Any], Answer] = partial(tuple.__new__, Answer)
_position: Callable[[Any], Position] = partial(tuple.__new__, Position)

Ruling = Why | Answer | Leader | None
"""What is to be done with a request: refuse it, give the filed answer or that of another one, or run it."""


class Keys:
    """Looks the keys of a batch up, at once; rules on each request that has one; files what comes of it."""

    __slots__ = ("_answers", "_found", "_leaders", "_now", "_sequences", "_tx", "_until")

    def __init__(self, tx: Transaction, wanted: Iterable[tuple[Name, Key]]) -> None:
        """Read what is filed under these keys, but where it is known how far a session has come."""
        self._tx = tx
        self._now = now = tx.now
        self._answers = tx.store.answers
        self._sequences = tx.sequences
        self._until: dict[tuple[int, bool], int] = {}  # expiries of answers that are filed now
        self._found: dict[Name, Answer] = {}
        self._leaders: dict[Name, Leader] = {}
        known, unknown = tx.sequences.get, []
        for name, key in wanted:
            position = known(name)
            if position is None or position.expires <= now or key.n == position.n:
                unknown.append(name)
        if unknown:
            self._read(unknown)

    def _read(self, names: list[Name]) -> None:
        found = self._answers.find(names)
        self._found.update(found)
        for name in names:
            answer = found.get(name)
            if answer is None:
                self._sequences.drop(name)
            elif answer.n and answer.sound:
                self._sequences.put(name, Position(answer.n, answer.request, answer.expires, answer.id))

    def find(self, name: Name) -> Answer | None:
        """What is filed under one key that was not wanted before."""
        self._read([name])
        answer = self._found.get(name)
        return answer if answer is not None and answer.sound and answer.expires > self._now else None

    def rule(self, name: Name, key: Key, owner: Owner, at: int) -> Ruling:
        """Rule on a request by what is filed under its key, and by who has it in the same batch.

        None: it is run, and others with its key get what comes of it.
        """
        leader, answer = self._leaders.get(name), self._found.get(name)
        if leader is not None:
            ruling = _rule_after(leader, key)
        elif answer is not None:
            ruling = self._rule_on(answer, key)
        else:
            position = self._sequences.get(name)
            ruling = None if position is None or 0 < position.n < key.n else _refusal(position.n, key)
        if ruling is None:
            self._leaders[name] = _leader((key, owner, at))
        return ruling

    def _rule_on(self, answer: Answer, key: Key) -> Ruling:
        if not answer.sound:
            return "damaged"
        if answer.expires <= self._now:
            return None
        same = answer.n == key.n and answer.request == key.digest
        return answer if same else _refusal(answer.n, key)

    def lead(self, name: Name, key: Key, owner: Owner, at: int) -> None:
        """Note that a request is run for its key although that is filed."""
        self._leaders[name] = Leader(key, owner, at)

    def file(self, name: Name, key: Key, ttl: int, outcome: str, values: str | None) -> None:
        """File what came of a request under its key, in place of what may be there.

        A session's answer is kept for a day at most, up to a full hour: for as long the index of its expiry
        is left alone.
        """
        n, digest = key.n, key.digest
        until = (ttl, n > 0)
        expires = self._until.get(until) or self._expiry(*until)
        known = self._found.get(name) or self._sequences.get(name)
        if known is None:
            self._answers.file(name, _answer((0, digest, outcome, values, expires, True, n)))
            self._tx.learned += 1
            return
        row = known.id
        self._answers.refile(name, _answer((row, digest, outcome, values, expires, True, n)), known.expires)
        if n:
            self._sequences.put(name, _position((n, digest, expires, row)))

    def _expiry(self, ttl: int, session: bool) -> int:
        """When an answer that is filed now expires: of a session within a day, at a full hour."""
        expires = expiry(self._now, min(ttl, DAY) if session else ttl)
        if session:
            expires += -expires % HOUR
        self._until[ttl, session] = expires
        return expires


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

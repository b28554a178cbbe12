"""Damage on purpose to a history of work: each breaks one promise and leaves everything else as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from ..errors import PlantError
from ..plant import Damage
from ..records import Outcome
from ..verdict import Findings
from .fold import Folded, fold
from .holdings import Act, Holding, Holdings, find_holdings
from .records import Came, Do, Entry, Lease, Line, PushRequest, WorkHistory, WorkRequest

_Planter = Callable[[WorkHistory, Holdings, Random], tuple[WorkHistory, str]]
_TOKEN = "planted"  # noqa: S105  # not a secret


def plant_work(history: WorkHistory, damage: Damage, random: Random) -> tuple[WorkHistory, str]:
    """Damage a copy of a history of work.

    Returns:
        The damaged history, and a sentence that describes the damage.

    Raises:
        PlantError: the history has no place for this damage.
    """
    if damage not in _PLANTERS:
        raise PlantError(f"this is a history of work, which knows {', '.join(_PLANTERS)}")
    findings = Findings(0)
    folded: Folded = fold(history.lines, findings)
    held = find_holdings(folded, findings)
    if not held.by_seq:
        raise PlantError("nothing was handed out in this history")
    return _PLANTERS[damage](history, held, random)


def _acks(held: Holdings) -> list[tuple[Holding, Act]]:
    """The items that certainly have one ack only, with that ack."""
    found = []
    for holdings in held.by_seq.values():
        acts = [(holding, act) for holding in holdings for act in holding.acts if act.do is Do.ACK]
        if all(act.verdict is not None for _, act in acts):
            found += [(holding, act) for holding, act in acts if act.worked][:1]
    return found


def _choose(random: Random, able: list[tuple[Holding, Act]], what: str) -> tuple[Holding, Act]:
    if not able:
        raise PlantError(what)
    return random.choice(able)


def _lost(history: WorkHistory, held: Holdings, random: Random) -> tuple[WorkHistory, str]:
    """An ack was never sent, and the item is not in the queue all the same."""
    holding, act = _choose(random, _acks(held), "nothing was acked in this history")
    lines = [
        _without(line, holding) if _is_of(line, act.record) and isinstance(line, WorkRequest) else line
        for line in history.lines
    ]
    return replace(history, lines=lines), f"{holding.seq} (line {act.record.line}) was acked by nobody"


def _without(record: WorkRequest, holding: Holding) -> WorkRequest:
    """A settle that leaves out one item."""
    seq = holding.seq
    entries: list[Entry] = []
    outcomes: list[tuple[Came, ...]] = []
    for at, entry in enumerate(record.entries):
        if entry.token != holding.token or entry.do is not Do.ACK:
            entries.append(entry)
            outcomes += record.outcomes[at : at + 1]
            continue
        came = record.outcomes[at] if record.outcomes else ()
        asked = entry.seqs
        if asked is None:
            asked = tuple((one.first, one.last) for one in came if one.first and one.last)
        left = tuple(_cut(asked, seq))
        if left:
            entries.append(entry._replace(seqs=left))
            outcomes += [tuple(_cut_came(came, seq))] if record.outcomes else []
    return replace(record, entries=tuple(entries), outcomes=tuple(outcomes))


def _cut(spans: Iterable[tuple[int, int]], seq: int) -> Iterable[tuple[int, int]]:
    for first, last in spans:
        parts = [(first, last)] if not first <= seq <= last else [(first, seq - 1), (seq + 1, last)]
        yield from (part for part in parts if part[0] <= part[1])


def _cut_came(came: Iterable[Came], seq: int) -> Iterable[Came]:
    for one in came:
        if one.first is None or one.last is None:
            yield one
        else:
            yield from (one._replace(first=a, last=b) for a, b in _cut([(one.first, one.last)], seq))


def _two_owners(history: WorkHistory, held: Holdings, random: Random) -> tuple[WorkHistory, str]:
    """A second client is given the item while the first one's lease is live, and forgets it."""
    able = [
        (holding, act)
        for holding, act in _acks(held)
        if _is_last(holding, held, history) and holding.until + 2 < holding.sure_until
    ]
    holding, _ = _choose(random, able, "nobody held an item for certain in this history")
    at = random.randrange(holding.until + 1, holding.sure_until - 1)
    planted = _handed_out(holding, at)
    told = f"{holding.seq}, leased by client {holding.done.record.client}, went to a second client too"
    return replace(history, lines=[*history.lines, planted]), told


def _acked_again(history: WorkHistory, held: Holdings, random: Random) -> tuple[WorkHistory, str]:
    """An item is handed out again after its ack was answered."""
    able = [(holding, act) for holding, act in _acks(held) if _is_last(holding, held, history)]
    holding, act = _choose(random, able, "nothing was acked in this history")
    planted = _handed_out(holding, act.record.completed + 1)
    told = f"{holding.seq}, acked by client {act.record.client} (line {act.record.line}), went out once more"
    return replace(history, lines=[*history.lines, planted]), told


def _is_last(holding: Holding, held: Holdings, history: WorkHistory) -> bool:
    """Whether one more attempt contradicts nothing that came later, nor the most that are allowed."""
    most = history.header.max_attempts
    return holding is held.by_seq[holding.seq][-1] and (most is None or holding.attempt < most)


def _handed_out(holding: Holding, at: int) -> WorkRequest:
    """A hand-out of the item to a client of its own, at this instant; too short for anything else."""
    lease = Lease(_TOKEN, 0, (holding.seq,), (holding.value,), (holding.attempt + 1,))
    return WorkRequest(
        client="planted",
        key="planted",
        invoked=at,
        completed=at,
        outcome=Outcome.OK,
        most=1,
        lease=lease,
    )


def _value(history: WorkHistory, held: Holdings, random: Random) -> tuple[WorkHistory, str]:
    """One hand-out carries another value."""
    # A push that was told of a known item says nothing about that item's value: its first one does.
    pushed = {
        seq
        for line in history.lines
        if isinstance(line, PushRequest)
        for at, seq in enumerate(line.seqs)
        if at not in line.known
    }
    able = [holding for holding in held if holding.seq in pushed]
    if not able:
        raise PlantError("nothing that was pushed, with a reply, was handed out in this history")
    holding = random.choice(able)
    lines = [
        _revalued(line, holding.seq)
        if _is_of(line, holding.done.record) and isinstance(line, WorkRequest)
        else line
        for line in history.lines
    ]
    told = f"{holding.seq} (line {holding.done.record.line}) was handed out with another value"
    return replace(history, lines=lines), told


def _revalued(record: WorkRequest, seq: int) -> WorkRequest:
    lease = record.lease
    if lease is None:
        return record
    values = tuple(
        '"planted"' if one == seq else value for one, value in zip(lease.seqs, lease.values, strict=True)
    )
    return replace(record, lease=replace(lease, values=values))


def _is_of(line: Line, record: WorkRequest) -> bool:
    return line is record or (
        isinstance(line, WorkRequest) and line.key is not None and line.key == record.key
    )


_PLANTERS: dict[Damage, _Planter] = {
    Damage.LOST: _lost,
    Damage.TWO_OWNERS: _two_owners,
    Damage.ACKED_AGAIN: _acked_again,
    Damage.VALUE: _value,
}

"""The rules of items: each pushed once and lost by nobody, handed out with its value, its attempts counted.

Attempts count hand-outs: none twice unless it was not used, none back, none too many. A release uses no
attempt, nor does an expired lease of many items: its worker may have died of any of them.
"""

from __future__ import annotations

from operator import attrgetter

from .case import Case, overtaken
from .holdings import Holding
from .records import Do
from .verdict import Finding, Found, finding, of_item


def lost(case: Case) -> Found:
    """Find items that nobody acked and that are not in the queue."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if not maybe and case.inside is not None)


def unjudged(case: Case) -> Found:
    """Find items that nobody acked, where nobody looked whether they are in the queue."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if not maybe and case.inside is None)


def maybe(case: Case) -> Found:
    """Find items that are gone, and that a settle without a reply may have acked."""
    return (_gone(case, seq) for seq, maybe in case.gone.items() if maybe)


def _gone(case: Case, seq: int) -> Finding:
    holdings = case.held.by_seq.get(seq, [])
    told = f"handed out {len(holdings)} times, acked by nobody" if holdings else "never handed out"
    return of_item(seq, told, case.pushed.get(seq), *holdings[-1:])


def seq_twice(case: Case) -> Found:
    """Find seqs that two pushes were told."""
    for item in case.items:
        if not item.known and (other := case.pushed[item.seq]).done is not item.done:
            yield of_item(item.seq, "two pushes were told this seq", other, item)


def key_twice(case: Case) -> Found:
    """Find names of items that stand for two seqs."""
    first = {item.name: item for item in reversed(case.items) if item.name and not item.known}
    for item in case.items:
        other = first.get(item.name or "", item)
        if other.seq != item.seq or (other.done is not item.done and not item.known):
            told = f"key {item.name} was pushed to {other.seq}, and {'is known as' if item.known else 'to'}"
            yield finding(
                1, f"{told} {item.seq}", [(other.seq, other.seq), (item.seq, item.seq)], other, item
            )


def known_falsely(case: Case) -> Found:
    """Find items that were called known, though nobody had pushed one of that name."""
    names = {item.name for item in case.items if not item.known}
    names.update(*(left.request.asked.names for left in case.folded.pushes.open))
    for item in case.items:
        if item.known and (item.name is None or item.name not in names):
            yield of_item(item.seq, f"key {item.name} is new", item)


def wrong_value(case: Case) -> Found:
    """Find items that were handed out with another value than the pushed one, or than before."""
    for seq, holdings in case.held.by_seq.items():
        first = case.pushed.get(seq) or holdings[0]
        for one in holdings:
            if one.value != first.value:
                yield of_item(seq, f"{first.value} was handed out as {one.value}", first, one)


def phantom(case: Case) -> Found:
    """Find items that nobody had pushed, or not yet when they were handed out."""
    maybe = {value for left in case.folded.pushes.open for value in left.request.asked.values}
    for seq, holdings in case.held.by_seq.items():
        item = case.pushed.get(seq)
        if item is None:
            if holdings[0].value not in maybe:
                yield of_item(seq, "handed out", holdings[0])
        elif early := next((one for one in holdings if one.until < item.done.since), None):
            yield of_item(seq, "handed out before it was pushed", item, early)
    for inside in case.inside or ():
        if inside.seq not in case.pushed and inside.seq not in case.held.by_seq and not maybe:
            yield of_item(inside.seq, f"{inside.state} in the queue")


def attempt_twice(case: Case) -> Found:
    """Find hand-outs that repeat an attempt which an earlier hand-out had used."""
    for seq, holdings in case.held.by_seq.items():
        kept: dict[int, Holding] = {}
        for one in holdings:
            if any(act.do is Do.RELEASE and act.ends for act in one.acts):
                continue
            used, other = _is_used(one), kept.get(one.attempt)
            if used:
                kept.setdefault(one.attempt, one)
            if other is not None and (used or other.until < one.since):
                yield of_item(seq, f"attempt {one.attempt} twice", other, one)


def _is_used(holding: Holding) -> bool:
    """Whether a hand-out that was not released has certainly used its attempt: it was alone, or nacked."""
    return len(holding.lease.seqs) == 1 or any(act.do is Do.NACK and act.worked for act in holding.acts)


def attempt_back(case: Case) -> Found:
    """Find earlier attempts after later ones."""
    attempt = attrgetter("attempt")
    for seq, holdings in case.held.by_seq.items():
        for top, one in overtaken(holdings, attempt, attempt) if len(holdings) > 1 else ():
            yield of_item(seq, f"attempt {one.attempt} after attempt {top.attempt}", top, one)


def too_often(case: Case) -> Found:
    """Find attempts above the most that are allowed."""
    most = case.header.max_attempts
    for one in case.held:
        if most is not None and one.attempt > most:
            yield of_item(one.seq, f"attempt {one.attempt}, and {most} are allowed", one)


def buried_early(case: Case) -> Found:
    """Find items that were dead before their attempts were used up: by an answer, or by the queue's list."""
    most = case.header.max_attempts
    if most is None:
        return
    for one in case.held:
        for act in one.acts:
            if act.verdict == "dead" and one.attempt < most:
                yield of_item(one.seq, f"dead after {one.attempt} of {most} attempts", one, act)
    for item in case.inside or ():
        if item.state == "dead" and item.attempt < most:
            yield of_item(item.seq, f"dead after {item.attempt} of {most} attempts")


def unseen(case: Case) -> Found:
    """Find hand-outs that only a later attempt tells of: requests without a reply may have had that many."""
    count, most = sum(map(len, case.unseen.values())), case.unseen_may_be
    if count > most:
        seq, missing = next(iter(case.unseen.items()))
        told = f"{count} hand-outs nobody got, and requests without a reply explain {most}; "
        told += f"the first is attempt {missing[0]} of {seq}"
        yield finding(count - most, told, [(seq, seq)], case.held.by_seq[seq][-1])

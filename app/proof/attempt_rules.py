"""The rules of attempts, which count hand-outs: none twice unless it was not used, none back, none too many.

A release uses no attempt, nor does an expired lease of many items: its worker may have died of any of them.
"""

from __future__ import annotations

from operator import attrgetter

from .case import Case, overtaken
from .holdings import Holding
from .records import Do
from .verdict import Found, finding, of_item


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

"""The rules of all requests: a key has one answer, no answer is too large, the server's counters agree."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .case import Case
from .fold import Done, told
from .kinds import Kind
from .records import Audit, Outcome, Request, Taken
from .values import Span
from .verdict import Found, finding

_SHOWN = 8
_ANY = 1 << 62


def replay_differs(case: Case) -> Found:
    """Find replays that are not the first answer of their key."""
    detail = "replayed with another answer than the first one"
    for story in case.folded.stories:
        for one in story.answered:
            if one.replay and told(one) != told(story.anchor):
                yield finding(1, detail, _spans(one), story.anchor, one)


def replay_of_nothing(case: Case) -> Found:
    """Find replays of a key that had not been spent.

    A request that was under way when another server became owner may have been sent a second time by the
    server that its client asked; then its only answer is a replay.
    """
    if case.header.several:
        return
    takeovers = [(note.at, note.until) for note in case.folded.notes if note.what == "takeover"]
    detail = "marked as a replay, but no earlier request of this key went without a reply"
    for story in case.folded.stories:
        if not story.answered or story.fresh:
            continue
        one = story.anchor
        if any(at <= one.completed and one.invoked <= until for at, until in takeovers):
            continue
        if all(one.outcome is not Outcome.UNKNOWN for one in story.earlier):
            yield finding(1, detail, _spans(story.anchor), story.anchor)


def key_spent_twice(case: Case) -> Found:
    """Find second answers of a key that are no replays: the request took effect anew."""
    detail = "the key was answered before, and this answer is not marked as a replay"
    for story in case.folded.stories:
        for one in story.fresh:
            before = next((other for other in story.answered if other is not one), None)
            if before is not None and (one is not story.fresh[0] or before.completed < one.invoked):
                yield finding(1, detail, _spans(one), before, one)


def unresolved(case: Case) -> Found:
    """Find requests that never got a reply, and no later word that nothing was handed out."""
    for left in case.folded.takes.open:
        if not left.refused:
            detail = f"{left.request.error or 'no reply'}; up to {left.most} items may have been handed out"
            yield finding(1, detail, [], left.request)


def too_many(case: Case) -> Found:
    """Find answers with more items than were asked for."""
    done: list[Done[Any, Any]] = [*case.folded.takes.done, *case.folded.exchanges.done]
    for request, got in ((one.request, one.answer.size) for one in done):
        if got > request.asked.most:
            detail = f"{request.asked.most} asked for, {got} answered"
            yield finding(1, detail, _spans(request), request)


def audit(case: Case) -> Found:
    """Hold the server's own counters against themselves, and against what the clients know."""
    for one in case.audits:
        if not one.balanced or one.overlaps or not (one.adds_up or case.header.kind is Kind.TAKES):
            yield finding(1, f"does not add up: {_shown(one)}", [])
    for before, after in pairwise(case.audits):
        if case.header.exclusive and before.lasting != after.lasting:
            detail = f"{_shown(before)}; after a restart, with nobody asking, {_shown(after)}"
            yield finding(1, detail, [])
    if not case.audits:
        return
    expected = _of_takes(case) if case.header.kind is Kind.TAKES else _of_work(case)
    for name, (servers, least, most) in expected.items():
        if not least <= servers <= most:
            yield finding(1, f"the server counts {servers} {name}, the clients know of {least}", [])


def _of_takes(case: Case) -> dict[str, tuple[int, int, int]]:
    """More than the clients have is a gap, and detail as one."""
    before = case.header.taken
    return {} if before is None else {"taken": (case.audits[-1].taken - before, case.seqs, _ANY)}


def _of_work(case: Case) -> dict[str, tuple[int, int, int]]:
    """The server's counters, and their least and most by the clients' answers; lost replies leave it open."""
    last, header, pushed, acked = case.audits[-1], case.header, len(case.pushed), len(case.acks)
    more = sum(len(left.request.asked.values) for left in case.folded.pushes.open)
    maybe = sum(seq not in case.acks and case.maybe_acked(seq) for seq in case.held.by_seq)
    counted = {
        "pushed": (last.cursor - (header.cursor or 0), pushed, pushed + more),
        "acked": (last.acked - header.acked, acked, acked + maybe),
        "taken, purged or jumped over": (last.taken + last.purged + last.jumped, 0, 0),
    }
    if case.inside is not None:
        counted["inside"] = (last.inside, len(case.inside), len(case.inside))
    return counted


def _shown(one: Audit) -> str:
    return ", ".join(f"{name} {count}" for name, count in one.lasting.items())


def _spans(one: Request[Any, Any]) -> tuple[Span, ...]:
    """The first seqs of a take, to find it by."""
    return one.answer.spans[:_SHOWN] if isinstance(one.answer, Taken) else ()

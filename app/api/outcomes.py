"""The answers to settles: the outcomes of leased items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from ..errors import ResultRefused, StaleLease
from ..ledger.work import Entry, Settled
from ..queue.answers import Answer
from .handout import lease_text
from .problems import problem_fields
from .reply import REPLAYED, Reply
from .requests import KINDS
from .wire import instant

REASONS: Final = {"source": "source-fed", "end": "closed"}
"""Words of the ledger for which HTTP has other ones."""

WHY: Final = {
    "unknown": "there is no queue {}",
    "closed": "{} is closed",
    "source-fed": "{} is fed by a source",
}


def as_settled(answer: Answer, asked: Sequence[Entry], *, lease: bool) -> Reply:
    """200 with the outcomes of each entry, in the order of the request, and the next lease."""
    parts = [f'{{"queue":"{answer.queue}","state":"{answer.state}"']
    for kind, word in KINDS.items():
        pairs = zip(asked, answer.entries, strict=True)
        told = [outcome_texts(outcomes, answer.now) for entry, outcomes in pairs if type(entry) is word]
        parts.append(f'"{kind}":[{",".join(told)}]')
    if lease:
        parts.append(f'"lease":{lease_text(answer) if answer.size else "null"}')
        if not answer.size:
            problem = problem_fields(answer.refusal) if answer.refusal else None
            parts.append(f'"lease_problem":{json.dumps(problem)}')
    return Reply((",".join(parts) + "}").encode(), headers=[REPLAYED] if answer.replayed else None)


def as_one_outcome(answer: Answer) -> Reply:
    """200 for one entry.

    Raises:
        StaleLease: nothing was changed, because the token holds none of the items.
        ResultRefused: nothing was changed, because a result was refused.
    """
    (settled,) = answer.entries
    for each in settled:
        if each.verdict == "refused" and each.target is not None:
            reason = _reason(each)
            why = WHY.get(reason, "it does not take results").format(each.target)
            raise ResultRefused(f"the result was refused, and the lease is as it was: {why}", reason=reason)
    if all(each.verdict in {"stale", "refused"} for each in settled):
        raise StaleLease("the token holds none of these items any more", field="token")
    body = f'{{"queue":"{answer.queue}","outcomes":{outcome_texts(settled, answer.now)}}}'
    return Reply(body.encode(), headers=[REPLAYED] if answer.replayed else None)


def outcome_texts(settled: Iterable[Settled], now: int) -> str:
    """The outcomes of one entry, as a JSON array of ``schemas_work.Outcome``."""
    return f"[{','.join([_text(each, now) for each in settled])}]"


def _text(each: Settled, now: int) -> str:
    seqs = "null" if each.first is None else f"[{each.first},{each.last}]"
    return f'{{"seqs":{seqs},"outcome":"{each.verdict}"{_more(each, now)}}}'


def _more(each: Settled, now: int) -> str:
    """The members that only this verdict has."""
    if each.verdict == "refused":
        target = "" if each.target is None else f',"queue":"{each.target}"'
        return f',"reason":"{_reason(each)}"{target}'
    if each.due is not None and each.verdict == "nacked":
        return f',"due_at":"{instant(each.due)}"'
    if each.due is not None and each.verdict == "extended":
        return f',"expires_at":"{instant(each.due)}","expires_in":{max(each.due - now, 0) / 1000}'
    return ""


def _reason(each: Settled) -> str:
    reason = each.reason or "unknown"
    return REASONS.get(reason, reason)

"""What became of leased items, as answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from app.api.entries import KINDS
from app.api.handout import lease_text
from app.api.problems import problem_fields
from app.api.reply import REPLAYED, Reply
from app.api.wire import instant
from app.errors import ResultRefused, StaleLease
from app.ledger.work import Settled
from app.queue.answers import SettleAnswer

REASONS: Final = {"source": "source-fed"}
"""Words of the ledger, where HTTP has others."""
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def as_settled(answer: SettleAnswer, counts: Sequence[int], *, lease: bool) -> Reply:
    """200: for each entry of the request, in its order, what became of its ranges; and the next lease."""
    entries = iter(answer.entries)
    parts = [f'{{"queue":"{answer.queue}","state":"{answer.state}"']
    for kind, count in zip(KINDS, counts, strict=True):
        lists = [outcome_fields(next(entries), answer.now) for _ in range(count)]
        parts.append(f'"{kind}":{_dumps(lists)}')
    if lease:
        parts.append(f'"lease":{lease_text(answer.lease) if answer.lease else "null"}')
        if answer.lease is None:
            problem = problem_fields(answer.refusal) if answer.refusal else None
            parts.append(f'"lease_problem":{_dumps(problem)}')
    return Reply((",".join(parts) + "}").encode(), headers=[REPLAYED] if answer.replayed else None)


def as_one_outcome(answer: SettleAnswer) -> Reply:
    """200 for one entry.

    Raises:
        StaleLease: nothing was changed, because the token holds nothing of it.
        ResultRefused: nothing was changed, because a result was refused.
    """
    (settled,) = answer.entries
    for each in settled:
        if each.verdict == "refused":
            reason = _reason(each)
            raise ResultRefused(f"{each.target} does not take the result: {reason}", reason=reason)
    if all(each.verdict == "stale" for each in settled):
        raise StaleLease("the token holds none of these items any more", field="token")
    outcomes = _dumps(outcome_fields(settled, answer.now))
    body = f'{{"queue":"{answer.queue}","outcomes":{outcomes}}}'
    return Reply(body.encode(), headers=[REPLAYED] if answer.replayed else None)


def outcome_fields(settled: Iterable[Settled], now: int) -> list[dict[str, Any]]:
    """Outcomes as ``schemas_work.Outcome``."""
    return [_fields(each, now) for each in settled]


def _fields(each: Settled, now: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "seqs": None if each.first is None else [each.first, each.last],
        "outcome": each.verdict,
    }
    if each.verdict == "refused":
        fields["reason"] = _reason(each)
        fields["queue"] = each.target
    elif each.due is not None and each.verdict == "nacked":
        fields["due_at"] = instant(each.due)
    elif each.due is not None and each.verdict == "extended":
        fields["expires_at"] = instant(each.due)
        fields["expires_in"] = seconds_until(each.due, now)
    return fields


def seconds_until(due: int, now: int) -> float:
    """Seconds that are left; 0 where it has passed."""
    return max(due - now, 0) / 1000


def _reason(each: Settled) -> str:
    reason = each.reason or "unknown"
    return REASONS.get(reason, reason)

"""Answers filed under idempotency keys: how they are written, and what is read back from them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ...errors import LedgerDamaged
from ..ops import Recalled, Remember, Take
from ..together import Shares
from ..work import Claimed, Moved, Pushed, Settlement, WorkOutcome, expiry
from . import codec
from .rows import Answer, Name
from .transaction import Transaction

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Filing:
    """An outcome to file: ``outcome`` of an op on queues or of a take, ``work`` of an op of work."""

    outcome: dict[str, Any] = field(default_factory=dict)
    work: WorkOutcome | None = None
    token: str | None = None
    source: tuple[str, str] | None = None
    replace: bool = False


def file(tx: Transaction, queue: int, generation: int, remember: Remember, filing: Filing) -> None:
    """File an answer, in the transaction of what it answers."""
    outcome = {**filing.outcome, "wide": remember.wide}
    kept: range | tuple[str, ...] = remember.values
    if filing.work is not None:
        outcome["work"] = codec.to_json(filing.work)
        given = codec.values_of(filing.work)
        if given is not None:
            kept, outcome["given"] = given, True
    if filing.token is not None:
        outcome["token"] = filing.token
    if filing.source is not None:
        outcome["computed"] = filing.source
    if isinstance(kept, range):
        outcome |= {"start": kept.start, "stop": kept.stop, "step": kept.step}
    texts = _json(kept) if isinstance(kept, tuple) else None
    name = Name(queue, generation, remember.caller, remember.key)
    answer = Answer(0, remember.request, _json(outcome), texts, expiry(tx.now, remember.ttl), sound=True)
    tx.store.answers.file(name, answer, tx.now, replace=filing.replace)
    tx.learned += 1


def file_shares(tx: Transaction, queue: int, generation: int, shares: Shares, op: Take) -> None:
    """File the items that each of several callers got of a take, as ``file`` would for each alone."""
    values, expires, now = shares.values, expiry(tx.now, shares.ttl), tx.now
    start, step, total = values.start, values.step, len(values)
    wide = "true" if shares.wide else "false"
    at = 0
    for key, request, count in shares.parts:
        end = min(at + count, total)
        if key is not None and at < end:
            ending = _json(op.end.ending) if op.end is not None and end - at < count else "null"
            outcome = (
                f'{{"first":{op.first + at},"ending":{ending},"wide":{wide},'
                f'"start":{start + at * step},"stop":{start + end * step},"step":{step}}}'
            )
            answer = Answer(0, request, outcome, None, expires, sound=True)
            tx.store.answers.file(Name(queue, generation, shares.caller, key), answer, now)
            tx.learned += 1
        at = end


def recalled(name: Name, answer: Answer, now: int) -> Recalled | None:
    """What an answer says; None if it has expired.

    Raises:
        LedgerDamaged: the answer is not as it was filed.
    """
    if not answer.sound:
        raise LedgerDamaged(f"the answer kept under the key {name.key!r} is damaged", "maybe")
    if answer.expires <= now:
        return None
    kept, outcome = answer.values, json.loads(answer.outcome)
    wide = outcome.pop("wide")
    work, token, source = (outcome.pop(name, None) for name in ("work", "token", "computed"))
    texts = None if kept is None else tuple(json.loads(kept))
    given = outcome.pop("given", False)  # the values are those of the work's own claim
    bounds = range(0) if kept is not None else range(*map(outcome.pop, ("start", "stop", "step")))
    values = bounds if texts is None else () if given else texts
    return Recalled(
        answer.request,
        outcome,
        values,
        wide,
        None if work is None else codec.from_json(work, texts if given else None),
        token,
        None if source is None else tuple(source),
    )


def of_take(op: Take, due: int | None) -> dict[str, Any]:
    """The part of a take that is filed beside its values."""
    outcome = {"first": op.first, "ending": op.end.ending if op.end else None}
    return outcome if op.terms is None else outcome | {"due": due}


def changed(work: WorkOutcome) -> bool:
    """Whether an outcome changed anything: only such answers are kept, the others can be asked again."""
    if isinstance(work, Pushed):
        return work.refused is None
    if isinstance(work, Settlement):
        if work.claimed is not None and changed(work.claimed):
            return True
        return any(part.verdict not in {"stale", "refused"} for entry in work.entries for part in entry)
    return work.count > 0 if isinstance(work, Claimed | Moved) else False

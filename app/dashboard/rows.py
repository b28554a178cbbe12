"""How the first screen is written: the rows of its table, and what is told of trouble, in JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ..api.records import shown_args
from ..queue.gate import failure_of
from .recorder import rate
from .steps import SPANS
from .table import DEAD, FAILED, OLD, PAUSED

if TYPE_CHECKING:
    from .table import Seen

KINDS: Final = {FAILED: "failed", DEAD: "dead", PAUSED: "paused", OLD: "old"}

dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def finding(seen: Seen, now: int, ledger_now: int) -> dict[str, Any]:
    """The worst that is to be said of a queue in trouble."""
    trouble, since, inside = seen.trouble[0], seen.track.since, seen.inside
    told: dict[str, Any] = {"queue": seen.queue.name, "kind": KINDS[trouble], "since": since}
    if trouble == FAILED:
        return told | (_failure(seen) or {})
    if trouble == DEAD:
        return told | {"since": now, "dead": inside.dead, "died": seen.sums.died}
    if trouble == PAUSED:
        return told | {"waiting": inside.waiting}
    oldest = waited(seen, ledger_now) or 0.0
    return told | {"since": now - int(oldest * 1000), "oldest": oldest}


def waited(seen: Seen, ledger_now: int) -> float | None:
    """For how many seconds the first item could have been handed out; None where none waits."""
    return None if seen.due is None or seen.due > ledger_now else (ledger_now - seen.due) / 1000


def row_of(seen: Seen, now: int, ledger_now: int, *, old: float, began: int) -> str:
    """The row of a queue; that of one at rest is kept until its line has another step."""
    step = now // SPANS["15m"][0]
    if seen.row is not None and seen.row[0] == step:
        return seen.row[1]
    text = dumps(_row(seen, now, ledger_now, old=old, began=began))
    if seen.due is None:
        seen.row = step, text
    return text


def _row(seen: Seen, now: int, ledger_now: int, *, old: float, began: int) -> dict[str, Any]:
    queue, track, oldest = seen.queue, seen.track, waited(seen, ledger_now)
    line, spec = queue.line, queue.line.spec
    settles = any(seen.inside) or line.meter.settled or line.row.acked
    steps = track.steps["15m"]
    return {
        "queue": queue.name,
        "source": None if spec is None else spec.name,
        "args": {} if spec is None else shown_args(spec.name, spec.args),
        "state": seen.state,
        "since": track.since,
        "out": rate(seen.sums.traffic.out),
        "settled": rate(seen.sums.traffic.settled) if settles or spec is None else None,
        "waiting": seen.inside.waiting,
        "leased": seen.inside.leased,
        "dead": seen.inside.dead,
        "died": seen.sums.died,
        "oldest": oldest,
        "old": oldest is not None and oldest > old,
        "line": [] if steps.at_rest(now) else steps.outs(now, began),
        "failure": _failure(seen),
    }


def _failure(seen: Seen) -> dict[str, Any] | None:
    failure = failure_of(seen.queue.line.condition.state)
    return None if failure is None else {"type": failure.type, "seq": failure.seq, "message": failure.message}

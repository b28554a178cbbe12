"""A queue's row, as its callers see it."""

from __future__ import annotations

import json

from ..ledger.ops import QueueRow
from ..sources import SourceSpec
from .answers import QueueInfo
from .gate import Gate


def spec_of(row: QueueRow) -> SourceSpec | None:
    """The definition that a row keeps; None where producers push."""
    return SourceSpec(row.source, json.loads(row.args)) if row.source else None


def same_definition(one: QueueRow, other: QueueRow) -> bool:
    """Whether two rows are of one queue with one source: not defined anew, nor deleted, in between."""
    return (one.generation, one.source, one.args, one.created_at, one.deleted_at) == (
        other.generation,
        other.source,
        other.args,
        other.created_at,
        other.deleted_at,
    )


def info_of(
    row: QueueRow,
    inside: tuple[int, int, int] = (0, 0, 0),
    *,
    starting: bool = False,
    created: bool = False,
    replayed: bool = False,
) -> QueueInfo:
    """What a row says, and what is ``inside`` (waiting, leased, dead); ``starting`` only the server knows."""
    spec, gate = spec_of(row), Gate.of(row, starting=starting)
    return QueueInfo(
        queue=row.name,
        generation=row.generation,
        source=spec.name if spec else None,
        args=spec.args if spec else {},
        state=gate.state,
        paused=row.paused,
        cursor=row.cursor,
        taken=row.taken,
        acked=row.acked,
        purged=row.purged,
        jumped=row.jumped,
        waiting=inside[0],
        leased=inside[1],
        dead=inside[2],
        settings=row.settings,
        created_at=row.created_at,
        failure=gate.failure,
        created=created,
        replayed=replayed,
    )

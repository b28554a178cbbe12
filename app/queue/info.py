"""A queue's row in the ledger, turned into the answers for callers."""

from __future__ import annotations

import json
from dataclasses import replace

from ..ledger.ops import QueueRow
from ..ledger.work import QueueSettings
from ..sources import SourceSpec
from .answers import QueueInfo
from .gate import failure_of, standing, word
from .limits import Limits

POSITIONAL = "*"
"""The name under which a row keeps the arguments that have no name."""


def spec_of(row: QueueRow) -> SourceSpec | None:
    """The definition that a row keeps; None if producers push."""
    return spec_written(row.source, row.args)


def spec_written(source: str, args: str) -> SourceSpec | None:
    """The definition that a row keeps by the source's name and its arguments; None if producers push."""
    if not source:
        return None
    given = json.loads(args)
    positional = tuple(given.pop(POSITIONAL, ()))
    return SourceSpec(source, given, positional)


def written(spec: SourceSpec | None) -> tuple[str, str]:
    """A definition as a row keeps it: the source's name and its arguments.

    One that could not be checked may have arguments without a name, too.
    """
    if spec is None:
        return "", "{}"
    positional = {POSITIONAL: spec.positional} if spec.positional else {}
    return spec.name, json.dumps({**spec.args, **positional})


def same_definition(one: QueueRow, other: QueueRow) -> bool:
    """Whether two rows tell of one definition of a queue: not defined anew, reset or deleted in between.

    A reset, and another source where nothing was handed out, may keep the row.
    """
    return _definition(one) == _definition(other)


def _definition(row: QueueRow) -> tuple[object, ...]:
    return row.id, row.generation, row.source, row.args, row.deleted_at


def in_force(settings: QueueSettings, limits: Limits) -> QueueSettings:
    """A queue's settings in force: the server's limits where it has none of its own."""
    ttl = int(limits.key_ttl * 1000)
    return replace(
        settings,
        key_ttl=ttl if settings.key_ttl is None else settings.key_ttl,
        item_key_ttl=ttl if settings.item_key_ttl is None else settings.item_key_ttl,
    )


def info_of(
    row: QueueRow,
    limits: Limits,
    inside: tuple[int, int, int] = (0, 0, 0),
    *,
    starting: bool = False,
    created: bool = False,
    replayed: bool = False,
    in_file: bool = True,
) -> QueueInfo:
    """The answer for a queue, of its row and the counts of items ``inside`` (waiting, leased, dead).

    The row does not tell ``starting``, nor whether the configuration still has the queue (``in_file``).
    """
    spec, state = spec_of(row), standing(row)
    return QueueInfo(
        queue=row.name,
        generation=row.generation,
        source=spec.name if spec else None,
        args=spec.args if spec else {},
        state=word(state, starting=starting),
        paused=row.paused,
        cursor=row.cursor,
        taken=row.taken,
        acked=row.acked,
        purged=row.purged,
        jumped=row.jumped,
        waiting=inside[0],
        leased=inside[1],
        dead=inside[2],
        settings=in_force(row.settings, limits),
        created_at=row.created_at,
        failure=failure_of(state),
        failure_place=row.failure_place,
        configured="gone" if row.configured == "file" and not in_file else row.configured,
        created=created,
        replayed=replayed,
    )

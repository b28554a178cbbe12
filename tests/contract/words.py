"""Short words for what tests do with an engine."""

from __future__ import annotations

from typing import Any

from asks import LENGTH, take
from dibs.ledger.engine import Engine
from dibs.ledger.ops import Define
from dibs.ledger.serve import Applied, Ask, Drawn, End, Handed, Key, Serve, Served

NOTHING = Handed(())
"""No items were handed out."""


def batch(engine: Engine, *ops: Any) -> Applied:
    """All of these in one transaction."""
    return engine.apply(ops)


def apply(engine: Engine, *ops: Any) -> tuple[Any, ...]:
    """All of these in one transaction; their outcomes."""
    return batch(engine, *ops).outcomes


def define(engine: Engine, name: str = "q", source: str = "count", args: str = "{}") -> int:
    """Define a queue; its id."""
    return apply(engine, Define(name, source, args))[0].id


def serve(engine: Engine, queue: int, *asks: Ask, **options: Any) -> Serve:
    """These asks of one queue, at the edition that it has now."""
    row = engine.row(queue)
    return Serve(queue, 1 if row is None else row.edition, asks, **options)


def served(engine: Engine, queue: int, *asks: Ask, **options: Any) -> tuple[Served, ...]:
    """What comes of these asks, in one transaction."""
    return apply(engine, serve(engine, queue, *asks, **options))[0]


def taken(engine: Engine, queue: int, count: int = 1, key: Key | None = None) -> Served:
    """Take fresh numbers for good, or what waits."""
    return served(engine, queue, take(count, key), length=LENGTH)[0]


def drawn(engine: Engine, queue: int, *texts: str, end: End | None = None, **options: Any) -> Drawn:
    """What the queue's source gives after its cursor."""
    return Drawn(engine.row(queue).cursor + 1, texts, end, **options)


def idle(ledger: Any, milliseconds: int) -> int:
    """Time in which nothing is written but ledger time, when it is due; how often that was."""
    kept = 0
    for _ in range(milliseconds // 100):
        ledger.time.pass_(100)
        if ledger.engine.unheard() == 0:
            ledger.engine.keep_time()
            kept += 1
    return kept

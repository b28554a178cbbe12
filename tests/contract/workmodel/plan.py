"""A batch of moves as ops, with what the model answers to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dibs.ledger.ops import Define, Op, OpFailed
from dibs.ledger.work import Bury, Claim

from workmodel.model import Model
from workmodel.moves import ALL, BYTES, Mover


@dataclass
class Plan:
    """The model after a batch; or ``legal`` is false: the last op is at fault, and the engine must say so."""

    after: Model
    now: int
    ops: list[Op] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    legal: bool = True

    def add(self, *ops: Op) -> None:
        for op in ops if self.legal else ():
            self.ops.append(op)
            try:
                self.answers.append(self.after.apply(op, self.now))
            except OpFailed:
                self.legal = False

    def bury(self, spared: Op | None = None) -> None:
        """Bury first: when a claim of a few finds what lies behind them is left to the engine.

        A claim of all finds all, so its queue is spared, unless it is paused.
        """
        unbounded = isinstance(spared, Claim) and (spared.most, spared.most_bytes) == (ALL, BYTES)
        finds = spared.queue if unbounded else None
        for queue, shelf in self.after.shelves.items():
            if queue != finds or shelf.row.paused:
                self.add(Bury(queue))

    def follow(self, mover: Mover, batch: list[tuple[str, int]]) -> None:
        """Make each move, as the state asks for that the ones before it left."""
        for place, (kind, seed) in enumerate(batch):
            op = mover.op(kind, seed)
            if place == 0:
                self.bury(op)
            self.add(op)
            if isinstance(op, Define):
                self.bury()
            if not self.legal:
                return

"""A batch of moves as ops, with what the model answers to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dibs.ledger.ops import Op, OpFailed

from workmodel.model import Model
from workmodel.moves import Mover


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

    def follow(self, mover: Mover, batch: list[tuple[str, int]]) -> None:
        """Make each move, as the state asks for that the ones before it left."""
        for kind, seed in batch:
            self.add(mover.op(kind, seed))
            if not self.legal:
                return

"""A batch of moves as ops, with what the model answers to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dibs.ledger.ops import Define, Delete, Op, OpFailed

from workmodel.model import Model
from workmodel.moves import Mover
from workmodel.rounds import Round, Told


@dataclass
class Plan:
    """The model after a batch; or ``legal`` is false: the last op is at fault, and the engine must say so."""

    after: Model
    now: int
    ops: list[Op] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    legal: bool = True
    served: list[list[Told]] = field(default_factory=list)
    """What comes of the asks of the last ops, where these are a round."""

    def add(self, *ops: Op) -> None:
        for op in ops if self.legal else ():
            self.ops.append(op)
            try:
                self.answers.append(self.after.apply(op, self.now))
            except OpFailed:
                self.legal = False

    def follow(self, mover: Mover, batch: list[tuple[str, int]]) -> None:
        """Make each move, as the state asks for that the ones before it left; a round is the last.

        The keys of a round are looked up before all: so nothing before it makes or resets a queue.
        """
        for kind, seed in batch:
            if kind != "round":
                self.add(mover.op(kind, seed))
                if not self.legal:
                    return
            elif not any(isinstance(op, Define | Delete) for op in self.ops):
                serves = mover.op(kind, seed)
                self.served = Round(self.after, serves, self.now).answers
                self.ops += serves
                return

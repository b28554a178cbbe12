"""A queue: a named stream of items with one source, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from typing import TYPE_CHECKING

from ..errors import NotArithmetic
from .browsing import Browser
from .callers import Awaiting
from .operations import Operations
from .producer import Producer
from .wait import WAIT

if TYPE_CHECKING:
    from ..ledger.engine import Engine
    from ..ledger.serve import Ask
    from .answers import Answer
    from .line import Line
    from .rounds import Rounds


class Queue:
    """The parts of one queue: the ``line`` of asks, its ``operations``, ``producer``, ``browser``."""

    def __init__(self, line: Line, engine: Engine, rounds: Rounds, *, in_file: Set[str]) -> None:
        self.name = line.name
        self.line = line
        self.browser = Browser(line, engine, in_file=in_file)
        self.operations = Operations(line, rounds, self.browser)
        self.producer = Producer(line, rounds)
        self.ask = line.ask

    async def asked(self, ask: Ask, wait: float = 0.0) -> Answer:
        """Ask, and wait for the answer; a cancelled caller is as one that has gone.

        Raises:
            Refused: one of its kinds; nothing was handed out.
            LedgerFull, LedgerUnavailable: the disk is at fault; nothing was done.
            OutcomeUnknown: perhaps something was; ask again with the same key.
        """
        caller = Awaiting(asyncio.get_running_loop())
        waiting = self.ask(ask, wait, caller)
        current = WAIT.get()
        if current is not None:
            current.begin(waiting.end)
        try:
            if caller.future.done():  # a caller that asks again at once lets others have their turn
                await asyncio.sleep(0)
            return await caller.future
        except asyncio.CancelledError:
            caller.gone = True
            waiting.drop()
            raise

    def check_arithmetic(self) -> None:
        """Raise unless the queue can give blocks.

        Raises:
            NotArithmetic: its source does not count.
        """
        line = self.line
        if not line.computing.arithmetic:
            by = line.spec.name if line.spec else "producers"
            raise NotArithmetic(f"{self.name} is fed by {by} and does not give plain numbers: no blocks")

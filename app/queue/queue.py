"""A queue: a named stream of items with one source, or none."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from .browsing import Browser
from .operations import Operations
from .producer import Producer

if TYPE_CHECKING:
    from ..ledger.engine import Engine
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
        self.asked = line.asked

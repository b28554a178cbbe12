"""What all operations of one server share: its settings, its reader, and its queues once they are open."""

from __future__ import annotations

import time

from ..config import Settings
from ..queue import Queues
from ..queue.tokens import Tokens
from .problems import RequestRefused
from .requests import Reader


class Context:
    """One server's queues, settings and reader of requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.reader = Reader(settings.limits, Tokens(_now).new)
        self.opened: Queues | None = None

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened


def _now() -> int:
    return time.time_ns() // 1_000_000

"""What all operations of one server share: its settings, its reader, and its queues once they are open."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config import Settings
from ..queue import Queues
from ..queue.tokens import Tokens
from .actions import Actions
from .problems import RequestRefused
from .requests import Reader


class Context:
    """One server's queues, settings and reader of requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.reader = Reader(settings.limits, Tokens(_now).new)
        self.actions = Actions()
        self.opened: Queues | None = None
        self.at_stop: list[Callable[[], None]] = []

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened

    def stop(self) -> None:
        """Begin to go down: whoever waits is told, and live streams end."""
        if self.opened is not None:
            self.opened.stop()
        for stop in self.at_stop:
            stop()


def _now() -> int:
    return time.time_ns() // 1_000_000

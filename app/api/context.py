"""What all operations of one server share: its settings, its reader, and its queues once they are open."""

from __future__ import annotations

from ..config import Settings
from ..queue import Queue, Queues
from .problems import RequestRefused
from .requests import Reader


class Context:
    """One server's queues, settings and reader of requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.reader = Reader(settings.limits)
        self.opened: Queues | None = None

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened

    def queue(self, name: str) -> Queue:
        """The queue of this name."""
        return self.queues.get(name)

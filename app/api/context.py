"""What all operations of one server share: its settings, its reader, and its queues once they are open."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config import LIVE, Settings, read
from ..config_layers import Layers
from ..queue import Queues
from ..queue.tokens import Tokens
from .access import Access
from .access_log import AccessLog
from .actions import Actions
from .durations import Durations
from .problems import RequestRefused
from .reloading import Reloading
from .requests import Reader


class Context:
    """One server's queues, settings and reader of requests.

    ``settings`` are those in force: a reload puts others in their place, and changes ``limits``, which is
    theirs, and which all parts hold. Who keeps what was made of settings is told by ``at_change``;
    ``checks`` raise ConfigError, from any thread, where something else that a reload takes over is wrong.
    ``read`` and ``layers``: see ``Reloading``.
    """

    def __init__(
        self, settings: Settings, *, read: Callable[[], Layers] = read, layers: Layers | None = None
    ) -> None:
        self.limits = settings.limits.copy_of()
        self.settings = settings.model_copy(update={"limits": self.limits})
        self.reader = Reader(self.limits, Tokens(_now).new)
        self.actions = Actions()
        self.access = AccessLog()
        self.durations = Durations()
        self.callers = Access(settings)
        self.opened: Queues | None = None
        self.at_stop: list[Callable[[], None]] = []
        self.reloading = Reloading(self, read, layers)
        self.checks: list[Callable[[], None]] = []
        self.at_change: list[Callable[[Settings], None]] = [self.access.follow]

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened

    def take(self, settings: Settings) -> None:
        """Take others' values for all settings that may change while the server runs; on the event loop."""
        changed = {name: getattr(settings, name) for name in LIVE} | {"limits": self.limits}
        self.settings = self.settings.model_copy(update=changed)
        self.limits.become(settings.limits)
        for told in self.at_change:
            told(self.settings)

    def stop(self) -> None:
        """Begin to go down: whoever waits is told, and live streams end."""
        if self.opened is not None:
            self.opened.stop()
        for stop in self.at_stop:
            stop()


def _now() -> int:
    return time.time_ns() // 1_000_000

"""What all operations of one server share: its settings, its reader, and its queues once they are open."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ..cluster.view import view_of
from ..config import LIVE, Settings, configured_queues, read
from ..config_layers import Layers
from ..queue import Queues
from ..queue.definition import Definition
from ..queue.reconfigured import Changed
from ..queue.stats import ClusterStats
from ..queue.tokens import Tokens
from .access import Access
from .access_log import AccessLog
from .actions import Actions
from .durations import Durations
from .problems import RequestRefused
from .reloading import Reloading
from .requests import Reader

if TYPE_CHECKING:
    from ..cluster.office import Office
    from .front_access import FrontAccess


class Joins(Protocol):
    """What brings a configuration to the owner."""

    async def reload(self, queues: Mapping[str, Definition], wrong: Sequence[str]) -> Changed:
        """Apply one that was read again."""


class Context:
    """One server's queues, settings and reader of requests.

    ``settings`` are those in force: a reload puts others in their place, and changes ``limits``, which is
    theirs, and which all parts hold. Who keeps what was made of settings is told by ``at_change``;
    ``checks`` raise ConfigError, from any thread, where something else that a reload takes over is wrong.
    ``read`` and ``layers``: see ``Reloading``. ``port`` is the one that the server listens on.

    The queues may be opened and closed any number of times: a server of several has them while it owns the
    ledger. ``at_open`` is called when they are, ``at_stop`` when they begin to close, ``at_end`` when the
    server goes down, ``at_turn`` when ``elsewhere`` changes: whether another server decides, and ``front``
    passes requests on; what this one answers itself meanwhile is for whom ``front_access`` lets in. By
    ``joining`` its configuration comes to the owner.
    ``at_join`` is called once this server has joined the others.
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
        self.port = settings.port
        self.elsewhere = False
        self.front: Office | None = None
        self.front_access: FrontAccess | None = None
        self.joining: Joins | None = None
        self.at_open: list[Callable[[], None]] = []
        self.at_stop: list[Callable[[], None]] = []
        self.at_end: list[Callable[[], None]] = []
        self.at_turn: list[Callable[[], None]] = []
        self.at_join: list[Callable[[], None]] = []
        self.reloading = Reloading(self, read, layers)
        self.checks: list[Callable[[], None]] = []
        self.at_change: list[Callable[[Settings], None]] = [self.access.follow]

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened

    def cluster(self) -> ClusterStats | None:
        """The servers of a ledger that several share, as they were seen last; None where there is one."""
        return None if self.front is None else view_of(self.front.seat)

    def configured(self, settings: Settings) -> Mapping[str, Definition]:
        """The queues that these settings ask for: without any, a server that has the ledger alone has one."""
        return configured_queues(settings) if self.joining is None else settings.queues

    async def reconfigure(self, wanted: Mapping[str, Definition], wrong: Sequence[str]) -> Changed:
        """Take over the queues of a configuration, by the owner where that is another server."""
        if self.joining is None:
            return await self.queues.reconfigure(wanted, wrong)
        return await self.joining.reload(wanted, wrong)

    def take(self, settings: Settings) -> None:
        """Take others' values for all settings that may change while the server runs; on the event loop."""
        changed = {name: getattr(settings, name) for name in LIVE} | {"limits": self.limits}
        self.settings = self.settings.model_copy(update=changed)
        self.limits.become(settings.limits)
        for told in self.at_change:
            told(self.settings)

    async def open(self, queues: Queues) -> None:
        """Answer from these queues; they are closed if that can't be.

        Raises:
            ConfigError: Other machines could ask without a token.
        """
        self.opened = queues
        try:
            self.callers.open(queues)
            await self.actions.begin(queues)
            for begin in self.at_open:
                begin()
        except BaseException:
            await self.close()
            raise

    def stop(self) -> None:
        """The server goes down: whoever waits is told, and live streams end."""
        for stop in self.at_end:
            stop()
        self._let_go()

    def _let_go(self) -> None:
        if self.opened is not None:
            self.opened.stop()
        for stop in self.at_stop:
            stop()

    async def close(self) -> None:
        """Close the queues, if they are open: what was acknowledged is on disk, and nobody is let in by them.

        Requests that are under way have them until they are closed, for these may have to tell what was done.
        """
        self._let_go()
        queues = self.opened
        if queues is not None:
            await queues.close()
            self.opened = None
            self.callers.close()
            self.actions.end()

    def turn(self, *, elsewhere: bool) -> None:
        """Another server decides from here on, or this one; in one step of the event loop."""
        self.elsewhere = elsewhere
        for turned in self.at_turn:
            turned()


def _now() -> int:
    return time.time_ns() // 1_000_000

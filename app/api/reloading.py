"""Reloading: settings that were changed since the start, taken over while the server runs.

They are taken over as a whole or not at all: everything that can be wrong is checked first, then the queues
are changed (see `queue.reconfigured`), then the other settings in one step of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..config import LIVE, Settings, settings_of
from ..config_layers import Layers
from ..config_queues import sound
from ..config_table import rows, shown
from ..errors import ConfigError, DibsError, QueueConflict
from ..queue.definition import Definition
from ..queue.reconfigured import Changed
from .access import Access
from .actions import Actions

log = logging.getLogger("dibs.config")
T = TypeVar("T")


class InForce(Protocol):
    """The server whose settings they are."""

    settings: Settings
    actions: Actions
    callers: Access
    elsewhere: bool
    checks: list[Callable[[], None]]

    def configured(self, settings: Settings) -> Mapping[str, Definition]:
        """The queues that these settings ask for."""

    async def reconfigure(self, wanted: Mapping[str, Definition], wrong: Sequence[str]) -> Changed:
        """Take over the queues of a configuration; see ``Reconfiguring.run``."""

    def take(self, settings: Settings) -> None:
        """Take over the settings that may change while it runs."""


class Reloading:
    """Reloads the settings of one server, one reload at a time, and knows where those in force come from.

    ``layers``: what was read at the start; None where a program gave the settings. ``read`` reads it anew.
    """

    def __init__(self, server: InForce, read: Callable[[], Layers], layers: Layers | None) -> None:
        self._server = server
        self._read = read
        self._first = self._newest = layers
        self._lock = asyncio.Lock()

    def table(self) -> Sequence[Mapping[str, Any]]:
        """All settings in force, see ``schemas_settings.SettingInForce``."""
        return rows(self._server.settings, self._place)

    def _place(self, path: list[str]) -> str:
        layers = self._newest if path[0] in LIVE else self._first
        return "program" if layers is None else layers.place(path)

    async def run(self, *, who: str) -> Mapping[str, Any]:
        """Take over for ``who`` what has changed, and tell it: see ``schemas_settings.Reloaded``.

        Raises:
            QueueConflict: The configuration is wrong, or there is none: nothing was changed.
            LedgerFull, LedgerUnavailable, OutcomeUnknown: The disk is at fault.
        """
        async with self._lock:
            try:
                return await self._run(who)
            except ConfigError as error:
                log.warning("the settings were not reloaded, and nothing was changed: %s", error)
                raise QueueConflict(f"nothing was changed: {error}") from error
            except DibsError as error:
                log.warning("the settings were not reloaded: %s", error)
                raise

    async def _run(self, who: str) -> Mapping[str, Any]:
        if self._first is None:
            raise ConfigError("a program gave this server its settings, so there is no file to read again")
        wrong: list[str] = []
        layers, settings, tokens = await asyncio.to_thread(self._read_anew, wrong)
        given = layers.merged().get("queues")
        wanted = sound(given) if settings is None else self._server.configured(settings)
        queues = await self._server.reconfigure(wanted, wrong)
        if settings is None or tokens is None or wrong:
            raise ConfigError("\n".join(wrong))
        before = shown(self._server.settings)
        differs = {name: value for name, value in shown(settings).items() if value != before.get(name)}
        kept = sorted(name for name in differs if name.partition(".")[0] not in LIVE)
        self._server.take(settings)
        renewed = not self._server.elsewhere and self._server.callers.book.follow(tokens)
        self._newest = layers
        changed = [
            {"setting": name, "was": before[name], "is": value}
            for name, value in differs.items()
            if name not in kept and not name.startswith("queues.")
        ]
        for name in kept:
            log.warning("%s was changed, too, and stays %s until the next start", name, before[name])
        told = [f"{each['setting']} = {each['is']}" for each in changed]
        told += ["the tokens in the admin's file"] * renewed
        told += [f"queue {name}" for name in (*queues.created, *queues.changed)]
        what = f"reloaded the settings: {', '.join(told) or 'nothing has changed'}"
        await self._server.actions.add("", what, "reloaded", who=who)
        return {"changed": changed, "kept": kept, "queues": queues._asdict()}

    def _read_anew(self, wrong: list[str]) -> tuple[Layers, Settings | None, list[bytes] | None]:
        """Read all anew; what is ``wrong`` is added there, for all of that is told together."""

        def read(reader: Callable[[], T]) -> T | None:
            try:
                return reader()
            except ConfigError as error:
                wrong.extend(line for line in str(error).split("\n") if line not in wrong)
                return None

        layers = self._read()
        for check in self._server.checks:
            read(check)
        return layers, read(lambda: settings_of(layers)), read(self._server.callers.read_file)

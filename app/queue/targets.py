"""The queues, as draining the inbox knows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from ..ledger.engine import Engine
from .draining import Draining
from .limits import Limits

if TYPE_CHECKING:
    from .queue import Queue
    from .rounds import Rounds

ROOM: Final = 1_000
"""Items for which a queue that was full needs room before it is looked at again; a small one a tenth."""


class PushedTo:
    """All queues of a ledger, as far as items of its inbox go there. See :class:`~.draining.Targets`."""

    def __init__(self, queues: Mapping[str, Queue], engine: Engine) -> None:
        self._queues = queues
        self._engine = engine

    def names(self) -> Collection[str]:
        """All queues that items are pushed to."""
        return [name for name, queue in self._queues.items() if not queue.line.row.source]

    def has_room(self, queue: str) -> bool:
        """Whether a queue that was full takes a good many items again, or is gone."""
        found = self._queues.get(queue)
        if found is None or (most := found.line.row.settings.max_ready) is None:
            return True
        waiting, _, _ = self._engine.glance(found.line.row.id)
        return most - waiting >= min(ROOM, max(1, most // 10))

    def arrived(self, queue: str, count: int) -> None:
        """So many items have come into a queue."""
        found = self._queues.get(queue)
        if found is not None:
            found.line.meter.pushed += count


def draining_of(
    engine: Engine, queues: Mapping[str, Queue], rounds: Rounds, limits: Limits, *, notify: bool
) -> Draining | None:
    """What drains the inbox of a ledger into its queues; None where the ledger has none."""
    if engine.inbox is None:
        return None
    return Draining(engine.inbox, rounds, PushedTo(queues, engine), limits, engine.now, notify=notify)

"""A ledger that is a restored backup: held until somebody says how to go on, and how it goes on."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import LedgerCopied, QueueConflict, QueueUnknown
from ..ledger.ops import Accept
from ..sources import MAX_SAFE
from .stats import RestoredFrom

if TYPE_CHECKING:
    from ..ledger.engine import Engine
    from ..ledger.looks import Copied
    from .queue import Queue
    from .rounds import Rounds

log = logging.getLogger("dibs.queue")

HELD: Final = "nothing is handed out until `dibs accept` says how to go on"


class Jumped(NamedTuple):
    """A queue that goes on after the backup: its cursor there, and its cursor now."""

    queue: str
    cursor_before: int
    cursor: int


class Restored:
    """Whether the ledger is a copy, and of what. Lives on the event loop, which alone touches it.

    What was handed out after the backup is not in it, so until somebody accepts the copy the rounds are
    held: no item goes out, none comes in and none is settled. ``copied`` is what the ledger says of itself;
    it owns the cursors that the queues had when the server started.
    """

    def __init__(self, engine: Engine, rounds: Rounds) -> None:
        self.copied: Copied | None = engine.copied
        self._rounds = rounds
        self._cursors: Mapping[str, int] = {}
        if self.waiting is not None:
            rounds.hold(LedgerCopied(self.waiting))

    @property
    def held(self) -> bool:
        """Whether nothing may be handed out yet."""
        return self.copied is not None and self.copied.accepted is None

    @property
    def waiting(self) -> str | None:
        """What the ledger is and what it waits for, in words; None where it is in use."""
        return f"{self.told}: {HELD}" if self.held else None

    @property
    def told(self) -> str | None:
        """What the ledger is, in words; None where it is no copy."""
        if self.copied is None:
            return None
        return f"restored from the backup of {_instant(self.copied.at)} ({self.copied.name})"

    @property
    def stats(self) -> RestoredFrom | None:
        """What the ledger is, for the statistics."""
        if self.copied is None:
            return None
        made = datetime.fromtimestamp(self.copied.at / 1000, UTC).isoformat(timespec="milliseconds")
        return RestoredFrom(self.copied.name, made.replace("+00:00", "Z"), self.held)

    def begin(self, queues: Collection[Queue]) -> None:
        """Note where the queues are as the server starts."""
        if self.held:
            self._cursors = {queue.name: queue.line.condition.state.cursor for queue in queues}
            log.warning("%s", self.waiting)

    async def accept(
        self, queues: Mapping[str, Queue], advance: int, named: Mapping[str, int]
    ) -> list[Jumped]:
        """Go on: each queue so many items after the backup, those that are ``named`` by numbers of their own.

        What a queue passes over counts as jumped. Queues that hand out nothing fresh any more stay as they
        are. Done again after a failure, it goes on with the queues that are left.

        Returns:
            The queues that were advanced; none where the copy was accepted before.

        Raises:
            QueueConflict: the ledger is no copy; or the source of a queue has failed, and is to be advanced.
            QueueUnknown: one that is named is not there.
        """
        if self.copied is None:
            raise QueueConflict("the ledger is no restored backup: there is nothing to accept")
        if not self.held:
            return []
        for name in named:
            if name not in queues:
                raise QueueUnknown(f"there is no queue {name[:64]}", field="queues")
        targets = [(queue, self._target(queue, named.get(queue.name, advance))) for queue in queues.values()]
        moving = [(queue, to) for queue, to in targets if to > queue.line.condition.state.cursor]
        _check_alive(queue for queue, _ in moving)
        jumped = [await _jump(queue, to) for queue, to in moving]
        await self._rounds.commit(Accept())
        self.copied = self.copied._replace(accepted=round(datetime.now(UTC).timestamp() * 1000))
        self._rounds.hold(None)
        return jumped

    def _target(self, queue: Queue, by: int) -> int:
        """The cursor ``by`` items after that of the backup; of a source that ends earlier, its end."""
        length = queue.line.supply.length
        to = self._cursors.get(queue.name, 0) + by
        ended = queue.line.condition.state.ending in {"exhausted", "closed"}
        return 0 if ended else min(to, MAX_SAFE if length is None else length)


def _check_alive(queues: Iterable[Queue]) -> None:
    """Refuse before anything is moved: a failed source would go on at the cursor when it is retried."""
    for queue in queues:
        if queue.line.condition.state.ending == "failed":
            raise QueueConflict(
                f"the source of {queue.name} has failed: `dibs retry {queue.name}` first, or pass over none"
                f" of it, `--advance {queue.name}=0` beside the others",
                field="queues",
            )


async def _jump(queue: Queue, to: int) -> Jumped:
    before = queue.line.condition.state.cursor
    info = await queue.operations.pass_over(to)
    return Jumped(queue.name, before, info.cursor)


def _instant(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

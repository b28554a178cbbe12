"""The queues of a ledger that was just opened: made of its rows, and of the configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ..errors import ConfigError, LimitExceeded, QueueConflict, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Set
    from typing import Any

    from ..ledger.engine import Engine
    from .configured import Configuring
    from .definition import Definition
    from .register import Register

START_PATIENCE: Final = 0.5
"""Seconds that a start waits for its sources; most are open in a thousandth of that."""


async def load(
    register: Register,
    engine: Engine,
    configuring: Configuring,
    define: Callable[[str, Definition], Coroutine[Any, Any, Any]],
) -> Set[str]:
    """Make the queues, and begin to open their sources.

    Returns:
        The names of the queues that the ledger had.

    Raises:
        ConfigError: a queue of the configuration is wrong, or handed out items of another definition.
    """
    rows = [*configuring.rows.values()]
    await configuring.run()
    for row in configuring.rows.values():
        register.follow(row)
    for left in engine.unswept():
        register.sweeper.add(left)
    await asyncio.gather(*(_configure(*sound, define) for sound in configuring.defined.items()))
    feeders = [queue.line.feeder for queue in register.queues.values()]
    starting = [feeder for feeder in feeders if feeder is not None and feeder.starting]
    await asyncio.gather(*(feeder.started(START_PATIENCE) for feeder in starting))
    return {row.name for row in rows if row.deleted_at is None}


async def _configure(
    name: str, definition: Definition, define: Callable[[str, Definition], Coroutine[Any, Any, Any]]
) -> None:
    try:
        await define(name, definition)
    except (SourceError, QueueConflict, LimitExceeded) as error:
        raise ConfigError(f"queue {name} = {definition}: {error}") from error

"""Actions: who did what to which queue, as the ledger keeps the last of them."""

from __future__ import annotations

from typing import Final, NamedTuple

KEPT: Final = 1_000
"""Actions that stay."""


class Action(NamedTuple):
    """An action that was done, and the op that keeps it. ``at`` is in milliseconds, ``brief`` two words."""

    at: int
    who: str
    queue: str
    what: str
    brief: str

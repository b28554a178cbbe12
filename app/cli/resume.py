"""``dibs resume``: hand out again, after a pause."""

from __future__ import annotations

from typing import Final

from .asking import Queue, operate
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs resume jobs`"


def resume(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Let a paused queue hand out items again."""
    operate(url, queue, "resume", json=json)

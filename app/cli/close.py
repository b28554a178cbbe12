"""``dibs close``: close a queue for good: it takes no more pushes and draws nothing more."""

from __future__ import annotations

from typing import Final

from .asking import Queue, operate
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs close jobs`"


def close(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Close a queue for good: it takes no more pushes and draws nothing more from its source.

    The items inside are still handed out. When all of them are done, workers end by themselves.
    """
    operate(url, queue, "close", json=json)

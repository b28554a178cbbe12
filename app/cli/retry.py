"""``dibs retry``: open the failed source of a queue again, after the cursor."""

from __future__ import annotations

from typing import Final

from .asking import Queue, operate
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs retry sweep`"


def retry(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Open the failed source of a queue again, after the cursor.

    Nothing is skipped: the source is asked for the item at which it failed.
    """
    operate(url, queue, "retry", json=json)

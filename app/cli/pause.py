"""``dibs pause``: hand nothing out until the queue is resumed."""

from __future__ import annotations

from typing import Final

from .asking import Queue, operate
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs pause jobs`"


def pause(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Stop a queue from handing out items until it is resumed.

    Pushes and settlings are still taken. A restart of the server does not resume it.
    """
    operate(url, queue, "pause", json=json)

"""Creating and closing a queue, for the commands that do so on their way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .asking import change

if TYPE_CHECKING:
    from .http import Api

NOT_FOUND: Final = 404


def path_of(queue: str) -> str:
    """The queue's path."""
    return f"/queues/{quote(queue, safe='')}"


def create_queue(api: Api, queue: str, settings: Mapping[str, Any] | None = None) -> None:
    """Create a queue that producers push to, with these settings. One of that name is left as it is.

    It is looked for first: a definition would take the source of a queue that has not begun yet.
    """
    if api.send("GET", path_of(queue)).status_code == NOT_FOUND:
        change(api, "PUT", path_of(queue), {"settings": dict(settings)} if settings else {})


def close_queue(api: Api, queue: str) -> None:
    """Close a queue: it takes no more pushes, and the items inside are still handed out."""
    change(api, "POST", f"{path_of(queue)}/close")

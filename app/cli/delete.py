"""``dibs delete``: delete a queue, and say what goes with it."""

from __future__ import annotations

from typing import Final

from .asking import Queue, Yes, ask_first, change, inside
from .exits import tell
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs delete jobs`"


def delete(queue: Queue, *, yes: Yes = False, url: Url = None, json: Json = False) -> None:
    """Delete a queue with all items inside, leased ones too; the command asks first.

    Its name and its cursor stay known: a queue that is defined under the name again goes on after the cursor,
    unless it is defined with --reset.
    """
    from .http import Api
    from .operate import path_of
    from .tables import json_text

    with Api(url) as api:
        info = api.get(path_of(queue))
        dropped = f"with {inside(info)} inside" if inside(info) else "empty"
        ask_first(
            f"{queue}, {dropped}, will be deleted; its cursor ({info['cursor']:,}) stays known", yes=yes
        )
        answer = change(api, "DELETE", path_of(queue), params={"confirm": queue} if inside(info) else None)
    if json:
        tell(json_text(answer))
    else:
        tell(f"{queue}: deleted, {dropped}; its cursor was {answer['cursor']:,}")

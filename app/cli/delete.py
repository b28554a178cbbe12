"""``dibs delete``: delete a queue, and say what goes with it."""

from __future__ import annotations

from .changes import ask_first, change, inside, path_of, tell_done
from .options import Json, Queue, Url, Yes


def delete(queue: Queue, *, yes: Yes = False, url: Url = None, json: Json = False) -> None:
    """Delete a queue with all items inside, leased ones too; the command asks first.

    Its name and its cursor stay known: a queue that is defined under the name again goes on after the cursor,
    unless it is defined with --reset.

    Example: `dibs delete jobs`
    """
    from .http import Api

    with Api(url) as api:
        info = api.get(path_of(queue))
        dropped = f"with {inside(info)} inside" if inside(info) else "empty"
        ask_first(
            f"{queue}, {dropped}, will be deleted; its cursor ({info['cursor']:,}) stays known", yes=yes
        )
        answer = change(api, "DELETE", path_of(queue), params={"confirm": queue} if inside(info) else None)
    tell_done(answer, f"{queue}: deleted, {dropped}; its cursor was {answer['cursor']:,}", json=json)

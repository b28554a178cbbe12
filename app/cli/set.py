"""``dibs set``: change settings of a queue."""

from __future__ import annotations

from typing import Annotated

import typer

from .changes import change, path_of, show_queue, tell_done
from .exits import tell
from .options import Json, Queue, Url


def set_(
    queue: Queue,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="The settings to change.  [default: show all of them]"),
    ] = None,
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Change settings of a queue, whatever its source; settings that are not named stay as they are.

    max_attempts (null: any number), backoff, backoff_max (seconds), jitter (0 to 1), max_ready (null: any
    number); key_ttl, item_key_ttl, history (seconds; null: for ever; history 0: none).
    Without settings the command shows all of them.

    Example: `dibs set jobs max_attempts=5 backoff=2 max_ready=null`, `dibs set jobs`
    """
    from .define import settings_of
    from .http import Api

    wanted = settings_of(settings or [])
    with Api(url) as api:
        answer = api.get(path_of(queue))  # a definition would create a queue that is not there
        if wanted:
            answer = change(api, "PUT", path_of(queue), {"settings": wanted})
    if json:
        tell_done(answer["settings"], "", json=True)
        return
    if wanted:
        show_queue(answer, json=False)
    for name, value in answer["settings"].items():
        tell(f"{name}={'null' if value is None else f'{value:.12g}'}")

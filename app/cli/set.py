"""``dibs set``: change settings of a queue."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from .asking import Queue, change, shown
from .exits import FAILED, fail, tell
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs set jobs max_attempts=5 backoff=2 max_ready=null`, `dibs set jobs`"


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
    """
    from .define import settings_of
    from .http import Api, detail
    from .operate import path_of
    from .tables import json_text

    wanted = settings_of(settings or [])
    with Api(url) as api:
        found = api.send("GET", path_of(queue))  # a definition would create a queue that is not there
        if not found.is_success:
            fail(detail(found), FAILED)
        answer = change(api, "PUT", path_of(queue), {"settings": wanted}) if wanted else found.json()
    if json:
        tell(json_text(answer["settings"]))
        return
    if wanted:
        shown(answer, json=False)
    for name, value in answer["settings"].items():
        tell(f"{name}={'null' if value is None else f'{value:.12g}'}")

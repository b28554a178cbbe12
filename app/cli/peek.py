"""``dibs peek``: look at what is inside a queue; nothing is handed out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from .exits import USAGE, fail
from .options import Json, Limit, Queue, Seq, Url

_COLUMNS: Final = {
    **{"seq": "seq", "value": "value", "state": "state", "attempt": "attempt"},
    **{"due (UTC)": "due_at", "worker": "worker", "error": "error"},
}


class State(StrEnum):
    """In which items are inside a queue."""

    WAITING = "waiting"
    LEASED = "leased"
    DEAD = "dead"


def peek(
    queue: Queue,
    seq: Seq = None,
    *,
    state: Annotated[
        State | None,
        typer.Option(metavar="STATE", help="Only these: waiting, leased or dead.  [default: all]"),
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Only items whose seq is above this one.  [default: 0]")
    ] = None,
    limit: Limit = 20,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show the items inside a queue, in the order of their seqs; nothing is handed out.

    Items that were taken or acked are no longer inside; items that the source has not given are not yet.

    Example: `dibs peek jobs --state leased`, `dibs peek jobs 17`
    """
    from .changes import path_of
    from .http import Api
    from .items import show_item, show_items
    from .tables import print_json

    if seq is not None and (state is not None or after is not None):
        fail("argument SEQ: it goes with neither --state nor --after", USAGE)
    asked = {"state": state and state.value, "after": after, "limit": limit}
    with Api(url) as api:
        path = f"{path_of(queue)}/items"
        if seq is not None:
            found = api.get(f"{path}/{seq}")
        else:
            found = api.get(path, **{name: value for name, value in asked.items() if value is not None})
    if json:
        print_json(found)
    elif seq is not None:
        show_item(found)
    else:
        nothing, more = f"Nothing of that kind is in {queue}.", f"More: --after {found['next']}"
        show_items(found, _COLUMNS, nothing=nothing, more=more)

"""``dibs peek``: look at what is inside a queue; nothing is handed out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from .asking import Queue
from .exits import USAGE, fail
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs peek jobs --state leased`, `dibs peek jobs 17`"


class State(StrEnum):
    """In which items are inside a queue."""

    WAITING = "waiting"
    LEASED = "leased"
    DEAD = "dead"


def peek(
    queue: Queue,
    seq: Annotated[
        int | None, typer.Argument(min=1, help="One item, by its seq, with all its attempts.")
    ] = None,
    *,
    state: Annotated[
        State | None,
        typer.Option(metavar="STATE", help="Only these: waiting, leased or dead.  [default: all]"),
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Only items whose seq is above this one.  [default: 0]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many items to show.")] = 20,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show the items inside a queue, in the order of their seqs; nothing is handed out.

    Items that were taken or acked are no longer inside; items that the source has not given are not yet.
    """
    from .http import Api
    from .items import show_item
    from .operate import path_of
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
        _show(queue, found)


def _show(queue: str, found: Mapping[str, Any]) -> None:
    from .items import gist, short, text, when
    from .tables import plain, show, state, table

    if not found["items"]:
        show(plain(f"Nothing of that kind is in {queue}."))
        return
    heads = ("seq", "value", "state", "attempt", "due (UTC)", "worker", "error")
    shown = table(*heads, right=("seq", "attempt"))
    for item in found["items"]:
        shown.add_row(
            plain(f"{item['seq']:,}", "bold"),
            plain(short(text(item["value"]))),
            state(item["state"]),
            plain(f"{item['attempt']:,}"),
            plain(when(item["due_at"]), "dim"),
            plain(item["worker"], "dim"),
            plain(short(gist(item["error"] or "")), "red"),
        )
    more = [] if found["next"] is None else [plain(f"More: --after {found['next']}", "dim")]
    show(shown, *more)

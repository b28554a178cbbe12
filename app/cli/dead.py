"""``dibs dead``: items that failed for the last time; why, and another chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .changes import change, path_of, tell_done
from .exits import USAGE, fail
from .options import Json, Limit, Queue, Seq, Url

if TYPE_CHECKING:
    from .http import Api

_COLUMNS: Final = {
    **{"seq": "seq", "value": "value", "attempts": "attempt", "worker": "worker"},
    **{"dead since (UTC)": "due_at", "error": "error"},
}


def dead(
    queue: Queue,
    seq: Seq = None,
    *,
    redrive: Annotated[
        bool,
        typer.Option(
            "--redrive", help="Let the dead items (or this one) wait again, with all their attempts."
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, help="With --redrive: items a second.  [default: all at once]"),
    ] = None,
    limit: Limit = 20,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show the dead items of a queue with their last error, or one item with every failed attempt.

    Example: dibs dead jobs · dibs dead jobs 17 · dibs dead jobs --redrive --rate 10
    """
    from .http import Api
    from .items import show_item, show_items
    from .tables import print_json

    if rate is not None and not redrive:
        fail("option --rate: it needs --redrive", USAGE)
    with Api(url) as api:
        if redrive:
            answer = _redrive(api, queue, seq, rate)
            tell_done(answer, f"{answer['redriven']:,} of {queue} to be tried again", json=json)
            return
        path = f"{path_of(queue)}/items"
        found = api.get(path, state="dead", limit=limit) if seq is None else api.get(f"{path}/{seq}")
    if json:
        print_json(found)
    elif seq is None:
        nothing, more = f"Nothing in {queue} is dead.", "There are more: --limit shows them."
        show_items(found, _COLUMNS, nothing=nothing, more=more)
    else:
        show_item(found)


def _redrive(api: Api, queue: str, seq: int | None, rate: float | None) -> Any:
    body = {"seqs": None if seq is None else [[seq, seq]], "rate": rate}
    given = {name: value for name, value in body.items() if value is not None}
    return change(api, "POST", f"{path_of(queue)}/redrive", given)

"""``dibs dead``: items that failed for the last time; why, and another chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .exits import USAGE, fail, tell
from .options import Json, Url

if TYPE_CHECKING:
    from .http import Api

EXAMPLE: Final = "Example: dibs dead jobs · dibs dead jobs 17 · dibs dead jobs --redrive --rate 10"


def dead(
    queue: Annotated[str, typer.Argument(help="The queue.")],
    seq: Annotated[
        int | None, typer.Argument(min=1, help="One item, by its seq, with all its attempts.")
    ] = None,
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
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Items to show.")] = 20,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show the dead items of a queue with their last error, or one item with every failed attempt."""
    from .http import Api
    from .items import show_item
    from .tables import json_text, print_json

    if rate is not None and not redrive:
        fail("option --rate: it needs --redrive", USAGE)
    with Api(url) as api:
        if redrive:
            answer = _redriven(api, queue, seq, rate)
            tell(json_text(answer) if json else f"{answer['redriven']:,} of {queue} to be tried again")
            return
        path = f"{_path(queue)}/items"
        found = api.get(path, state="dead", limit=limit) if seq is None else api.get(f"{path}/{seq}")
    if json:
        print_json(found)
    elif seq is None:
        _show_all(queue, found)
    else:
        show_item(found)


def _redriven(api: Api, queue: str, seq: int | None, rate: float | None) -> Any:
    from .asking import change

    body = {"seqs": None if seq is None else [[seq, seq]], "rate": rate}
    given = {name: value for name, value in body.items() if value is not None}
    return change(api, "POST", f"{_path(queue)}/redrive", given)


def _path(queue: str) -> str:
    from .operate import path_of

    return path_of(queue)


def _show_all(queue: str, found: Mapping[str, Any]) -> None:
    from .items import gist, short, text, when
    from .tables import plain, show, table

    if not found["items"]:
        show(plain(f"Nothing in {queue} is dead."))
        return
    shown = table(
        "seq", "value", "attempts", "worker", "dead since (UTC)", "error", right=("seq", "attempts")
    )
    for item in found["items"]:
        shown.add_row(
            plain(f"{item['seq']:,}", "bold"),
            plain(short(text(item["value"]))),
            plain(f"{item['attempt']:,}"),
            plain(item["worker"], "dim"),
            plain(when(item["due_at"]), "dim"),
            plain(short(gist(item["error"] or "")), "red"),
        )
    more = [] if found["next"] is None else [plain("There are more: --limit shows them.", "dim")]
    show(shown, *more)

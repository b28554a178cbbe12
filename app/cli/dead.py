"""``dibs dead``: items that failed for the last time; why, and another chance."""

from __future__ import annotations

import json as jsons
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..inert import inert
from .exits import FAILED, USAGE, fail, tell
from .options import Json, Url

if TYPE_CHECKING:
    from .http import Api

EXAMPLE: Final = "Example: dibs dead jobs · dibs dead jobs 17 · dibs dead jobs --redrive --rate 10"
_LONG: Final = 60


def dead(
    queue: Annotated[str, typer.Argument(help="The queue.")],
    seq: Annotated[int | None, typer.Argument(min=1, help="One item, with all that is known of it.")] = None,
    *,
    redrive: Annotated[
        bool,
        typer.Option("--redrive", help="Let them, or the one, be tried again from the first attempt on."),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="With --redrive: so many a second.  [default: at once]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Items to show.")] = 20,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show the dead items of a queue with their last error, or one item with every failed attempt."""
    from .http import Api
    from .tables import print_json

    if rate is not None and not redrive:
        fail("option --rate: it needs --redrive", USAGE)
    with Api(url) as api:
        if redrive:
            answer = _redriven(api, queue, seq, rate)
            if json:
                print_json(answer)
            else:
                tell(f"{answer['redriven']:,} of {queue} to be tried again")
            return
        path = f"{_path(queue)}/items"
        found = api.get(path, state="dead", limit=limit) if seq is None else api.get(f"{path}/{seq}")
    if json:
        print_json(found)
    elif seq is None:
        _show_all(queue, found)
    else:
        _show(found)


def _redriven(api: Api, queue: str, seq: int | None, rate: float | None) -> Any:
    from .http import detail

    body = {"seqs": None if seq is None else [[seq, seq]], "rate": rate}
    response = api.send(
        "POST",
        f"{_path(queue)}/redrive",
        json={name: value for name, value in body.items() if value is not None},
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    if not response.is_success:
        fail(detail(response), FAILED)
    return response.json()


def _path(queue: str) -> str:
    from .operate import path_of

    return path_of(queue)


def _show_all(queue: str, found: Mapping[str, Any]) -> None:
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
            plain(_short(_text(item["value"]))),
            plain(f"{item['attempt']:,}"),
            plain(item["worker"], "dim"),
            plain(_when(item["due_at"]), "dim"),
            plain(_short(_gist(item["error"] or "")), "red"),
        )
    more = [] if found["next"] is None else [plain("There are more: --limit shows them.", "dim")]
    show(shown, *more)


def _show(item: Mapping[str, Any]) -> None:
    from .tables import plain, show, state

    grid = [
        plain(f"{item['seq']:,}  ", "bold")
        + state(item["state"])
        + plain(f"  attempt {item['attempt']:,}", "dim"),
        plain(_text(item["value"])),
    ]
    for failure in item["history"]:
        head = f"attempt {failure['attempt']:,}, {_when(failure['at'])} UTC, {failure['worker'] or 'nobody'}"
        grid.append(plain(f"{head}\n", "dim") + plain(failure["error"], "red"))
    show(*grid)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsons.dumps(value, ensure_ascii=False)


def _gist(error: str) -> str:
    """The first line says how it ended, the last one most often why."""
    lines = error.strip().splitlines()
    return ": ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else ""


def _short(text: str) -> str:
    line = inert(" ".join(text.split()))
    return line if len(line) <= _LONG else f"{line[: _LONG - 1]}…"


def _when(instant: str) -> str:
    """``2026-11-22 22:41:06`` of an RFC 3339 instant in UTC."""
    return instant.replace("T", " ").partition(".")[0].removesuffix("Z")

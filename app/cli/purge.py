"""``dibs purge``: drop items for good."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .changes import ask_first, change, path_of, tell_done
from .options import Json, Queue, Url, Yes


def purge(
    queue: Queue,
    *,
    waiting: Annotated[bool, typer.Option("--waiting", help="Drop only the items that wait.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Drop only the dead items.")] = False,
    yes: Yes = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Drop the waiting and the dead items of a queue for good; the command asks first.

    Leased items stay with their workers. The seqs of dropped items are not used again.

    Example: `dibs purge jobs --dead`
    """
    from .http import Api

    states = [name for name, wanted in (("waiting", waiting), ("dead", dead)) if wanted]
    states = states or ["waiting", "dead"]
    with Api(url) as api:
        info = api.get(path_of(queue))
        ask_first(f"{_told(info, states)} of {queue} will be dropped for good", yes=yes)
        answer: Any = change(api, "POST", f"{path_of(queue)}/purge", {"confirm": queue, "states": states})
    tell_done(answer, f"{queue}: {answer['purged']:,} dropped", json=json)


def _told(info: Any, states: list[str]) -> str:
    counts = [f"{info[state]:,} {state}" for state in states]
    one = sum(info[state] for state in states) == 1
    return f"{' and '.join(counts)} {'item' if one else 'items'}"

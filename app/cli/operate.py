"""The commands that operate a queue or the server: one request, a line of what was done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..inert import inert
from .changes import ask_first, show_queue, tell_done
from .exits import FAILED, say
from .options import DEFAULT_URL, Json, Queue, Url, Yes, server
from .words import inside

if TYPE_CHECKING:
    from .http import Api

_OUTCOME: Final = 10.0
"""Seconds for which `dibs retry` waits for the outcome."""
_STAYS: Final = 1.0
"""Seconds for which a source that was opened again has to stay open."""
_LOOK: Final = 0.1


def pause(queue: Queue, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Stop a queue from handing out items until it is resumed.

    Pushes and settlings are still taken. A restart of the server does not resume it.

    Example: `dibs pause jobs`
    """
    _operate(url, queue, "pause", json=json)


def resume(queue: Queue, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Let a paused queue hand out items again.

    Example: `dibs resume jobs`
    """
    _operate(url, queue, "resume", json=json)


def close(queue: Queue, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Close a queue for good: it takes no more pushes and draws nothing more from its source.

    The items inside are still handed out. When all of them are done, workers end by themselves.

    Example: `dibs close jobs`
    """
    _operate(url, queue, "close", json=json)


def retry(queue: Queue, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Open the failed source of a queue again, after the cursor.

    Nothing is skipped: the next caller asks the source for the item at which it failed. The command waits, up
    to 10 s, until the source is open and stays so for a second, and tells if it fails to open: the exit code
    is then 1. A module of yours that was changed is not loaded again: mend it, start the server anew, retry.

    Example: `dibs retry sweep`
    """
    with server(url) as api:
        answer = _settled(api, api.change("POST", "queues", queue, "retry"))
    show_queue(answer, json=json)
    if answer["state"] == "failed":
        raise typer.Exit(FAILED)
    if ":" in (answer["source"] or ""):
        module = inert(answer["source"].partition(":")[0])
        first = f"item {answer['cursor'] + 1:,} is drawn when somebody asks"
        say(f"{first}; if you changed {module}, start the server again: it is not loaded anew by a retry")


def advance(
    queue: Queue,
    seq: Annotated[int, typer.Argument(min=1)],
    *,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Move the cursor of a queue forward: the items passed over are never handed out.

    They count as jumped. After a restore this brings a queue past the items taken since the backup.

    Args:
        seq: Skip all seqs up to and including this one.

    Example: `dibs advance ids 1000`
    """
    _operate(url, queue, "advance", json=json, body={"to_seq": seq})


def purge(
    queue: Queue,
    *,
    waiting: bool = False,
    dead: bool = False,
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Drop the waiting and the dead items of a queue for good; the command asks first.

    Leased items stay with their workers. The seqs of dropped items are not used again.

    Args:
        waiting: Drop only the items that wait.
        dead: Drop only the dead items.

    Example: `dibs purge jobs --dead`
    """
    states = [name for name, wanted in (("waiting", waiting), ("dead", dead)) if wanted]
    states = states or ["waiting", "dead"]
    with server(url) as api:
        info = api.get("queues", queue)
        ask_first(f"{_told(info, states)} of {queue} will be dropped for good", yes=yes)
        seen = {} if yes else {"expect": sum(info[state] for state in states)}  # what the user agreed to
        body = {"confirm": queue, "states": states, **seen}
        answer = api.change("POST", "queues", queue, "purge", body=body)
    tell_done(answer, f"{queue}: {answer['purged']:,} dropped", json=json)


def delete(queue: Queue, *, yes: Yes = False, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Delete a queue with all items inside, leased ones too; the command asks first.

    Its name and its cursor stay known: a queue that is defined under the name again goes on after the cursor,
    unless it is defined with --reset.

    Example: `dibs delete jobs`
    """
    with server(url) as api:
        info = api.get("queues", queue)
        dropped = f"with {inside(info)} inside" if inside(info) else "empty"
        ask_first(
            f"{queue}, {dropped}, will be deleted; its cursor ({info['cursor']:,}) stays known", yes=yes
        )
        answer = api.change("DELETE", "queues", queue, confirm=queue if inside(info) else None)
    tell_done(answer, f"{queue}: deleted, {dropped}; its cursor was {answer['cursor']:,}", json=json)


def _operate(url: str, queue: str, verb: str, *, json: bool, body: Any = None) -> None:
    """Post to the path of this name under the queue, and show the queue as it is then."""
    with server(url) as api:
        answer = api.change("POST", "queues", queue, verb, body=body)
    show_queue(answer, json=json)


def _settled(api: Api, queue: Any) -> Any:
    """The queue once its source has failed, or is open and stays so; as it is then, if that takes long."""
    began = since = time.monotonic()
    while queue["state"] != "failed" and time.monotonic() - began < _OUTCOME:
        if queue["state"] == "starting":
            since = time.monotonic()
        elif time.monotonic() - since > _STAYS:
            break
        time.sleep(_LOOK)
        queue = api.get("queues", queue["queue"])
    return queue


def _told(info: Any, states: list[str]) -> str:
    counts = [f"{info[state]:,} {state}" for state in states]
    one = sum(info[state] for state in states) == 1
    return f"{' and '.join(counts)} {'item' if one else 'items'}"

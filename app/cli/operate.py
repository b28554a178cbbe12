"""``dibs pause``, ``resume``, ``close``, ``retry`` and ``advance``: one request that operates a queue."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import Json, Queue, Url


def pause(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Stop a queue from handing out items until it is resumed.

    Pushes and settlings are still taken. A restart of the server does not resume it.

    Example: `dibs pause jobs`
    """
    _operate(url, queue, "pause", json=json)


def resume(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Let a paused queue hand out items again.

    Example: `dibs resume jobs`
    """
    _operate(url, queue, "resume", json=json)


def close(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Close a queue for good: it takes no more pushes and draws nothing more from its source.

    The items inside are still handed out. When all of them are done, workers end by themselves.

    Example: `dibs close jobs`
    """
    _operate(url, queue, "close", json=json)


def retry(queue: Queue, *, url: Url = None, json: Json = False) -> None:
    """Open the failed source of a queue again, after the cursor.

    Nothing is skipped: the source is asked for the item at which it failed.

    Example: `dibs retry sweep`
    """
    _operate(url, queue, "retry", json=json)


def advance(
    queue: Queue,
    seq: Annotated[int, typer.Argument(min=1, help="Skip all seqs up to and including this one.")],
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Move the cursor of a queue forward: the items passed over are never handed out.

    They count as jumped. After a restore this brings a queue past the items taken since the backup.

    Example: `dibs advance ids 1000`
    """
    _operate(url, queue, "advance", json=json, body={"to_seq": seq})


def _operate(url: str | None, queue: str, verb: str, *, json: bool, body: Any = None) -> None:
    """Post to the path of this name under the queue, and show the queue as it is then."""
    from .changes import change, path_of, show_queue
    from .http import Api

    with Api(url) as api:
        answer = change(api, "POST", f"{path_of(queue)}/{verb}", body)
    show_queue(answer, json=json)

"""``dibs queues``, ``stats`` and ``audit``: how far queues are, how fast, and whether nothing is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from .exits import FAILED, OK
from .options import DEFAULT_URL, Json, Url, server
from .output import print_json

if TYPE_CHECKING:
    from .http import Api


def queues(queue: str | None = None, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show the queues: source, state, items by state, and why a failed queue has failed.

    If a queue was removed from the configuration file, `configured` says gone.

    Args:
        queue: One queue.  [default: all]

    Example: `dibs queues --json`
    """
    from .queue_tables import progress, restored
    from .tables import plain, show

    with server(url) as api:
        found = _every_queue(api) if queue is None else [api.get("queues", queue)]
        copy = None if json else restored(api.get("stats", limit=1))
    if json:
        print_json(found if queue is None else found[0])
        return
    parts = [plain(copy, "yellow")] if copy else []
    show(*parts, progress(found) if found else "There are no queues.")


def stats(queue: str | None = None, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Show rates, waits and commits since the server started.

    Args:
        queue: One queue.  [default: the whole server]

    Example: `dibs stats ids --json`
    """
    from .queue_tables import inside, rates, restored, times, totals
    from .tables import plain, show

    with server(url) as api:
        if queue is not None:
            found = api.get("queues", queue, "stats")
        else:
            found, *others = api.pages("stats")
            found |= {"queues": sum((page["queues"] for page in others), found["queues"]), "next": None}
    if json:
        print_json(found)
        return
    if queue is None:
        queues = found["queues"]
        copy = restored(found)
        parts = [
            plain(copy, "yellow") if copy else None,
            totals(found),
            times(commit=found["ledger"]["commit"]) if found["ledger"] else None,
            inside(queues),
            rates(queues),
        ]
    else:
        measured = times(answer=found["answer"], wait=found["wait"], hold=found["hold"])
        parts = [inside([found]), rates([found]), measured]
    show(*(part for part in parts if part is not None))


def audit(queue: str | None = None, *, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Prove that no item of a queue is missing and that none is there twice.

    Taken, acked, purged, jumped, waiting, leased and dead items must add up to the cursor (with the base, at
    which a queue began in the place of a deleted one); the server counts each of them by itself. The exit
    code is 1 if a queue does not balance.

    Args:
        queue: One queue.  [default: all of them]

    Example: `dibs audit`, `dibs audit jobs --json`
    """
    from .queue_tables import balances
    from .tables import show

    with server(url) as api:
        names = [each["queue"] for each in _every_queue(api)] if queue is None else [queue]
        found = [api.get("queues", name, "audit") for name in names]
    if json:
        print_json(found if queue is None else found[0])
    else:
        show(balances(found) if found else "There are no queues.")
    raise typer.Exit(OK if all(each["balanced"] for each in found) else FAILED)


def _every_queue(api: Api) -> list[dict[str, Any]]:
    """All queues of a server."""
    return [queue for page in api.pages("queues") for queue in page["queues"]]

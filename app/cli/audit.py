"""``dibs audit``: counters that are kept independently of each other must add up."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from .exits import FAILED, OK
from .options import Json, Url

_ADDED: Final = ("base", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead")


def audit(
    queue: Annotated[str | None, typer.Argument(help="One queue.  [default: all of them]")] = None,
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Prove that no item of a queue is missing and that none is there twice.

    Taken, acked, purged, jumped, waiting, leased and dead items must add up to the cursor (with the base, at
    which a queue began in the place of a deleted one); the server counts each of them by itself. The exit
    code is 1 if a queue does not balance.

    Example: `dibs audit`, `dibs audit jobs --json`
    """
    from .changes import path_of
    from .http import Api
    from .queues import every_queue
    from .tables import print_json, show

    with Api(url) as api:
        names = [queue] if queue is not None else [each["queue"] for each in every_queue(api)]
        found = [api.get(f"{path_of(name)}/audit") for name in names]
    if json:
        print_json(found if queue is None else found[0])
    elif found:
        show(_table(found))
    else:
        show("There are no queues.")
    raise typer.Exit(OK if all(each["balanced"] for each in found) else FAILED)


def _table(found: list[dict[str, Any]]) -> Any:
    from .tables import number, plain, present, table

    numbers = [*present(found, *_ADDED), "cursor", *present(found, "overlaps")]
    shown = table("queue", "balanced", *numbers, right=numbers)
    for each in found:
        balanced = plain("yes", "green") if each["balanced"] else plain("NO", "bold red")
        shown.add_row(plain(each["queue"], "bold"), balanced, *(number(name, each[name]) for name in numbers))
    return shown

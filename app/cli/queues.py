"""``dibs queues``: which there are, and how far they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.cli.options import Json, Url

if TYPE_CHECKING:
    from app.cli.http import Api

EXAMPLE: Final = "Example: `dibs queues --json`"
PAGE: Final = 1000


def queues(*, url: Url = None, json: Json = False) -> None:
    """Show the queues: source, state, how many were handed out, and why one has failed."""
    from app.cli.http import Api
    from app.cli.tables import print_json, show

    with Api(url) as api:
        found = _all(api)
    if json:
        print_json(found)
    elif found:
        show(_table(found))
    else:
        show("There are no queues.")


def _all(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = api.get("/queues", limit=PAGE, **after)
        found += page["queues"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def _table(found: list[dict[str, Any]]) -> Any:
    from app.cli.tables import failure, plain, source, state, table

    jumped = any(queue["jumped"] for queue in found)
    failed = any(queue["failure"] for queue in found)
    columns = ["queue", "source", "state", "taken", *(["jumped"] if jumped else []), "cursor"]
    shown = table(*columns, *(["failed"] if failed else []), right=("taken", "jumped", "cursor"))
    for queue in found:
        cells = [
            plain(queue["queue"], "bold"),
            plain(source(queue)),
            state(queue["state"]),
            f"{queue['taken']:,}",
            *([f"{queue['jumped']:,}"] if jumped else []),
            f"{queue['cursor']:,}",
            *([plain(failure(queue), "red")] if failed else []),
        ]
        shown.add_row(*cells)
    return shown

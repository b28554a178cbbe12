"""``dibs queues``: which there are, and how far they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .options import Json, Url

if TYPE_CHECKING:
    from .http import Api

INSIDE: Final = ("waiting", "leased", "dead")


def queues(*, url: Url = None, json: Json = False) -> None:
    """Show the queues: source, state, items by state, and why a failed queue has failed.

    If a queue was removed from the configuration file, `configured` says gone.

    Example: `dibs queues --json`
    """
    from .http import Api
    from .tables import print_json, show

    with Api(url) as api:
        found = every_queue(api)
    if json:
        print_json(found)
    elif found:
        show(_table(found))
    else:
        show("There are no queues.")


def every_queue(api: Api) -> list[dict[str, Any]]:
    """All queues of a server."""
    return [queue for page in api.pages("/queues") for queue in page["queues"]]


def _table(found: list[dict[str, Any]]) -> Any:
    from .tables import failure, number, plain, present, source, state, table

    gone = present(found, "acked", "purged", "jumped")
    taken = present(found, "taken") if gone else ["taken"]  # unless all of them go in other ways
    numbers = [*present(found, *INSIDE), *taken, *gone, "cursor"]
    failed = any(queue["failure"] for queue in found)
    gone_from_file = any(queue.get("configured") == "gone" for queue in found)
    configured = ["configured"] if gone_from_file else []
    columns = ("queue", "source", "state", *configured, *numbers)
    shown = table(*columns, *(["failed"] if failed else []), right=numbers)
    for queue in found:
        shown.add_row(
            plain(queue["queue"], "bold"),
            plain(source(queue), "dim" if queue["source"] is None else ""),
            state(queue["state"]),
            *(plain(queue[name], "yellow" if queue[name] == "gone" else "dim") for name in configured),
            *(number(name, queue[name]) for name in numbers),
            *([plain(failure(queue), "red")] if failed else []),
        )
    return shown

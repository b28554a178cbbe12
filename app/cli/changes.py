"""The common part of the commands that change a queue: one request, a line, a question before harm."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..inert import inert
from .exits import FAILED, USAGE, fail, tell

if TYPE_CHECKING:
    from .http import Api

NOT_FOUND: Final = 404


def path_of(queue: str) -> str:
    """The queue's path."""
    return f"/queues/{quote(queue, safe='')}"


def change(
    api: Api, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
) -> Any:
    """Send a change, once however often it is sent, and return its answer; a refusal ends the command."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    return api.answer(api.send(method, path, params=params, json=body, headers=key))


def create_queue(api: Api, queue: str, settings: Mapping[str, Any] | None = None) -> None:
    """Create a queue that producers push to, with these settings. One of that name is left as it is.

    It is looked for first: a definition would take the source of a queue that has not begun yet.
    """
    if api.send("GET", path_of(queue)).status_code == NOT_FOUND:
        change(api, "PUT", path_of(queue), {"settings": dict(settings)} if settings else {})


def existing(api: Api, queue: str) -> Any:
    """The queue as it is; if there is none, the command ends and tells how to make it."""
    from .http import detail

    response = api.send("GET", path_of(queue))
    if response.status_code == NOT_FOUND:
        fail(f"{detail(response)}; --create makes it")
    return api.answer(response)


def show_queue(queue: Mapping[str, Any], *, json: bool) -> None:
    """Show a queue in one line, or as JSON."""
    from .tables import failure, json_text, source

    if json:
        tell(json_text(queue))
        return
    parts = [queue["state"], source(queue), f"cursor {queue['cursor']:,}", inside(queue), failure(queue)]
    tell(f"{queue['queue']}: {', '.join(part for part in parts if part)}")


def tell_done(answer: Any, text: str, *, json: bool) -> None:
    """Tell what was done in one line, or show the answer as JSON."""
    from .tables import json_text

    tell(json_text(answer) if json else text)


def inside(queue: Mapping[str, Any]) -> str:
    """The items inside a queue, as ``3 waiting, 1 leased``; empty if there are none."""
    counts = ((queue[name], name) for name in ("waiting", "leased", "dead"))
    return ", ".join(f"{count:,} {name}" for count, name in counts if count)


def ask_first(harm: str, *, yes: bool) -> None:
    """Ask the user at a terminal before items are lost; a script says ``--yes``."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        fail(f"{harm}. Say --yes to do it", USAGE)
    print(inert(f"{harm}. Do it? [y/N] "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        fail("nothing was changed", FAILED)

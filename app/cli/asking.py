"""The common part of the commands that change a queue: one request, a line, a question before harm."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..inert import inert
from .exits import FAILED, USAGE, fail, tell

if TYPE_CHECKING:
    from .http import Api

Queue = Annotated[str, typer.Argument(help="The queue.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first.")]


def change(
    api: Api, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None
) -> Any:
    """Send a change, once however often it is sent, and return its answer; a refusal ends the command."""
    from .http import detail

    key = {"Idempotency-Key": str(uuid.uuid4())}
    response = api.send(method, path, params=params, json=body, headers=key)
    if not response.is_success:
        fail(detail(response), FAILED)
    return response.json()


def operate(url: str | None, queue: str, verb: str, *, json: bool, body: Any = None) -> None:
    """Do what a path under the queue is called, and show the queue as it is then."""
    from .http import Api
    from .operate import path_of

    with Api(url) as api:
        answer = change(api, "POST", f"{path_of(queue)}/{verb}", body)
    shown(answer, json=json)


def shown(queue: Mapping[str, Any], *, json: bool, done: str = "") -> None:
    """The queue in one line, or as JSON; ``done`` is what was done, where its state does not say that."""
    from .tables import failure, json_text, source

    if json:
        tell(json_text(queue))
        return
    parts = [
        done,
        queue["state"],
        source(queue),
        f"cursor {queue['cursor']:,}",
        inside(queue),
        failure(queue),
    ]
    tell(f"{queue['queue']}: {', '.join(part for part in parts if part)}")


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

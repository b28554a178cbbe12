"""``dibs define`` and ``set``: create a queue, give it another source before it begins, change settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .changes import ask_first, show_queue, tell_done
from .exits import USAGE, fail, tell
from .options import DEFAULT_URL, Json, Queue, Url, Yes, server
from .words import inside

if TYPE_CHECKING:
    from .http import Api


FOREVER: Final = "forever"
"""The word of dibs.toml for null, of the settings that are a time."""


def define(
    queue: Queue,
    source: str | None = None,
    *,
    settings: Annotated[list[str] | None, typer.Option("--set", "-s", metavar="NAME=VALUE")] = None,
    reset: bool = False,
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Create a queue with a built-in source, or one that producers push to; or change such a queue.

    A source or setting that is not named stays as it is, so repeating the command changes nothing. A queue
    that has handed out items keeps its source. Name your own functions where the server starts: in
    dibs.toml, or with `dibs serve --queue`.

    Args:
        source: A built-in source, such as 'count(start=100)', or '' if producers push.  [default: unchanged,
            or for a new queue: producers push]
        settings: A setting of the queue; repeatable.
        reset: Begin at seq 1 again, and drop what is inside; asks first.

    Example: `dibs define ids 'count(start=100)'`, `dibs define jobs --set max_attempts=3`
    """
    body: dict[str, Any] = {} if source is None else _read(source)
    if settings:
        body["settings"] = _settings_of(settings)
    if reset:
        body["reset"] = True
    with server(url) as api:
        confirm = _confirmed(api, queue, yes=yes) if reset else None
        answer = api.change("PUT", "queues", queue, body=body, confirm=confirm)
    show_queue(answer, json=json)


def set_(
    queue: Queue,
    settings: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE")] = None,
    *,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Change settings of a queue, whatever its source; settings that are not named stay as they are.

    max_attempts (null: any number), backoff, backoff_max (seconds), jitter (0 to 1), max_ready (null: any
    number); key_ttl, item_key_ttl, history (seconds; null: for ever; history 0: none).
    Without settings the command shows all of them.

    Args:
        settings: The settings to change.  [default: show all of them]

    Example: `dibs set jobs max_attempts=5 backoff=2 max_ready=null`, `dibs set jobs`
    """
    wanted = _settings_of(settings or [])
    with server(url) as api:
        answer = api.get("queues", queue)  # a definition would create a queue that is not there
        if wanted:
            answer = api.change("PUT", "queues", queue, body={"settings": wanted})
    if json:
        tell_done(answer["settings"], "", json=True)
        return
    if wanted:
        show_queue(answer, json=False)
    for name, value in answer["settings"].items():
        tell(f"{name}={'null' if value is None else f'{value:.12g}'}")


def _confirmed(api: Api, queue: str, *, yes: bool) -> str | None:
    """Ask before a queue that is there begins again; return its name where that confirms a loss."""
    from ..client.errors import QueueUnknown

    try:
        info = api.get("queues", queue)
    except QueueUnknown:
        return None
    held = f"{inside(info)} are dropped" if inside(info) else "nothing is inside"
    ask_first(f"{queue} will begin at seq 1 again; its cursor is {info['cursor']:,}, and {held}", yes=yes)
    return queue if inside(info) else None


def _read(text: str) -> dict[str, Any]:
    """The name and the arguments of a source, as a request has them: each argument by its name."""
    from ..errors import DibsError
    from ..sources import parse_source
    from ..sources.registry import by_name

    if not text.strip():
        return {"source": None}
    try:
        spec = parse_source(text)
        if spec.is_function:
            fail(f"{spec.name} is a function: name it in dibs.toml, or with `dibs serve --queue`", USAGE)
        spec = by_name(spec)
    except DibsError as error:
        fail(f"source {text[:64]}: {error}", USAGE)
    return {"source": spec.name, "args": dict(spec.args)}


def _settings_of(given: list[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` words as a request's settings; the server checks their names and values."""
    import json

    found: dict[str, Any] = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name or name in found:
            why = "it is there twice" if name in found else "say NAME=VALUE, such as max_attempts=3"
            fail(f"setting {each[:64]}: {why}", USAGE)
        try:
            found[name] = None if text == FOREVER else json.loads(text)
        except ValueError:
            fail(f"setting {each[:64]}: the value is a number, null or {FOREVER}", USAGE)
    return found

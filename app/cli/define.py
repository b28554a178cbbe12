"""``dibs define``: create a queue, or give one that has not begun another source."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from .asking import Queue, change, shown
from .exits import USAGE, fail
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs define ids 'count(start=100)'`, `dibs define jobs --set max_attempts=3`"

FOREVER: Final = "forever"
"""What dibs.toml has for null, of the settings that are a time."""

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="A setting of the queue; repeatable."),
]


def define(
    queue: Queue,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A built-in source, such as 'count(start=100)', or '' if producers push.  [default:"
            " unchanged, or for a new queue: producers push]"
        ),
    ] = None,
    *,
    settings: Settings = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="If the queue was deleted, begin at seq 1 again.")
    ] = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Create a queue with a built-in source, or one that producers push to; or change such a queue.

    A source or setting that is not named stays as it is, so repeating the command changes nothing. A queue
    that has handed out items keeps its source. Name your own functions where the server starts: in
    dibs.toml, or with `dibs serve --queue`.
    """
    from .http import Api
    from .operate import path_of

    body: dict[str, Any] = {} if source is None else _read(source)
    if settings:
        body["settings"] = settings_of(settings)
    if reset:
        body["reset"] = True
    with Api(url) as api:
        answer = change(api, "PUT", path_of(queue), body)
    shown(answer, json=json)


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


def settings_of(given: list[str]) -> dict[str, Any]:
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

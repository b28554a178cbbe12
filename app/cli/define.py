"""``dibs define``: create a queue, or give one that has not begun another source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .changes import NOT_FOUND, ask_first, change, inside, path_of, show_queue
from .exits import USAGE, fail
from .options import Json, Queue, Settings, Url, Yes

if TYPE_CHECKING:
    from .http import Api


FOREVER: Final = "forever"
"""The word of dibs.toml for null, of the settings that are a time."""


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
        bool, typer.Option("--reset", help="Begin at seq 1 again, and drop what is inside; asks first.")
    ] = False,
    yes: Yes = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Create a queue with a built-in source, or one that producers push to; or change such a queue.

    A source or setting that is not named stays as it is, so repeating the command changes nothing. A queue
    that has handed out items keeps its source. Name your own functions where the server starts: in
    dibs.toml, or with `dibs serve --queue`.

    Example: `dibs define ids 'count(start=100)'`, `dibs define jobs --set max_attempts=3`
    """
    from .http import Api

    body: dict[str, Any] = {} if source is None else _read(source)
    if settings:
        body["settings"] = settings_of(settings)
    if reset:
        body["reset"] = True
    with Api(url) as api:
        params = _confirmed(api, queue, yes=yes) if reset else None
        answer = change(api, "PUT", path_of(queue), body, params)
    show_queue(answer, json=json)


def _confirmed(api: Api, queue: str, *, yes: bool) -> dict[str, str] | None:
    """Ask before a queue that is there begins again; return the parameters that confirm it."""
    response = api.send("GET", path_of(queue))
    if response.status_code == NOT_FOUND:
        return None
    info = api.answer(response)
    held = f"{inside(info)} are dropped" if inside(info) else "nothing is inside"
    ask_first(f"{queue} will begin at seq 1 again; its cursor is {info['cursor']:,}, and {held}", yes=yes)
    return {"confirm": queue} if inside(info) else None


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

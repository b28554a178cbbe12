"""The server's live events (``GET /events``), as the page has them, for commands that show them."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Final, NamedTuple

from ..client.errors import Unreachable
from .http import Api

QUIET: Final = 10.0
"""Seconds, beside those of a step, without a word after which a stream counts as lost; the server says
something every five."""


class Event(NamedTuple):
    """One event: its name (``hello``, ``overview``, ``beat``) and what it tells."""

    name: str
    data: Any


def listen(api: Api, view: str, *, quiet: float = QUIET) -> Generator[Event, None, None]:
    """Join the stream of a view of the page, and yield what comes until it is lost.

    Raises:
        Unreachable: There is no server, or it has gone, or has said nothing for too long.
        ServerRefused: It lets nobody watch.
    """
    with api.streamed("events", wait=quiet, view=view) as answer:
        yield from parsed(answer.iter_lines())
    raise Unreachable(f"{api.url}: the stream has ended", reached=True)


def parsed(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a stream's lines (HTML, 9.2.6); comments and other fields are passed over."""
    name = ""
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name or "message", json.loads("\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)

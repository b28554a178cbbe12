"""The server's live events (``GET /events``), as the page has them, for commands that show them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

import httpx

from ..client.errors import Problem, UnexpectedAnswer, Unreachable, refusal
from ..client.flow import Lost, Request
from ..client.wire import Wire
from .http import in_words, path_of

QUIET: Final = 15.0
"""Seconds without a word after which a stream counts as lost; the server says something every five."""
STEP: Final = 5.0
"""Seconds for connecting, and for the head of the answer."""
OK: Final = 200


class Event(NamedTuple):
    """One event: its name (``hello``, ``overview``, ``beat``) and what it tells."""

    name: str
    data: Any


class Events:
    """The events of one view of one server.

    Args:
        url: The server's URL.
        view: Of what; see the page.
        quiet: Seconds without a word after which the stream counts as lost, five at least.
        transport: The network, for tests.
    """

    def __init__(
        self, url: str, view: str, *, quiet: float = QUIET, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._wire = Wire(url, STEP)
        self._request = Request("GET", path_of("events", view=view), wait=quiet - STEP)
        self._given = transport

    def listen(self) -> Iterator[Event]:
        """Join the stream, and yield what comes until it is lost.

        Raises:
            Unreachable: There is no server, or it has gone, or has said nothing for too long.
            ServerRefused: It lets nobody watch.
        """
        transport = self._given or self._wire.dial()
        try:
            answer = transport.handle_request(self._wire.write(self._request, {}))
            try:
                if answer.status_code != OK:
                    self._refuse(answer)
                yield from parsed(answer.iter_lines())
            finally:
                answer.close()
        except httpx.TransportError as error:
            lost = self._wire.lost(error)
            raise Unreachable(_why(lost), reached=lost.reached) from error
        finally:
            if self._given is None:
                transport.close()
        raise Unreachable("the stream has ended", reached=True)

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        try:
            problem = Problem.of(json.loads(answer.read()), answer.headers.get("retry-after", ""))
        except ValueError:
            problem = None
        if problem is None:
            why = f"{self._wire.url}: {answer.status_code} to {self._request}: not an answer of dibs"
            raise UnexpectedAnswer(why)
        raise refusal(problem)


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


def _why(lost: Lost) -> str:
    error = lost.error
    return in_words(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

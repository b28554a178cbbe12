"""The server, for the commands that ask it: the client that dibs ships, its errors in words for people."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode

import httpx

from ..client.errors import QueueUnknown, UnexpectedAnswer, Unreachable
from ..client.flow import Call, Flow, Reply, Request, Tempo
from ..client.operations import QueueOperations
from ..client.persist import failure_of, persist
from ..client.setup import Setup
from ..client.text import encode
from ..client.threads import Line, ThreadBell, run
from .exits import fail, say
from .token_option import Shown

T = TypeVar("T")
PATIENCE: Final = 60.0
"""Seconds for which long work waits for a server that is gone."""
SHORT: Final = 10.0
"""Seconds for which all other commands wait for it."""
STEP: Final = 15.0
"""Seconds for connecting, and for each step of an answer: of several servers one waits 10 s for an owner."""
SLOW: Final = 50.0
"""Seconds that the server may take beside that for an answer: it may have to count millions of items."""
LONG: Final = 3600.0
"""Seconds that the server may take to copy its ledger before it sends the first byte."""
_PAGE: Final = 1000
_MISSING: Final = (
    "no server at {} ({}). Start one with `dibs serve`, or say where it is with --url or DIBS_URL"
)
TRUST: Final = "for a certificate of your own, name the file of its authority: SSL_CERT_FILE=ca.pem"
_SILENT: Final = "Server disconnected without sending a response"
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_NO_ANSWER: Final = re.compile(
    r"(?:\w+\.)*[A-Z]\w*(?:Error|Timeout|Exception)(?:: (?:\[Errno -?\d+\] )?(.*?)\.?)?$"
)
"""What the client says of a request without an answer: the name of an exception, and its text."""


class Api:
    """A server's paths, and the flows of the client. Leaving the ``with`` closes its connections.

    A server that has answered once is waited for when it is gone; if it has never answered, the command ends
    at once and says that there is none.

    Args:
        url: The server's URL.
        patience: The seconds for which a request is sent again, from when its answer was lost or said so.
        on_wait: Told why, once for each request that waits before it is tried again.
        tempo, sleep, transport: Time and the network, for tests.

    Attributes:
        repeated: Whether the last request was sent more than once.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = SHORT,
        on_wait: Callable[[str], None] = say,
        tempo: Tempo | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.setup = Setup(
            url,
            worker=None,
            patience=patience,
            timeout=STEP,
            on_wait=self._waits,
            default=None,
            tempo=tempo,
            bell=ThreadBell,
            token=Shown.token,
        )
        self.url = url
        self.line = Line(self.setup.wire, transport)
        self.repeated = False
        self._on_wait = on_wait
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def get(self, *parts: str | int, **query: Any) -> Any:
        """The JSON at a path; parameters that are None are left out."""
        request = Request("GET", path_of(*parts, **query), wait=SLOW)
        return self.run(persist(Call(request, lambda answer: answer), self.setup.terms))

    def pages(self, *parts: str, **query: Any) -> Iterator[Any]:
        """The pages of a list."""
        following = None
        while True:
            page = self.get(*parts, limit=_PAGE, after=following, **query)
            yield page
            if (following := page["next"]) is None:
                return

    def change(self, method: str, *parts: str, body: Any = None, **query: Any) -> Any:
        """Send a change, once however often it is sent, and return its answer."""
        data = b"" if body is None else encode(body).encode()
        request = Request(method, path_of(*parts, **query), data, wait=SLOW)
        return self.run(persist(Call(request, lambda answer: answer, keyed=True), self.setup.terms))

    def told(self, *parts: str, body: Any) -> Any:
        """Post what may be sent again without a key, and return the answer."""
        request = Request("POST", path_of(*parts), encode(body).encode(), wait=SLOW)
        return self.run(persist(Call(request, lambda answer: answer), self.setup.terms))

    @contextmanager
    def streamed(self, *parts: str, wait: float = LONG, **query: Any) -> Iterator[httpx.Response]:
        """The answer to a GET, whose body the caller reads as it comes, ``wait`` seconds for each part.

        Raises:
            ServerRefused: One of its kinds.
            Unreachable: No answer, or not all of it.
        """
        request, begun = Request("GET", path_of(*parts, **query), wait=wait), False
        try:
            with self.line.streamed(request) as response:
                begun = True
                body = b"" if response.is_success else response.read()
                if failure := failure_of(Reply(response.status_code, response.headers, body)):
                    raise failure
                yield response
        except httpx.TransportError as error:
            why = in_words(f"{type(error).__name__}: {error}")
            told = f"{self.url}: the answer broke off ({why})" if begun else _missing(self.url, why)
            raise Unreachable(told, reached=begun) from error

    def queue(self, name: str) -> QueueOperations:
        """The client's flows for a queue."""
        return QueueOperations(self.setup, name)

    def existing(self, queue: str, *, create: bool, **settings: Any) -> Any:
        """The queue as it is. If there is none, it is made if ``create``, for producers, with settings.

        It is looked for first: a definition would take the source of a queue that has not begun yet.
        """
        try:
            return self.get("queues", queue)
        except QueueUnknown as unknown:
            if not create:
                fail(f"{unknown}; --create makes it")
            return self.change("PUT", "queues", queue, body={"settings": settings} if settings else {})

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of the client.

        Raises:
            ServerRefused: One of its kinds.
            Unreachable, UnexpectedAnswer: No answer, or one that no dibs gives; the message says whose.
        """
        self.repeated = False
        try:
            return run(flow, self.line, sleep=self._sleep)
        except Unreachable as error:
            why = in_words(str(error))
            if _SILENT in why and self.url.startswith("http:"):
                why = f"{why}; if it serves https, say so in the URL"
            told = f"{self.url}: {why}" if self.setup.terms.contact.made else _missing(self.url, why)
            raise Unreachable(told, reached=error.reached) from error
        except UnexpectedAnswer as error:
            raise UnexpectedAnswer(f"{self.url}: {error}") from error

    def _waits(self, pause: float, why: str) -> None:
        if not self.setup.terms.contact.made:
            raise Unreachable(why, reached=False)
        if not self.repeated:
            self._on_wait(waiting(self.url, why))
        self.repeated = True


def path_of(*parts: str | int, **query: Any) -> str:
    """A path of these parts, with the parameters that are not None."""
    path = "".join(f"/{quote(str(part), safe='')}" for part in parts)
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def is_untrusted(why: str) -> bool:
    """Whether a request got no answer because the server's certificate is not trusted here."""
    return _UNTRUSTED in why


def _missing(url: str, why: str) -> str:
    """Why a server that was never reached gave no answer, and what to do."""
    if is_untrusted(why):
        return f"the certificate of {url} is not trusted here ({why}); {TRUST}"
    return _MISSING.format(url, why)


def waiting(url: str, why: str) -> str:
    """Why a request waits before it is sent again: it got no answer, or the server said why."""
    lost = _NO_ANSWER.fullmatch(why)
    return f"waiting for the server at {url} ({in_words(why)})" if lost else f"waiting: {why}"


def in_words(why: str) -> str:
    """The text with words in place of the name of the exception that is the reason."""
    return _NO_ANSWER.sub(_words, why)


def _words(lost: re.Match[str]) -> str:
    return lost[1] or ("no answer in time" if "Timeout" in lost[0] else "the connection was lost")

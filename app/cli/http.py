"""The server, for the commands that ask it: one request, tried again where that is safe."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn, Self
from urllib.parse import urlsplit

import httpx

from ..client.wire import not_of
from .exits import FAILED, UNREACHABLE, USAGE, fail, say
from .options import DEFAULT_URL

NO_ANSWER: Final = re.compile(
    r"(?:\w+\.)*[A-Z]\w*(?:Error|Timeout|Exception)(?:: (?:\[Errno -?\d+\] )?(.*?)\.?)?$"
)
"""What the client says of a request without an answer: the name of an exception, and its text."""
_PAGE: Final = 1000
_PAUSE: Final = 0.2
_MAX_PAUSE: Final = 2.0


class Api:
    """A server's paths. Leaving the ``with`` closes its connections.

    Args:
        url: The server's URL. None: the default.
        patience: The seconds for which a request is tried again without an answer, or if the answer says so.
        on_wait: Called with a sentence, once for each request that waits before it is tried again.
        clock, sleep: Time, for tests.
    """

    def __init__(
        self,
        url: str | None,
        *,
        patience: float = 10.0,
        on_wait: Callable[[str], None] = lambda sentence: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = checked(url)
        self._patience = patience
        self._on_wait = on_wait
        self._clock = clock
        self.sleep = sleep
        self._reached = False
        self.repeated = False
        """Whether the last request was sent more than once."""
        self._client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(10, read=60),
            transport=transport,
            trust_env=False,
            event_hooks={"response": [self._look]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        """The JSON at ``path``; an answer other than 2xx ends the command."""
        return self.answer(self.send("GET", path, params=params))

    def post(self, path: str, **params: Any) -> Any:
        """The JSON answer of a POST; an answer other than 2xx ends the command."""
        return self.answer(self.send("POST", path, params=params))

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """The pages of a list."""
        page = self.get(path, limit=_PAGE, **params)
        yield page
        while (following := page["next"]) is not None:
            page = self.get(path, limit=_PAGE, after=following, **params)
            yield page

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """Send one request, and repeat it while its answer is lost or says that repeating helps.

        Only reads and requests with an idempotency key are repeated. A server that has answered once is
        waited for when it is gone; if it has never answered, the command says at once that there is none.
        """
        repeatable = method == "GET" or "Idempotency-Key" in (headers or {})
        until = self._clock() + self._patience if repeatable else 0.0
        pause = _PAUSE
        self.repeated = False
        while True:
            try:
                response = self._client.request(
                    method, path, params=params or {}, headers=headers, content=content, json=json
                )
            except httpx.ConnectError as error:
                if not self._reached or self._clock() >= until:
                    self._unreachable(error)
                why = reason(error)
            except httpx.TransportError as error:
                self._reached = True
                if self._clock() >= until:
                    fail(f"the answer of {self.url} was lost: {reason(error)}", UNREACHABLE)
                why = reason(error)
            else:
                self._reached = True
                if not _again(response) or self._clock() >= until:
                    return response
                pause = max(pause, _retry_after(response))
                why = detail(response)
            if not self.repeated:
                self._on_wait(f"waiting for the server at {self.url} ({why})")
            self.repeated = True
            self.sleep(min(pause, _MAX_PAUSE))
            pause *= 2

    def once(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes, timeout: float
    ) -> httpx.Response | None:
        """Send one request once; None if it got no answer in ``timeout`` seconds."""
        try:
            return self._client.request(method, path, headers=headers, content=content, timeout=timeout)
        except httpx.TransportError:
            return None

    def _look(self, response: httpx.Response) -> None:
        """No answer to another request is taken for the own; its connection is closed, as it was not read."""
        request = response.request
        path = request.url.raw_path.decode("ascii").removeprefix(urlsplit(self.url).path)
        why = not_of(path, request.headers.get("idempotency-key"), response)
        if why is not None:
            raise httpx.RemoteProtocolError(why, request=request)

    def answer(self, response: httpx.Response) -> Any:
        """The JSON of an answer; one other than 2xx ends the command."""
        if not response.is_success:
            fail(detail(response), FAILED)
        return response.json()

    def _unreachable(self, error: Exception) -> NoReturn:
        fail(
            f"no server at {self.url} ({reason(error)}). Start one with `dibs serve`, or say where it is"
            " with --url or DIBS_URL",
            UNREACHABLE,
        )


def detail(response: httpx.Response) -> str:
    """The detail of a problem; the status if the answer is not one of ours."""
    try:
        problem = response.json()
        return f"{problem['type'].rpartition(':')[2]}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.url} answered {response.status_code} {response.reason_phrase}"


def _again(response: httpx.Response) -> bool:
    if response.status_code < 500:  # noqa: PLR2004
        return False
    try:
        return bool(response.json().get("retryable"))
    except (ValueError, AttributeError):
        return response.status_code in {502, 503, 504}


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0


def checked(url: str | None) -> str:
    """The URL of a server, without a slash at the end; what is none ends the command. None: the default."""
    if not url:
        _tell_slips()
        url = DEFAULT_URL
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is not a number
    except ValueError as error:
        fail(f"option --url {url}: {error}", USAGE)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        fail(f"option --url {url}: say http://HOST:PORT", USAGE)
    return url.rstrip("/")


def _tell_slips() -> None:
    """Name a variable that was meant to be DIBS_URL: the command is about to ask another server than that."""
    for name in sorted(os.environ):
        if name != "DIBS_URL" and get_close_matches(name, ["DIBS_URL"], cutoff=0.8):
            say(f"environment variable {name[:64]} has no effect; did you mean DIBS_URL?")


def reason(error: Exception) -> str:
    """The reason in words why there was no answer."""
    return in_words(f"{type(error).__name__}: {error}".removesuffix(": "))


def in_words(why: str) -> str:
    """The text with words in place of the name of the exception that is the reason."""
    return NO_ANSWER.sub(_words, why)


def _words(lost: re.Match[str]) -> str:
    return lost[1] or ("no answer in time" if "Timeout" in lost[0] else "the connection was lost")

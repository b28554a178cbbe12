"""Requests and answers as httpx has them; the same for both drivers.

httpx's transports are used without its clients: redirects, cookies and proxies have no place here, and a
worker's background thread should cost its work as little as it can.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from .errors import StrangersAnswer
from .flow import JSON, Lost, Request
from .secret import token_of

DEFAULT_URL: Final = "http://127.0.0.1:8000"
LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=60.0)
"""A connection is kept for a minute, a slow worker's too; a server keeps it for 75 s, so that none is
used that is about to be closed. Long polls may hold any number of them."""
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_AGENT: Final = "dibs-client"
_PATH: Final = re.compile(r"/queues/(?!\.{1,2}(?:[/?]|$))([a-z0-9._-]{1,64})(?:[/?].*)?", re.DOTALL)
_DEFAULT: Final = "default"
_ERRORS: Final = 400
_SHOWN: Final = 64


class Wire:
    """Writes requests to one server, and reads its answers.

    Args:
        url: The server's URL. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        timeout: Seconds for connecting, and for each step of an answer.
        token: The token that it shows. None: ``DIBS_TOKEN``, else none.

    Raises:
        ValueError: The URL is none of http or https, or has a secret in it; or the token can't be one.
    """

    def __init__(self, url: str | None, timeout: float, token: str | None = None) -> None:
        self.url = (url or os.environ.get("DIBS_URL") or DEFAULT_URL).rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"url {self.url!r}: say http://HOST:PORT")
        if "@" in parts.netloc:
            raise ValueError("url: a secret has no place in a URL; give a token as token=, or in DIBS_TOKEN")
        self.timeout = timeout
        self.token = token_of(token)
        self._urls: dict[str, httpx.URL] = {}

    def dial(self) -> httpx.HTTPTransport:
        """A transport with connections for threads; none is open yet."""
        return httpx.HTTPTransport(verify=self._tls(), trust_env=False, limits=LIMITS)

    def dial_async(self) -> httpx.AsyncHTTPTransport:
        """A transport with connections for the tasks of one event loop; none is open yet."""
        return httpx.AsyncHTTPTransport(verify=self._tls(), trust_env=False, limits=LIMITS)

    def _tls(self) -> ssl.SSLContext:
        """The TLS context for https. For plain http it is empty, as loading authorities takes long."""
        secure = self.url.startswith("https:")
        return ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def write(self, request: Request, extensions: dict[str, Any]) -> httpx.Request:
        """The request as a transport sends it."""
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": _AGENT}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if request.key is not None:
            headers["Idempotency-Key"] = request.key.field
            if request.key.n:
                headers["Idempotency-Sequence"] = str(request.key.n)
        if request.traceparent is not None:
            headers["traceparent"] = request.traceparent
        if request.body or request.kind != JSON:  # an empty part of a stream has its type too
            headers["Content-Type"] = request.kind
        step = self.timeout if request.within is None else min(self.timeout, request.within)
        timeout = httpx.Timeout(step, read=step + request.wait).as_dict()
        return httpx.Request(
            request.method,
            self._url(request.path),
            headers=headers,
            content=request.body or None,
            extensions={"timeout": timeout, **extensions},
        )

    def stranger(self, request: Request, response: httpx.Response) -> Lost | None:
        """Whether an answer, whose body is not read yet, belongs to another request."""
        key = None if request.key is None else request.key.field
        why = not_of(request.path, key, response)
        n = response.headers.get("idempotency-sequence")
        if why is None and request.key is not None and n is not None and n != str(request.key.n):
            why = f"the answer to request {_shown(n)} of its session, not to {request.key.n}"
        return None if why is None else Lost(StrangersAnswer(f"{request.method} {request.path} got {why}"))

    def lost(self, error: httpx.TransportError) -> Lost:
        """How a request without an answer was lost."""
        return Lost(error, reached=not isinstance(error, _UNSENT))

    def _url(self, path: str) -> httpx.URL:
        """The parsed URL, cached: parsing costs as much as a small request, and a worker uses few URLs."""
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self.url + path)
            if "items/" not in path:
                self._urls[path] = url
        return url


def not_of(path: str, key: str | None, response: httpx.Response) -> str | None:
    """Why an answer does not belong to the request for this path with this key (as sent); None if it does.

    A dibs server names queue and key on every answer. An answer without them comes from something in between,
    or refuses a request of which the server had not read so much: then its body must tell what it is.
    """
    headers = response.headers
    told = headers.get("dibs-queue"), headers.get("idempotency-key")
    named = _PATH.fullmatch(path)
    queue = named[1] if named else _DEFAULT if path.partition("?")[0] == "/next" else None
    own = queue, None if key is None else key.strip(" \t") or None
    if told == own:
        return None
    if told == (None, None) and (response.status_code >= _ERRORS or "dibs-version" not in headers):
        return None
    wrong = [
        f"its {what} is {_shown(one)}, not {_shown(ours)}"
        for what, one, ours in zip(("queue", "key"), told, own, strict=True)
        if one != ours
    ]
    return (
        f"the answer to another request: {', '.join(wrong)}. Do processes share the connection, does a proxy "
        "mix connections up, or is the server older than this client?"
    )


def _shown(text: str | None) -> str:
    return "none" if text is None else ascii(text[:_SHOWN])

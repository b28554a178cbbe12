"""The bodies of requests, as their bytes arrive: bounded, of a known type, large ones read apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ..quote import quoted
from .problems import RequestRefused

LARGE: Final = 128 * 1024
"""A body of more bytes is parsed on a thread."""
JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
BLANK: Final = frozenset({b"", b"{}"})
"""Bodies that say nothing: some clients always send one of these, of any type."""

_apart: Final = ThreadPoolExecutor(1, "dibs-bodies")
"""Large bodies are parsed one by one: many parsers at once would keep the GIL from the event loop."""

T = TypeVar("T")
Headers = Mapping[bytes, bytes]


def has_body(headers: Headers) -> bool:
    """Whether the request says that a body follows."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def receive_all(receive: Receive, limit: int) -> bytes:
    """The whole body, if it is within ``limit`` bytes; the rest of a larger one is not read.

    What counts is what arrives, not what Content-Length says.

    Raises:
        RequestRefused: 413.
        ClientDisconnect: The client went away.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


async def receive_none(receive: Receive, headers: Headers, limit: int) -> None:
    """For paths that take no body: nothing, or an empty object.

    Anything else is refused rather than ignored: ``curl -d count=3`` meant something.
    """
    if has_body(headers) and (await receive_all(receive, limit)).strip() not in BLANK:
        raise RequestRefused(
            "invalid",
            "this path takes no body; its parameters stand in the URL, as in ?count=3",
            field="body",
        )


async def apart(reader: Callable[[bytes], T], body: bytes) -> T:
    """What ``reader`` makes of a body; on a thread if it is large, and would hold up all others."""
    if len(body) <= LARGE:
        return reader(body)
    return await asyncio.get_running_loop().run_in_executor(_apart, reader, body)


def is_stream(headers: Headers) -> bool:
    """Whether the body is said to be one item a line."""
    return headers.get(b"content-type", b"").lower().partition(b";")[0].strip() == NDJSON


def check_type(headers: Headers, *types: bytes) -> None:
    """Refuse a body (415) that is said to be neither JSON nor one of ``types``."""
    content_type = headers.get(b"content-type", b"")
    if content_type == JSON:
        return
    media, _, parameters = content_type.lower().partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    if media.strip() not in {JSON, *types} or charset not in {b"", b"charset=utf-8"}:
        sent = content_type.decode("latin-1") or "none"
        wanted = b" or ".join([JSON, *types]).decode()
        raise RequestRefused(
            "unsupported-media-type",
            f"the body must be {wanted} in UTF-8; Content-Type says {quoted(sent)}",
            field="Content-Type",
        )


def too_large(limit: int) -> RequestRefused:
    """413, which names the limit."""
    return RequestRefused(
        "body-too-large",
        f"the body is over {limit} bytes",
        field="body",
        limit=limit,
        headers=[(b"connection", b"close")],
    )


def too_slow(patience: float) -> RequestRefused:
    """408, which names the limit."""
    return RequestRefused(
        "body-timeout", f"nothing of the body came for {patience:g} seconds", field="body", limit=patience
    )

"""Request bodies: bounded while they arrive, and JSON without its loopholes.

What two readers could read differently is refused: NaN and infinities, a name twice in one object, lone
surrogates, nesting without end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from typing import Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ..errors import LimitExceeded
from ..queue.limits import Limits
from ..quote import bare, quoted
from ..sources.encode import MAX_DEPTH as VALUE_DEPTH
from .json_text import WINDOW, WindowedReader
from .problems import RequestRefused

MAX_DEPTH: Final = 32
LARGE: Final = 128 * 1024
"""A body of more bytes is parsed on a thread."""
JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"

_apart: Final = ThreadPoolExecutor(1, "dibs-bodies")
"""Large bodies are parsed one by one: many parsers at once would keep the GIL from the event loop."""

T = TypeVar("T")
Members = dict[str, Any]
Reader = Callable[[Members], T]
_Body = TypeVar("_Body", bound=BaseModel)
Headers = Mapping[bytes, bytes]


def has_body(headers: Headers) -> bool:
    """Whether the request says that a body follows."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def read(receive: Receive, limit: int) -> bytes:
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


async def read_none(receive: Receive, headers: Headers, limit: int) -> None:
    """For paths that take no body: nothing, or an empty object, which some clients always send.

    Anything else is refused rather than ignored: ``curl -d count=3`` meant something.
    """
    if not has_body(headers):
        return
    body = await read(receive, limit)
    if body.strip() not in {b"", b"{}"}:
        raise RequestRefused(
            "invalid",
            "this path takes no body; its parameters stand in the URL, as in ?count=3",
            field="body",
        )


async def read_model(receive: Receive, headers: Headers, limits: Limits, model: type[_Body]) -> _Body:
    """The body as ``model``; unknown fields are refused, and nothing is converted.

    Raises:
        RequestRefused: 400, 413, 415 or 422.
    """
    check_type(headers)

    def modelled(body: bytes) -> _Body:
        try:
            return model.model_validate(as_object(parse_json(body, limits.members)), strict=True)
        except ValidationError as error:
            _explain(error)

    return await apart(modelled, await read(receive, limits.body_bytes))


async def read_fields(receive: Receive, headers: Headers, limits: Limits, reader: Reader[T]) -> T:
    """What ``reader`` makes of a body's fields, where all of them have defaults: no body is an empty object.

    Raises:
        RequestRefused: 400, 413, 415 or 422.
    """
    if not has_body(headers):
        return reader({})
    body = await read(receive, limits.body_bytes)
    if is_blank(body):
        return reader({})
    check_type(headers)
    return await apart(lambda body: reader(as_object(parse(body, limits.members))), body)


def is_blank(body: bytes) -> bool:
    """Whether it says nothing: some clients always send one of these, of any type."""
    return body.strip() in {b"", b"{}"}


def fields_of(body: bytes, members: int) -> Members:
    """The fields of a body that may be left out; see ``parse``."""
    return {} if is_blank(body) else as_object(parse(body, members))


async def read_object(receive: Receive, headers: Headers, limits: Limits, reader: Reader[T]) -> T:
    """What ``reader`` makes of the fields of a body.

    Raises:
        RequestRefused: 400, 413, 415 or 422.
    """
    check_type(headers)
    body = await read(receive, limits.body_bytes)
    return await apart(lambda body: reader(as_object(parse(body, limits.members))), body)


async def apart(reader: Callable[[bytes], T], body: bytes) -> T:
    """What ``reader`` makes of a body; on a thread if it is large, and would hold up all others."""
    if len(body) <= LARGE:
        return reader(body)
    return await asyncio.get_running_loop().run_in_executor(_apart, reader, body)


def as_object(value: object) -> dict[str, Any]:
    """The body's JSON, if it is an object."""
    if not isinstance(value, dict):
        raise RequestRefused("invalid", "the body is not a JSON object", field="body")
    return value


def parse_json(body: bytes, members: int) -> Any:
    """What the bytes say, read as strictly as RFC 8259 and RFC 7493 (I-JSON) allow; see ``parse``."""
    value = parse(body, members, MAX_DEPTH)
    _check(value)
    return value


def parse_line(line: bytes) -> Any:
    """As ``parse``, of a line of a stream; a refusal says ``it`` and not ``the body``."""
    try:
        text = line.decode("utf-8")
        value, end = _decoder.raw_decode(text)
        if end == len(text):
            return value
    except (ValueError, RecursionError, RequestRefused):
        pass  # once more, to say what is wrong
    try:
        return parse(line, len(line))
    except RequestRefused as error:
        why = str(error).replace("the body can't be read: ", "").replace("the body", "it")
        why = why.replace("at line 1 column", "at column")
        raise RequestRefused(error.name, why, field=error.field, limit=error.limit) from None


def parse(body: bytes, members: int, max_depth: int = VALUE_DEPTH) -> Any:
    """As ``parse_json``, but depth, lone surrogates and 1e999 get through: for readers that check fields.

    A list or an object that is larger than a window (``json_text``) may have so many ``members``.
    """
    try:
        text = body.decode("utf-8")
        if len(text) <= WINDOW:
            return _decoder.decode(text)
        return WindowedReader(text, _decoder, _no_twins, most=members, over=_too_many).read()
    except UnicodeDecodeError as error:
        raise _malformed(f"it is not UTF-8, at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        _too_deep(max_depth)
    except ValueError:
        raise RequestRefused("invalid", "a number in the body has too many digits", field="body") from None


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not JSON")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RequestRefused("invalid", f"{quoted(twin)} stands twice in one object", field=bare(twin))
    return members


_decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_twins)


def _check(value: object, depth: int = 0) -> None:
    """Refuse what got through the parser: depth, lone surrogates, 1e999."""
    if depth > MAX_DEPTH:
        _too_deep(MAX_DEPTH)
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not isfinite(value):
        raise RequestRefused("invalid", "a number in the body is too large", field="body")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_text(name)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RequestRefused(
            "invalid", "the body has half of a surrogate pair in a string", field="body"
        ) from None


def is_stream(headers: Headers) -> bool:
    """Whether the body is said to be one item a line."""
    return headers.get(b"content-type", b"").lower().partition(b";")[0].strip() == NDJSON


def check_type(headers: Headers, *types: bytes) -> bytes:
    """The body's type: JSON, or one of ``types``.

    Raises:
        RequestRefused: 415.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type == JSON:
        return JSON
    media, _, parameters = content_type.lower().partition(b";")
    media = media.strip()
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    if media not in {JSON, *types} or charset not in {b"", b"charset=utf-8"}:
        sent = content_type.decode("latin-1") or "none"
        wanted = b" or ".join([JSON, *types]).decode()
        raise RequestRefused(
            "unsupported-media-type",
            f"the body must be {wanted} in UTF-8; Content-Type says {quoted(sent)}",
            field="Content-Type",
        )
    return media


def _malformed(why: str) -> RequestRefused:
    return RequestRefused("malformed", f"the body can't be read: {why}", field="body")


def _too_many(most: int) -> NoReturn:
    if most:
        raise LimitExceeded(
            f"body: a list or an object in it has more than {most} members", field="body", limit=most
        )
    raise LimitExceeded(
        f"body: a list or an object deep in it is over {WINDOW} characters", field="body", limit=WINDOW
    )


def _too_deep(most: int) -> NoReturn:
    raise RequestRefused(
        "invalid", f"the body is nested more than {most} levels deep", field="body", limit=most
    )


def _explain(error: ValidationError) -> NoReturn:
    """The first thing that is wrong, in our words."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(bare(str(part)) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    elif first["type"] == "missing":
        message = "it is required"
    elif (bound := _bound(first)) is not None:
        raise LimitExceeded(f"{field}: it must be {bound}", field=field, limit=bound) from None
    raise RequestRefused("invalid", f"{field}: {message}", field=field) from None


def _bound(error: Any) -> str | None:
    """The bound that a number missed, in words."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = error.get("ctx", {})
    found = [f"{word} {_plain(bounds[name])}" for name, word in words.items() if name in bounds]
    return found[0] if found else None


def _plain(number: float) -> str:
    """A number without a decimal point that says nothing."""
    return str(int(number)) if number == int(number) else str(number)

"""A path's operation: a plain coroutine behind FastAPI's routing, and what OpenAPI says of it.

FastAPI's own way from a request to a function (dependencies, validation by coercion, two exit stacks, a
response model that is validated again) costs more than the hand-out itself and is laxer than it may be
here. So an ``Operation`` calls its endpoint with the request and sends the answer; the parameters are read by
``Query``, and the same objects describe them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..sources.encode import MAX_SAFE
from .params import Name, Parameter, Query, Whole
from .problems import BY_NAME, TYPE, Problem
from .schemas import ProblemDetails

_IN_IDS: Final = str.maketrans({"/": "_", "{": None, "}": None})
Endpoint = Callable[[Request], Awaitable[Response]]

QUEUE: Final = Name("queue", "The queue's name.", required=True)
SEQ: Final = Whole("seq", 1, MAX_SAFE, "The item's seq.", required=True)
NO_PARAMETERS: Final = Query()
EVERYWHERE: Final = (
    "malformed",
    "forbidden",
    "not-acceptable",
    "head-timeout",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "invalid",
    "headers-too-large",
    "internal",
    "not-implemented",
    "overloaded",
    "stopping",
)
"""What any operation may answer."""
LEDGER: Final = ("ledger-unavailable", "outcome-unknown", "ledger-full", "damaged")
"""What an operation may answer that writes."""
QUEUES: Final = ("queue-unknown", "limit-exceeded")
"""What an operation on a queue may answer."""


class Operation(APIRoute):
    """A route that calls its endpoint, and nothing between."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)

        self.app = respond


def add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Endpoint,
    *,
    answer: Any,
    problems: Iterable[str],
    query: Query = NO_PARAMETERS,
    body: type[BaseModel] | None = None,
    other_bodies: Mapping[str, Any] | None = None,
    optional: bool = False,
    key: bool = False,
    status: int = 200,
    tag: str | None = None,
    more: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Add one operation, described completely.

    Args:
        app: Where it is added.
        method: Its method.
        path: Its path; ``{queue}`` stands for a queue's name.
        endpoint: What answers; its docstring is the description.
        answer: The model of its 200, or of ``status``.
        problems: The names of the problems that it can answer with, beside those of ``EVERYWHERE``.
        query: What its query may hold.
        body: The model of its body; without one it takes none.
        other_bodies: Other types of body, as OpenAPI writes them.
        optional: Whether the body may be left out.
        key: Whether it takes an Idempotency-Key.
        status: The status of success.
        tag: The audience, where it is not the endpoint's module.
        more: Other answers, or more about the 200, as OpenAPI writes them.
    """
    names = {*EVERYWHERE, *problems}
    names |= {"key-reused", "limit-exceeded"} if key else set()
    extra: dict[str, Any] = {"parameters": _parameters(path, query, key=key)}
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        content = {"application/json": {"schema": schema}, **(other_bodies or {})}
        extra["requestBody"] = {"required": not optional, "content": content}
    responses: dict[int | str, dict[str, Any]] = {status: _success(key=key)}
    for other, description in (more or {}).items():
        responses[other] = {**responses.get(other, {}), **description}
    responses |= _refusals(names)
    for response in responses.values():
        response["headers"] = {**response.get("headers", _HEADERS), **_signature(path, key=key)}
    route = Operation(
        path,
        endpoint,
        methods=[method],
        response_model=answer,
        status_code=status,
        responses=responses,
        openapi_extra=extra,
        operation_id=f"{method.lower()}_{path.strip('/').translate(_IN_IDS)}",
        summary=(endpoint.__doc__ or "").partition("\n")[0].rstrip("."),
        tags=[tag or endpoint.__module__.rpartition(".")[2]],
    )
    app.router.routes.append(route)


def schemas() -> dict[str, Any]:
    """The schemas that no answer's model brings along."""
    from pydantic.json_schema import models_json_schema

    from .schemas import Advance, DefineQueue
    from .schemas_items import REQUESTS as ITEM_REQUESTS
    from .schemas_work import REQUESTS

    models = [
        (model, "validation") for model in (Advance, DefineQueue, ProblemDetails, *REQUESTS, *ITEM_REQUESTS)
    ]
    _, document = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _parameters(path: str, query: Query, *, key: bool) -> list[dict[str, Any]]:
    described: list[tuple[str, Parameter]] = [
        ("path", parameter) for parameter in (QUEUE, SEQ) if f"{{{parameter.name}}}" in path
    ]
    parameters = [
        {
            "name": parameter.name,
            "in": place,
            "required": parameter.required,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for place, parameter in [*described, *(("query", each) for each in query.parameters)]
    ]
    if key:
        parameters.append(_KEY)
    return parameters


def _success(*, key: bool) -> dict[str, Any]:
    return {"headers": {**_HEADERS, **(_REPLAYED if key else {})}}


def _signature(path: str, *, key: bool) -> dict[str, Any]:
    """The headers that say whose answer it is; see ``signature``."""
    named = path == "/next" or "{queue}" in path
    return {**(_DIBS_QUEUE if named else {}), **(_KEY_BACK if key else {})}


def _refusals(names: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """The problems by status, each with an example."""
    problems = sorted((BY_NAME[name] for name in names), key=lambda problem: problem.status)
    return {
        status: _refusal(list(group))
        for status, group in groupby(problems, key=lambda problem: problem.status)
    }


def _refusal(problems: list[Problem]) -> dict[str, Any]:
    headers = dict(_HEADERS)
    if any(problem.retry_after for problem in problems):
        headers |= _RETRY_AFTER
    if problems[0].name == "method-not-allowed":
        headers |= _ALLOW
    return {
        "description": " ".join(f"`{problem.name}`: {problem.meaning}" for problem in problems),
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                "examples": {problem.name: {"value": _example(problem)} for problem in problems},
            }
        },
    }


def _example(problem: Problem) -> dict[str, Any]:
    example = {
        "type": TYPE + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.meaning,
        "handed_out": problem.handed_out,
        "retryable": problem.retryable,
    }
    return example if problem.retry_after is None else {**example, "retry_after": problem.retry_after}


def _header(description: str, schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": dict(schema)}


_HEADERS: Final = {
    "Dibs-Version": _header("The server's version.", {"type": "string"}),
    "Cache-Control": _header("No cache may keep an answer.", {"type": "string", "const": "no-store"}),
}
_DIBS_QUEUE: Final = {
    "Dibs-Queue": _header("The queue that the path names.", {"type": "string"}, required=False)
}
_KEY_BACK: Final = {
    "Idempotency-Key": _header(
        "The key of the request, by which a client knows that the answer is its own.",
        {"type": "string"},
        required=False,
    )
}
_RETRY_AFTER: Final = {
    "Retry-After": _header(
        "The seconds after which to send the request again.", {"type": "integer", "minimum": 1}
    )
}
_ALLOW: Final = {"Allow": _header("The methods that the path takes.", {"type": "string"})}
_REPLAYED: Final = {
    "Idempotent-Replayed": _header(
        "`true` if this repeats the first answer to the key, and nothing more was done.",
        {"type": "string", "const": "true"},
        required=False,
    )
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A key that the client chooses, such as a UUID. A request that is sent again with its key"
    " gets the same answer, and nothing more is done. The quoted and the bare form are the same key.",
    "schema": {
        "type": "string",
        "pattern": r'^(?:[!#-~]|[!#-~][ -~]{0,253}[!-~]|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$',
    },
    "example": "5f0c2c9e-7d0b-4a53-9d0e-2c6f0f3c1a77",
}

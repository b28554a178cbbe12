"""What OpenAPI says of an operation: its parameters, its body, its answers and problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI

from ..access.roles import Need
from .answer_models import model_of
from .fields import NAME_SCHEMA, Json
from .keys import pattern
from .operation import Operation, Read, Spec
from .problem_table import EVERYWHERE, KEYS, LEDGER, PROBLEMS, QUEUES, Problem
from .problems import RequestRefused, problem_fields

SECURITY: Final[Json] = {"token": {"type": "http", "scheme": "bearer"}}
"""How a request shows its token; a server without tokens asks for none."""
_REFERENCE: Final = "#/components/schemas/{model}"
_IN_PATH: Final[Mapping[str, Json]] = {
    "queue": {"description": "The queue's name.", "schema": NAME_SCHEMA},
    "token": {"description": "The token's id.", "schema": {"type": "string", "pattern": "^[0-9a-f]{10}$"}},
    "seq": {
        "description": "The item's seq.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
    },
}


def describe(app: FastAPI) -> Json:
    """Tell FastAPI what its document says of each operation; return the schemas that it does not know."""
    problem = model_of("ProblemDetails")
    definitions: Json = {"ProblemDetails": problem.model_json_schema(ref_template=_REFERENCE)}
    schema = {"type": "string", "pattern": pattern(app.state.context.limits.key_bytes)}
    key: Json = {**_KEY, "schema": schema, "example": "5f0c2c9e-7d0b-4a53-9d0e-2c6f0f3c1a77"}
    for route in app.routes:
        if isinstance(route, Operation) and route.include_in_schema:
            route.document()
            role = route.read.spec.role
            shown: Json = {} if role == "none" else {"security": [{"token": []}, {}]}
            route.openapi_extra = {**_request(route.path, route.read, key), **shown}
            route.description += _needs(role, named="{queue}" in route.path or bool(route.read.spec.queue))
            route.responses = _responses(route.path, route.read.spec)
            model = route.read.model
            if model is not None:
                definitions[model.name] = model.adapter.json_schema(ref_template=_REFERENCE)
    for schema in list(definitions.values()):
        definitions |= schema.pop("$defs", {})
    return definitions


def _needs(role: Need, *, named: bool) -> str:
    """What an operation says of the role that it needs."""
    where = "for the queue" if named else "for all queues"
    if role == "none":
        return "\n\nNeeds no token."
    if role == "any":
        return (
            "\n\nNeeds any role for the queue."
            if named
            else "\n\nNeeds any role; the answer is of its queues."
        )
    return f"\n\nNeeds the role `{role}` {where}."


def _request(path: str, read: Read, key: Json) -> Json:
    spec, parameters = read.spec, _parameters(path, read)
    headers = [*([key, _SEQUENCE] if spec.key else ()), *([_TRACEPARENT] if spec.traced else ())]
    described: Json = {"parameters": [*parameters, *headers]}
    if read.model is None:
        return described
    content: Json = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=read.model.name)}}}
    if spec.stream is not None:
        content["application/x-ndjson"] = dict(spec.stream)
    return {**described, "requestBody": {"required": not spec.optional, "content": content}}


def _responses(path: str, spec: Spec) -> dict[int | str, dict[str, Any]]:
    names = {*EVERYWHERE, *spec.problems, *(LEDGER if spec.key else ()), *(KEYS if spec.key else ())}
    named = bool(spec.queue) or "{queue}" in path
    names |= set(QUEUES) if named else set()
    responses: dict[int | str, dict[str, Any]] = {spec.status: _success(key=spec.key)}
    for other, description in spec.more.items():
        responses[other] = {**responses.get(other, {}), **description}
    responses |= _refusals(names)
    for response in responses.values():
        response["headers"] = {**response.get("headers", _HEADERS), **_signature(queue=named, key=spec.key)}
    return responses


def _parameters(path: str, read: Read) -> list[Json]:
    parameters = [
        {"name": name, "in": "path", "required": True, **described}
        for name, described in _IN_PATH.items()
        if f"{{{name}}}" in path
    ]
    document = read.query.schema
    for name, schema in document.get("properties", {}).items():
        required = name in document.get("required", ())
        described = {"description": schema.pop("description"), "required": required}
        del schema["title"]
        parameters.append({"name": name, "in": "query", **described, "schema": schema})
    return parameters


def _success(*, key: bool) -> dict[str, Any]:
    return {"headers": {**_HEADERS, **(_REPLAYED if key else {})}}


def _signature(*, queue: bool, key: bool) -> dict[str, Any]:
    """The headers that say whose answer it is; see ``signature``."""
    return {**(_DIBS_QUEUE if queue else {}), **(_KEY_BACK if key else {})}


def _refusals(names: Collection[str]) -> dict[int | str, dict[str, Any]]:
    """The problems by status, each with an example."""
    problems = [problem for problem in PROBLEMS if problem.name in names]
    problems.sort(key=lambda problem: problem.status)
    return {
        status: _refusal(list(group))
        for status, group in groupby(problems, key=lambda problem: problem.status)
    }


def _refusal(problems: list[Problem]) -> dict[str, Any]:
    headers = dict(_HEADERS)
    examples = {
        problem.name: {"value": problem_fields(RequestRefused(problem.name, problem.meaning))}
        for problem in problems
    }
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
                "examples": examples,
            }
        },
    }


def _header(description: str, schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": dict(schema)}


_HEADERS: Final = {
    "Dibs-Version": _header("The server's version.", {"type": "string"}),
    "X-Request-Id": _header(
        "The id of the request, as it came or made by the server; its line in the log has it.",
        {"type": "string"},
    ),
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
    ),
    "Idempotency-Sequence": _header(
        "The number of the request in its key's session, as it came.",
        {"type": "string"},
        required=False,
    ),
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
}
_TRACEPARENT: Final = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "The trace of the request, as W3C Trace Context has it. What is pushed keeps it, and"
    " whoever leases that is told it. One that is malformed is ignored.",
    "schema": {"type": "string"},
}
_SEQUENCE: Final = {
    "name": "Idempotency-Sequence",
    "in": "header",
    "required": False,
    "description": "The number of the request in a session whose requests are counted up under one"
    " Idempotency-Key, one at a time: the answer to it takes the place of the one before.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
}

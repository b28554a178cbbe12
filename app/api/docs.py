"""``/docs`` and ``/openapi.json``: the reference, from this server alone.

The page is Swagger UI with its files from the ``fastapi-offline`` package: no other host is asked, so it
works where there is no internet, and its content security policy can say so.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..quote import quoted
from .openapi import SECURITY, describe
from .plain import Plain
from .problems import RequestRefused
from .reply import JSON, Reply

_HTML: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dibs: HTTP reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """\
SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
"""
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8"}
DESCRIPTION: Final = """Share any Python generator with any number of threads, processes and machines.
Every value goes to exactly one caller: none twice, none skipped, through retries, crashes and restarts.

A 2xx answer means that the hand-out is on disk. Errors are `application/problem+json`; `handed_out` says
whether something may have been spent all the same (`no`, or `maybe`), `retryable` whether asking again helps.
Unknown parameters and fields are refused; clients ignore fields in answers that they don't know. Paths that
take no body accept an empty one or `{}`.
"""


def add_to(app: FastAPI) -> None:
    """Add the pages to the application; they are made when they are first asked for."""
    app.router.routes += [
        Plain("/openapi.json", _openapi, "any"),
        Plain("/docs", _page, "any"),
        Plain("/docs/{name}", _file, "any"),
    ]


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    if app.openapi_schema is None:
        definitions = describe(app)
        components = FastAPI.openapi(app)["components"]
        components["schemas"] |= definitions
        components["securitySchemes"] = SECURITY
    return FastAPI.openapi(app)


async def _openapi(request: Request) -> Reply:
    return Reply(json.dumps(document(request.app), ensure_ascii=False).encode(), content=JSON)


async def _page(request: Request) -> Reply:
    return Reply(
        _HTML.encode(),
        content=(b"content-type", b"text/html; charset=utf-8"),
        headers=[(b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer")],
    )


async def _file(request: Request) -> Reply:
    name = request.path_params["name"]
    if name == "start.js":
        body = _START.encode()
    elif name in {"swagger-ui.css", "swagger-ui-bundle.js"}:
        body = _asset(name)
    else:
        raise RequestRefused("not-found", f"there is nothing at {quoted(request.url.path)}")
    return Reply(body, content=(b"content-type", _TYPES[name.rpartition(".")[2]]))


@cache
def _asset(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()

"""Paths that are no operations: the page and its files, the reference, the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..access.caller import CALLER
from ..access.roles import Need
from .operation import Operation

Endpoint = Callable[[Request], Awaitable[Response]]
FRAMEWORKS_OWN: Final = frozenset({"HEAD"})
"""The method that the framework adds to GET, and answers as it answers that."""


class Plain(Route):
    """A path and the role that it needs for the whole server, as every path says one."""

    def __init__(self, path: str, endpoint: Endpoint, role: Need, method: str = "GET") -> None:
        async def checked(request: Request) -> Response:
            request.scope[CALLER].check(role, "")
            return await endpoint(request)

        super().__init__(path, checked, methods=[method], include_in_schema=False)
        self.role = role


def matrix(app: FastAPI) -> dict[tuple[str, str], Need]:
    """Which role each method of each path needs.

    Raises:
        TypeError: A path says none.
    """
    found: dict[tuple[str, str], Need] = {}
    for route in app.routes:
        if isinstance(route, Operation):
            role = route.read.spec.role
        elif isinstance(route, Plain):
            role = route.role
        else:
            raise TypeError(f"{route} says no role that it needs")
        methods = set(route.methods or ())
        if isinstance(route, Plain):
            methods -= FRAMEWORKS_OWN
        found |= {(method, route.path): role for method in methods}
    return found

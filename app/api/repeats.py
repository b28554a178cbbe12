"""Requests that may be sent twice: what they do is done once, or is nothing."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from .guards import READS
from .operation import Operation
from .signature import KEY, NEXT


class Repeats:
    """Knows the operations of an application that take a key, and those that only look.

    To hand out over GET is no look, and a key that its operation does not take makes nothing safe.
    """

    def __init__(self, app: FastAPI) -> None:
        self._keyed = [route for route in app.routes if isinstance(route, Operation) and route.read.spec.key]

    def __call__(self, scope: Any) -> bool:
        """Whether a request may be sent twice."""
        method, path = scope["method"], scope["path"]
        if any(name == KEY for name, _ in scope["headers"]):
            for route in self._keyed:
                if method in (route.methods or ()) and route.path_regex.match(path):
                    return True
        return method in READS and not path.endswith(NEXT)

"""Of which trace a request is: its W3C traceparent (https://www.w3.org/TR/trace-context/#traceparent-header)."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Scope

from ..ledger.work import Ack, Entry
from .requests import Request

NAME: Final = b"traceparent"
_GOOD: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def well_formed(value: bytes) -> str | None:
    """The traceparent that a header has; None where it is none, which the standard says to ignore."""
    value = value.strip(b" \t")
    return value.decode("ascii") if _GOOD.fullmatch(value) else None


def parent_of(scope: Scope) -> str | None:
    """The traceparent of a request; None where it has none, or more than one."""
    found = [value for name, value in scope["headers"] if name == NAME]
    return well_formed(found[0]) if len(found) == 1 else None


def carried(request: Request, parent: str) -> Request:
    """The same request, whose results keep its traceparent. It is no part of what its key stands for."""
    entries = tuple([_carried(entry, parent) for entry in request.ask.entries])
    return request._replace(ask=request.ask._replace(entries=entries))


def _carried(entry: Entry, parent: str) -> Entry:
    if type(entry) is not Ack or not entry.push:
        return entry
    return entry._replace(push=tuple([result._replace(parent=parent) for result in entry.push]))

"""OpenTelemetry, where its API is installed (``dibs[otel]``): a trace goes on from the push to the job.

Other packages bring the API along, FastAPI for one, so that it is there says nothing. Who traces has imported
it; before that, only an item that was pushed with a traceparent makes this import it.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .otel import Tracer

_API: Final = "opentelemetry.trace"


def tracer(parent: str | None = None) -> Tracer | None:
    """What makes the span of a job; None where nothing is traced. ``parent``: its item's traceparent."""
    return None if parent is None and _API not in sys.modules else _found()


@cache
def _found() -> Tracer | None:
    """None: OpenTelemetry is not installed. That is looked for once."""
    try:
        from .otel import Tracer
    except ImportError:
        return None
    return Tracer()


def current() -> str | None:
    """The traceparent of what this thread or task is doing, if it is traced."""
    found = tracer()
    return None if found is None else found.current()
